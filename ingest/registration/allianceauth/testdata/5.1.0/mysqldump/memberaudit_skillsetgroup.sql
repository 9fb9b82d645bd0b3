DROP TABLE IF EXISTS `memberaudit_skillsetgroup`;
CREATE TABLE `memberaudit_skillsetgroup` (
  `id` int(11) NOT NULL,
  `name` int(11) NOT NULL,
  `description` int(11) NOT NULL,
  `is_doctrine` int(11) NOT NULL,
  `is_active` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `some_index` (`id`)
) ENGINE=InnoDB;
