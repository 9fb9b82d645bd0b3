DROP TABLE IF EXISTS `memberaudit_skillsetskill`;
CREATE TABLE `memberaudit_skillsetskill` (
  `id` int(11) NOT NULL,
  `required_level` int(11) NOT NULL,
  `recommended_level` int(11) NOT NULL,
  `eve_type_id` int(11) NOT NULL,
  `skill_set_id` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `some_index` (`id`)
) ENGINE=InnoDB;
