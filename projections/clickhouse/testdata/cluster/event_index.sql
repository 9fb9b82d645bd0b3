CREATE DATABASE IF NOT EXISTS `muster_event_index_g1` ON CLUSTER `muster`;

CREATE TABLE IF NOT EXISTS `muster_event_index_g1`.event_index_local ON CLUSTER `muster`
(
    stream         String CODEC(ZSTD(1)),
    log_offset     Int64 CODEC(Delta(8), ZSTD(1)),
    log_partition  Int32 CODEC(ZSTD(1)),
    topic          LowCardinality(String) CODEC(ZSTD(1)),
    world          LowCardinality(String) CODEC(ZSTD(1)),
    -- As good as random: it does not get smaller.
    event_id       UUID CODEC(NONE),
    type           LowCardinality(String) CODEC(ZSTD(1)),
    -- The number of a decision in its stream, zero for observations.
    stream_version Int64 CODEC(Delta(8), ZSTD(1)),
    time           DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    recorded       DateTime64(6, 'UTC') CODEC(Delta(8), ZSTD(1)),
    source         LowCardinality(String) CODEC(ZSTD(1)),
    actor          LowCardinality(String) CODEC(ZSTD(1)),
    correlation_id String CODEC(ZSTD(1)),
    causation_id   String CODEC(ZSTD(1)),
    -- Zero and empty for streams of other kinds.
    character_id   Int64 CODEC(ZSTD(1)),
    consortium     LowCardinality(String) CODEC(ZSTD(1)),
    section        LowCardinality(String) CODEC(ZSTD(1)),
    content_hash   String CODEC(ZSTD(1)),
    -- What retention has to know: the day of the records that an event tells of (the
    -- first of 1970 for none), how an observation is written, and from what it differs.
    day            Date32 CODEC(ZSTD(1)),
    encoding       LowCardinality(String) CODEC(ZSTD(1)),
    base           UUID CODEC(ZSTD(1)),
    size           UInt64 CODEC(T64, ZSTD(1)),
    INDEX event_ids event_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX correlations correlation_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = ReplicatedReplacingMergeTree
PARTITION BY toYYYYMM(time)
ORDER BY (stream, topic, log_offset)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_event_index_g1`.event_index ON CLUSTER `muster` AS `muster_event_index_g1`.event_index_local
ENGINE = Distributed('muster', 'muster_event_index_g1', 'event_index_local', sipHash64(stream) % 3);

-- Of each character, where it was forgotten: what lies before that is told no
-- more, though it stays in the log until its tombstones come.
CREATE TABLE IF NOT EXISTS `muster_event_index_g1`.forgotten_local ON CLUSTER `muster`
(
    stream        String,
    topic         LowCardinality(String),
    log_offset    Int64,
    log_partition Int32,
    time          DateTime64(6, 'UTC'),
    event_id      UUID
)
ENGINE = ReplicatedReplacingMergeTree
ORDER BY (stream, topic, log_offset)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_event_index_g1`.forgotten ON CLUSTER `muster` AS `muster_event_index_g1`.forgotten_local
ENGINE = Distributed('muster', 'muster_event_index_g1', 'forgotten_local', sipHash64(stream) % 3);
