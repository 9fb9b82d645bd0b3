-- A trade is replaced by what was recorded of it last. Days are those of the
-- records, which is what an amendment shares with what it amends.
CREATE TABLE IF NOT EXISTS {database}.transactions
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
ENGINE = ReplacingMergeTree(log_offset)
PARTITION BY toYYYYMM(day)
ORDER BY (character_id, transaction_id)
SETTINGS non_replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS {database}.mining
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
ENGINE = ReplacingMergeTree(log_offset)
PARTITION BY toYYYYMM(day)
ORDER BY (character_id, day, solar_system_id, type_id)
SETTINGS non_replicated_deduplication_window = 10000;

-- Skill points as observed. Those of a difference may be those of the full
-- observation that it is a difference from. They are not told then, and zero.
CREATE TABLE IF NOT EXISTS {database}.skill_points
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
ENGINE = ReplacingMergeTree(log_offset)
PARTITION BY toYYYYMM(observed_at)
ORDER BY (character_id, observed_at)
SETTINGS non_replicated_deduplication_window = 10000;

-- Where characters were since when.
CREATE TABLE IF NOT EXISTS {database}.affiliations
(
    character_id   Int64 CODEC(ZSTD(1)),
    since          DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    corporation_id Int64 CODEC(ZSTD(1)),
    alliance_id    Int64 CODEC(ZSTD(1)),
    event_id       UUID CODEC(ZSTD(1)),
    log_partition  Int32 CODEC(ZSTD(1)),
    log_offset     Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplacingMergeTree(log_offset)
ORDER BY (character_id, since)
SETTINGS non_replicated_deduplication_window = 10000;
