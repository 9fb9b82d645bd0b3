CREATE DATABASE IF NOT EXISTS `muster_anvil_history_g1` ON CLUSTER `muster`;

-- Sweeps. The row of one that was completed replaces that of its beginning, which has
-- the same moment.
CREATE TABLE IF NOT EXISTS `muster_anvil_history_g1`.sweeps_local ON CLUSTER `muster`
(
    consortium    LowCardinality(String) CODEC(ZSTD(1)),
    started_at    DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    sweep_id      UUID CODEC(NONE),
    completed     Bool CODEC(ZSTD(1)),
    milliseconds  Int64 CODEC(T64, ZSTD(1)),
    models        Int64 CODEC(T64, ZSTD(1)),
    scoped        Bool CODEC(ZSTD(1)),
    covered       Int64 CODEC(T64, ZSTD(1)),
    calls         Int64 CODEC(T64, ZSTD(1)),
    retries       Int64 CODEC(T64, ZSTD(1)),
    observed      Int64 CODEC(T64, ZSTD(1)),
    unseen        Int64 CODEC(T64, ZSTD(1)),
    event_id      UUID CODEC(NONE),
    log_partition Int32 CODEC(ZSTD(1)),
    log_offset    Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
PARTITION BY toYear(started_at)
ORDER BY (consortium, started_at, sweep_id)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_anvil_history_g1`.sweeps ON CLUSTER `muster` AS `muster_anvil_history_g1`.sweeps_local
ENGINE = Distributed('muster', 'muster_anvil_history_g1', 'sweeps_local', sipHash64(consortium) % 3);

-- What audits came to, a row for each model.
CREATE TABLE IF NOT EXISTS `muster_anvil_history_g1`.audits_local ON CLUSTER `muster`
(
    consortium    LowCardinality(String) CODEC(ZSTD(1)),
    model         LowCardinality(String) CODEC(ZSTD(1)),
    audited_at    DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    event_id      UUID CODEC(NONE),
    sweep_id      UUID CODEC(NONE),
    audited       Int64 CODEC(T64, ZSTD(1)),
    verified      Int64 CODEC(T64, ZSTD(1)),
    errors        Int64 CODEC(T64, ZSTD(1)),
    beyond        Int64 CODEC(T64, ZSTD(1)),
    unknown       Int64 CODEC(T64, ZSTD(1)),
    not_in_app    Int64 CODEC(T64, ZSTD(1)),
    ignored       Int64 CODEC(T64, ZSTD(1)),
    unlisted      Int64 CODEC(T64, ZSTD(1)),
    log_partition Int32 CODEC(ZSTD(1)),
    log_offset    Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
PARTITION BY toYear(audited_at)
ORDER BY (consortium, model, audited_at, event_id)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_anvil_history_g1`.audits ON CLUSTER `muster` AS `muster_anvil_history_g1`.audits_local
ENGINE = Distributed('muster', 'muster_anvil_history_g1', 'audits_local', sipHash64(consortium) % 3);
