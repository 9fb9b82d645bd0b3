DROP TABLE IF EXISTS `authentication_state_permissions`;
CREATE TABLE `authentication_state_permissions` (
  `id` int(11) NOT NULL,
  `state_id` int(11) NOT NULL,
  `permission_id` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `some_index` (`id`)
) ENGINE=InnoDB;
