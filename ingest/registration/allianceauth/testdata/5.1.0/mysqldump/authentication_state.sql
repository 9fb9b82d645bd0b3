DROP TABLE IF EXISTS `authentication_state`;
CREATE TABLE `authentication_state` (
  `id` int(11) NOT NULL,
  `name` int(11) NOT NULL,
  `priority` int(11) NOT NULL,
  `public` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `some_index` (`id`)
) ENGINE=InnoDB;
