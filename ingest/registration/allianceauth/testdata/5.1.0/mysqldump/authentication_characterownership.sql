DROP TABLE IF EXISTS `authentication_characterownership`;
CREATE TABLE `authentication_characterownership` (
  `id` int(11) NOT NULL,
  `owner_hash` int(11) NOT NULL,
  `character_id` int(11) NOT NULL,
  `user_id` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `some_index` (`id`)
) ENGINE=InnoDB;
