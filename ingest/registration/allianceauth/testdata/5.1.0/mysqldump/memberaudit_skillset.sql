DROP TABLE IF EXISTS `memberaudit_skillset`;
CREATE TABLE `memberaudit_skillset` (
  `id` int(11) NOT NULL,
  `name` int(11) NOT NULL,
  `description` int(11) NOT NULL,
  `is_visible` int(11) NOT NULL,
  `ship_type_id` int(11) NOT NULL,
  `last_modified_at` int(11) NOT NULL,
  `last_modified_by_id` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `some_index` (`id`)
) ENGINE=InnoDB;
