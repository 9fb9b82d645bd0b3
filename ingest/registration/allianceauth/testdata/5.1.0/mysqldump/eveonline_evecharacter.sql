DROP TABLE IF EXISTS `eveonline_evecharacter`;
CREATE TABLE `eveonline_evecharacter` (
  `id` int(11) NOT NULL,
  `character_id` int(11) NOT NULL,
  `character_name` int(11) NOT NULL,
  `corporation_id` int(11) NOT NULL,
  `corporation_name` int(11) NOT NULL,
  `corporation_ticker` int(11) NOT NULL,
  `alliance_id` int(11) NOT NULL,
  `alliance_name` int(11) NOT NULL,
  `alliance_ticker` int(11) NOT NULL,
  PRIMARY KEY (`id`),
  KEY `some_index` (`id`)
) ENGINE=InnoDB;
