CREATE DATABASE IF NOT EXISTS `muster_organisation_g1` ON CLUSTER `muster`;

-- How users stood, from when on. A user's whole past is what a question reads, and
-- there are few rows of each, so there are no partitions.
CREATE TABLE IF NOT EXISTS `muster_organisation_g1`.compliance_local ON CLUSTER `muster`
(
    user_id          String CODEC(ZSTD(1)),
    since            DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    event_id         UUID CODEC(NONE),
    considered       Bool CODEC(ZSTD(1)),
    compliant        Bool CODEC(ZSTD(1)),
    no_main          Bool CODEC(ZSTD(1)),
    never_registered Bool CODEC(ZSTD(1)),
    login_lost       Bool CODEC(ZSTD(1)),
    total            Int64 CODEC(T64, ZSTD(1)),
    unregistered     Int64 CODEC(T64, ZSTD(1)),
    log_partition    Int32 CODEC(ZSTD(1)),
    log_offset       Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
ORDER BY (user_id, since, event_id)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_organisation_g1`.compliance ON CLUSTER `muster` AS `muster_organisation_g1`.compliance_local
ENGINE = Distributed('muster', 'muster_organisation_g1', 'compliance_local', sipHash64(user_id) % 3);

-- Which character was a user's main, from when on. Zero is none.
CREATE TABLE IF NOT EXISTS `muster_organisation_g1`.mains_local ON CLUSTER `muster`
(
    user_id       String CODEC(ZSTD(1)),
    since         DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    event_id      UUID CODEC(NONE),
    character_id  Int64 CODEC(ZSTD(1)),
    log_partition Int32 CODEC(ZSTD(1)),
    log_offset    Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
ORDER BY (user_id, since, event_id)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_organisation_g1`.mains ON CLUSTER `muster` AS `muster_organisation_g1`.mains_local
ENGINE = Distributed('muster', 'muster_organisation_g1', 'mains_local', sipHash64(user_id) % 3);

-- Where characters that are not registered were said to be. Those that are registered
-- are in the facts.
CREATE TABLE IF NOT EXISTS `muster_organisation_g1`.listed_local ON CLUSTER `muster`
(
    character_id   Int64 CODEC(ZSTD(1)),
    since          DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    event_id       UUID CODEC(NONE),
    -- By whose word.
    user_id        String CODEC(ZSTD(1)),
    corporation_id Int64 CODEC(ZSTD(1)),
    log_partition  Int32 CODEC(ZSTD(1)),
    log_offset     Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
ORDER BY (character_id, since, event_id)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_organisation_g1`.listed ON CLUSTER `muster` AS `muster_organisation_g1`.listed_local
ENGINE = Distributed('muster', 'muster_organisation_g1', 'listed_local', sipHash64(character_id) % 3);

-- Who looked at whose data. An owner asks for his own in a range, an administrator for
-- everybody's: the one goes by the key, the other by the month.
CREATE TABLE IF NOT EXISTS `muster_organisation_g1`.looks_local ON CLUSTER `muster`
(
    owner_id       String CODEC(ZSTD(1)),
    last_at        DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    event_id       UUID CODEC(NONE),
    first_at       DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    viewer_id      LowCardinality(String) CODEC(ZSTD(1)),
    viewer_user_id LowCardinality(String) CODEC(ZSTD(1)),
    character_id   Int64 CODEC(ZSTD(1)),
    section        LowCardinality(String) CODEC(ZSTD(1)),
    way            LowCardinality(String) CODEC(ZSTD(1)),
    count          Int64 CODEC(T64, ZSTD(1)),
    log_partition  Int32 CODEC(ZSTD(1)),
    log_offset     Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
PARTITION BY toYYYYMM(last_at)
ORDER BY (owner_id, last_at, event_id)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_organisation_g1`.looks ON CLUSTER `muster` AS `muster_organisation_g1`.looks_local
ENGINE = Distributed('muster', 'muster_organisation_g1', 'looks_local', sipHash64(owner_id) % 3);

-- When characters were forgotten: looks come from another topic, so their moments say
-- which are from before, and are told no more.
CREATE TABLE IF NOT EXISTS `muster_organisation_g1`.forgettings_local ON CLUSTER `muster`
(
    character_id  Int64,
    forgotten_at  DateTime64(3, 'UTC'),
    event_id      UUID,
    log_partition Int32,
    log_offset    Int64
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
ORDER BY (character_id, forgotten_at, event_id)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_organisation_g1`.forgettings ON CLUSTER `muster` AS `muster_organisation_g1`.forgettings_local
ENGINE = Distributed('muster', 'muster_organisation_g1', 'forgettings_local', sipHash64(character_id) % 3);

-- Active levels of skills as observed. Those of a difference are laid over those of
-- its base. A full observation is its own base.
CREATE TABLE IF NOT EXISTS `muster_organisation_g1`.skill_levels_local ON CLUSTER `muster`
(
    character_id  Int64 CODEC(ZSTD(1)),
    observed_at   DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    base_id       UUID CODEC(ZSTD(1)),
    skills        Array(Int64) CODEC(ZSTD(1)),
    levels        Array(Int8) CODEC(ZSTD(1)),
    gone          Array(Int64) CODEC(ZSTD(1)),
    event_id      UUID CODEC(ZSTD(1)),
    log_partition Int32 CODEC(ZSTD(1)),
    log_offset    Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
PARTITION BY toYear(observed_at)
ORDER BY (character_id, observed_at, event_id)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_organisation_g1`.skill_levels ON CLUSTER `muster` AS `muster_organisation_g1`.skill_levels_local
ENGINE = Distributed('muster', 'muster_organisation_g1', 'skill_levels_local', sipHash64(character_id) % 3);

-- What skill sets asked for, from when on. A set that was removed asks for nothing.
CREATE TABLE IF NOT EXISTS `muster_organisation_g1`.skill_sets_local ON CLUSTER `muster`
(
    skill_set_id  UUID CODEC(ZSTD(1)),
    since         DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    event_id      UUID CODEC(ZSTD(1)),
    defined       Bool CODEC(ZSTD(1)),
    name          String CODEC(ZSTD(1)),
    skills        Array(Int64) CODEC(ZSTD(1)),
    required      Array(Int8) CODEC(ZSTD(1)),
    recommended   Array(Int8) CODEC(ZSTD(1)),
    log_partition Int32 CODEC(ZSTD(1)),
    log_offset    Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
ORDER BY (skill_set_id, since, event_id)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_organisation_g1`.skill_sets ON CLUSTER `muster` AS `muster_organisation_g1`.skill_sets_local
ENGINE = Distributed('muster', 'muster_organisation_g1', 'skill_sets_local', sipHash64(skill_set_id) % 3);

CREATE TABLE IF NOT EXISTS `muster_organisation_g1`.skill_set_groups_local ON CLUSTER `muster`
(
    group_id      UUID CODEC(ZSTD(1)),
    since         DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    event_id      UUID CODEC(ZSTD(1)),
    defined       Bool CODEC(ZSTD(1)),
    name          String CODEC(ZSTD(1)),
    sets          Array(UUID) CODEC(ZSTD(1)),
    log_partition Int32 CODEC(ZSTD(1)),
    log_offset    Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
ORDER BY (group_id, since, event_id)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_organisation_g1`.skill_set_groups ON CLUSTER `muster` AS `muster_organisation_g1`.skill_set_groups_local
ENGINE = Distributed('muster', 'muster_organisation_g1', 'skill_set_groups_local', sipHash64(group_id) % 3);
