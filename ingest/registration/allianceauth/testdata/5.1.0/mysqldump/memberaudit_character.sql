DROP TABLE IF EXISTS `memberaudit_character`;
CREATE TABLE `memberaudit_character` (
  `id` int(11) NOT NULL,
  `created_at` int(11) NOT NULL,
  `is_shared` int(11) NOT NULL,
  `is_disabled` int(11) NOT NULL,
  `eve_character_id` int(11) NOT NULL,
  `token_error_notified_at` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `some_index` (`id`)
) ENGINE=InnoDB;
