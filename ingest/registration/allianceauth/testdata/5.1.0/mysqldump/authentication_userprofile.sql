DROP TABLE IF EXISTS `authentication_userprofile`;
CREATE TABLE `authentication_userprofile` (
  `id` int(11) NOT NULL,
  `main_character_id` int(11) NOT NULL,
  `state_id` int(11) NOT NULL,
  `user_id` int(11) NOT NULL,
  `night_mode` int(11) NOT NULL,
  `language` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `some_index` (`id`)
) ENGINE=InnoDB;
