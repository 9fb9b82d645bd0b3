DROP TABLE IF EXISTS `memberaudit_skillsetgroup_skill_sets`;
CREATE TABLE `memberaudit_skillsetgroup_skill_sets` (
  `id` int(11) NOT NULL,
  `skillsetgroup_id` int(11) NOT NULL,
  `skillset_id` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `some_index` (`id`)
) ENGINE=InnoDB;
