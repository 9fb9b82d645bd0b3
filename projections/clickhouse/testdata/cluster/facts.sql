CREATE DATABASE IF NOT EXISTS `muster_facts_g1` ON CLUSTER `muster`;

-- A trade is replaced by what was recorded of it last. Days are those of the
-- records, which is what an amendment shares with what it amends.
CREATE TABLE IF NOT EXISTS `muster_facts_g1`.transactions_local ON CLUSTER `muster`
(
    character_id   Int64 CODEC(ZSTD(1)),
    transaction_id Int64 CODEC(Delta(8), ZSTD(1)),
    day            Date CODEC(Delta(2), ZSTD(1)),
    date           DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    -- False for a record that is no trade that can be counted. The rest is zero then.
    readable       Bool CODEC(ZSTD(1)),
    type_id        Int64 CODEC(ZSTD(1)),
    quantity       Int64 CODEC(T64, ZSTD(1)),
    unit_price     Decimal(20, 2) CODEC(ZSTD(1)),
    is_buy         Bool CODEC(ZSTD(1)),
    is_personal    Bool CODEC(ZSTD(1)),
    client_id      Int64 CODEC(ZSTD(1)),
    location_id    Int64 CODEC(ZSTD(1)),
    journal_ref_id Int64 CODEC(Delta(8), ZSTD(1)),
    event_id       UUID CODEC(ZSTD(1)),
    log_partition  Int32 CODEC(ZSTD(1)),
    log_offset     Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
PARTITION BY toYYYYMM(day)
ORDER BY (character_id, transaction_id)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_facts_g1`.transactions ON CLUSTER `muster` AS `muster_facts_g1`.transactions_local
ENGINE = Distributed('muster', 'muster_facts_g1', 'transactions_local', sipHash64(character_id) % 3);

CREATE TABLE IF NOT EXISTS `muster_facts_g1`.mining_local ON CLUSTER `muster`
(
    character_id    Int64 CODEC(ZSTD(1)),
    day             Date CODEC(Delta(2), ZSTD(1)),
    solar_system_id Int64 CODEC(ZSTD(1)),
    type_id         Int64 CODEC(ZSTD(1)),
    quantity        Int64 CODEC(T64, ZSTD(1)),
    event_id        UUID CODEC(ZSTD(1)),
    log_partition   Int32 CODEC(ZSTD(1)),
    log_offset      Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
PARTITION BY toYYYYMM(day)
ORDER BY (character_id, day, solar_system_id, type_id)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_facts_g1`.mining ON CLUSTER `muster` AS `muster_facts_g1`.mining_local
ENGINE = Distributed('muster', 'muster_facts_g1', 'mining_local', sipHash64(character_id) % 3);

-- Skill points as observed. Those of a difference may be those of the full
-- observation that it is a difference from. They are not told then, and zero.
CREATE TABLE IF NOT EXISTS `muster_facts_g1`.skill_points_local ON CLUSTER `muster`
(
    character_id  Int64 CODEC(ZSTD(1)),
    observed_at   DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    told          Bool CODEC(ZSTD(1)),
    total         Int64 CODEC(T64, ZSTD(1)),
    unallocated   Int64 CODEC(T64, ZSTD(1)),
    base_id       UUID CODEC(ZSTD(1)),
    event_id      UUID CODEC(ZSTD(1)),
    log_partition Int32 CODEC(ZSTD(1)),
    log_offset    Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
PARTITION BY toYYYYMM(observed_at)
ORDER BY (character_id, observed_at)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_facts_g1`.skill_points ON CLUSTER `muster` AS `muster_facts_g1`.skill_points_local
ENGINE = Distributed('muster', 'muster_facts_g1', 'skill_points_local', sipHash64(character_id) % 3);

-- Where characters were since when.
CREATE TABLE IF NOT EXISTS `muster_facts_g1`.affiliations_local ON CLUSTER `muster`
(
    character_id   Int64 CODEC(ZSTD(1)),
    since          DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    corporation_id Int64 CODEC(ZSTD(1)),
    alliance_id    Int64 CODEC(ZSTD(1)),
    event_id       UUID CODEC(ZSTD(1)),
    log_partition  Int32 CODEC(ZSTD(1)),
    log_offset     Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
ORDER BY (character_id, since)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_facts_g1`.affiliations ON CLUSTER `muster` AS `muster_facts_g1`.affiliations_local
ENGINE = Distributed('muster', 'muster_facts_g1', 'affiliations_local', sipHash64(character_id) % 3);
