CREATE DATABASE IF NOT EXISTS `muster_wallet_g1` ON CLUSTER `muster`;

-- There are more rows of this than of anything else. Within a character they lie by date,
-- so ids, moments and places in the log differ little from those before them. What is
-- random in a row is compressed as it is.
CREATE TABLE IF NOT EXISTS `muster_wallet_g1`.wallet_journal_local ON CLUSTER `muster`
(
    character_id    Int64                            CODEC(ZSTD(1)),
    id              Int64                            CODEC(Delta, T64, ZSTD(1)),
    date            DateTime('UTC')                  CODEC(Delta, T64, ZSTD(1)),
    ref_type        LowCardinality(String)           CODEC(ZSTD(1)),
    amount          Decimal(20, 2)                   CODEC(ZSTD(3)),
    balance         Nullable(Decimal(20, 2))         CODEC(ZSTD(3)),
    tax             Decimal(20, 2)                   CODEC(ZSTD(3)),
    first_party_id  Int64                            CODEC(T64, ZSTD(1)),
    second_party_id Int64                            CODEC(T64, ZSTD(1)),
    tax_receiver_id Int64                            CODEC(T64, ZSTD(1)),
    context_id      Int64                            CODEC(Delta, ZSTD(3)),
    context_id_type LowCardinality(String)           CODEC(ZSTD(1)),
    description     String                           CODEC(ZSTD(9)),
    reason          String                           CODEC(ZSTD(1)),
    -- When ESI was first seen to have it.
    observed_at     DateTime64(3, 'UTC')             CODEC(Delta, ZSTD(1)),
    event_id        UUID                             CODEC(ZSTD(1)),
    log_partition   Int32                            CODEC(ZSTD(1)),
    log_offset      Int64                            CODEC(Delta, ZSTD(1)),
    precedence      UInt64 MATERIALIZED toUInt64(9223372036854775807 - log_offset) CODEC(Delta, ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree(precedence)
PARTITION BY toYYYYMM(date)
ORDER BY (character_id, date, id)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_wallet_g1`.wallet_journal ON CLUSTER `muster` AS `muster_wallet_g1`.wallet_journal_local
ENGINE = Distributed('muster', 'muster_wallet_g1', 'wallet_journal_local', sipHash64(character_id) % 3);

CREATE TABLE IF NOT EXISTS `muster_wallet_g1`.affiliations_local ON CLUSTER `muster`
(
    character_id   Int64,
    since          DateTime64(3, 'UTC'),
    corporation_id Int64,
    alliance_id    Int64,
    event_id       UUID,
    log_partition  Int32,
    log_offset     Int64
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
ORDER BY (character_id, since)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_wallet_g1`.affiliations ON CLUSTER `muster` AS `muster_wallet_g1`.affiliations_local
ENGINE = Distributed('muster', 'muster_wallet_g1', 'affiliations_local', sipHash64(character_id) % 3);

CREATE TABLE IF NOT EXISTS `muster_wallet_g1`.balances_local ON CLUSTER `muster`
(
    character_id  Int64,
    observed_at   DateTime64(3, 'UTC'),
    balance       Decimal(20, 2),
    event_id      UUID,
    log_partition Int32,
    log_offset    Int64
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
PARTITION BY toYYYYMM(observed_at)
ORDER BY (character_id, observed_at)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_wallet_g1`.balances ON CLUSTER `muster` AS `muster_wallet_g1`.balances_local
ENGINE = Distributed('muster', 'muster_wallet_g1', 'balances_local', sipHash64(character_id) % 3);

-- What the journals of characters came to before the days at which their older
-- entries were removed.
CREATE TABLE IF NOT EXISTS `muster_wallet_g1`.closings_local ON CLUSTER `muster`
(
    character_id  Int64,
    before        Date32,
    entries       Int64,
    total         Decimal(20, 2),
    balance       Nullable(Decimal(20, 2)),
    last_entry_id Int64,
    last_at       DateTime('UTC'),
    event_id      UUID,
    log_partition Int32,
    log_offset    Int64
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
ORDER BY (character_id)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_wallet_g1`.closings ON CLUSTER `muster` AS `muster_wallet_g1`.closings_local
ENGINE = Distributed('muster', 'muster_wallet_g1', 'closings_local', sipHash64(character_id) % 3);
