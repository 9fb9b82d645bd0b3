CREATE DATABASE IF NOT EXISTS `muster_finding_steps_g1` ON CLUSTER `muster`;

-- What happened to findings. The event's id is part of the key, for an event that
-- was appended twice is one step.
CREATE TABLE IF NOT EXISTS `muster_finding_steps_g1`.finding_steps_local ON CLUSTER `muster`
(
    consortium    LowCardinality(String) CODEC(ZSTD(1)),
    finding_id    UUID CODEC(ZSTD(1)),
    at            DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    event_id      UUID CODEC(ZSTD(1)),
    step          LowCardinality(String) CODEC(ZSTD(1)),
    model         LowCardinality(String) CODEC(ZSTD(1)),
    scope         String CODEC(ZSTD(1)),
    record        String CODEC(ZSTD(1)),
    kind          LowCardinality(String) CODEC(ZSTD(1)),
    severity      LowCardinality(String) CODEC(ZSTD(1)),
    beyond        Bool CODEC(ZSTD(1)),
    opened_at     DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    log_partition Int32 CODEC(ZSTD(1)),
    log_offset    Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree
PARTITION BY toYYYYMM(at)
ORDER BY (consortium, finding_id, at, event_id)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_finding_steps_g1`.finding_steps ON CLUSTER `muster` AS `muster_finding_steps_g1`.finding_steps_local
ENGINE = Distributed('muster', 'muster_finding_steps_g1', 'finding_steps_local', sipHash64(consortium) % 3);
