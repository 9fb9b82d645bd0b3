CREATE DATABASE IF NOT EXISTS `muster_records_g1` ON CLUSTER `muster`;

-- What each event told of a contract: fields says which of the columns it told, the
-- others are zero. A contract is its rows laid over one another in the order of the log.
-- All rows of one have the day on which it was issued.
CREATE TABLE IF NOT EXISTS `muster_records_g1`.contracts_local ON CLUSTER `muster`
(
    character_id  Int64 CODEC(ZSTD(1)),
    contract_id   Int64 CODEC(Delta(8), ZSTD(1)),
    event_id      UUID CODEC(ZSTD(1)),
    day           Date CODEC(Delta(2), ZSTD(1)),
    told_at       DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    fields        UInt32 CODEC(ZSTD(1)),
    kind          LowCardinality(String) CODEC(ZSTD(1)),
    status        LowCardinality(String) CODEC(ZSTD(1)),
    issuer_id     Int64 CODEC(ZSTD(1)),
    assignee_id   Int64 CODEC(ZSTD(1)),
    acceptor_id   Int64 CODEC(ZSTD(1)),
    issued        DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    accepted      DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    completed     DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    price         Decimal(20, 2) CODEC(ZSTD(1)),
    reward        Decimal(20, 2) CODEC(ZSTD(1)),
    collateral    Decimal(20, 2) CODEC(ZSTD(1)),
    log_partition Int32 CODEC(ZSTD(1)),
    log_offset    Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
PARTITION BY toYYYYMM(day)
ORDER BY (character_id, contract_id, event_id)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_records_g1`.contracts ON CLUSTER `muster` AS `muster_records_g1`.contracts_local
ENGINE = Distributed('muster', 'muster_records_g1', 'contracts_local', sipHash64(character_id) % 3);

-- Killmails as each character on either side has them.
CREATE TABLE IF NOT EXISTS `muster_records_g1`.killmails_local ON CLUSTER `muster`
(
    character_id    Int64 CODEC(ZSTD(1)),
    killmail_id     Int64 CODEC(Delta(8), ZSTD(1)),
    day             Date CODEC(Delta(2), ZSTD(1)),
    date            DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    -- False for a record that is no killmail that can be counted. The rest is zero then.
    readable        Bool CODEC(ZSTD(1)),
    loss            Bool CODEC(ZSTD(1)),
    final_blow      Bool CODEC(ZSTD(1)),
    attackers       Int64 CODEC(T64, ZSTD(1)),
    ship_type_id    Int64 CODEC(ZSTD(1)),
    solar_system_id Int64 CODEC(ZSTD(1)),
    victim_id       Int64 CODEC(ZSTD(1)),
    item_types      Array(Int64) CODEC(ZSTD(1)),
    item_quantities Array(Int64) CODEC(ZSTD(1)),
    event_id        UUID CODEC(ZSTD(1)),
    log_partition   Int32 CODEC(ZSTD(1)),
    log_offset      Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
PARTITION BY toYYYYMM(day)
ORDER BY (character_id, killmail_id)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_records_g1`.killmails ON CLUSTER `muster` AS `muster_records_g1`.killmails_local
ENGINE = Distributed('muster', 'muster_records_g1', 'killmails_local', sipHash64(character_id) % 3);

-- What was seen of who is online. What ESI does not tell is zero.
CREATE TABLE IF NOT EXISTS `muster_records_g1`.presence_local ON CLUSTER `muster`
(
    character_id  Int64 CODEC(ZSTD(1)),
    observed_at   DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    online        Bool CODEC(ZSTD(1)),
    last_login    DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    last_logout   DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    logins        Int64 CODEC(Delta(8), ZSTD(1)),
    event_id      UUID CODEC(ZSTD(1)),
    log_partition Int32 CODEC(ZSTD(1)),
    log_offset    Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
PARTITION BY toYYYYMM(observed_at)
ORDER BY (character_id, observed_at)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_records_g1`.presence ON CLUSTER `muster` AS `muster_records_g1`.presence_local
ENGINE = Distributed('muster', 'muster_records_g1', 'presence_local', sipHash64(character_id) % 3);

-- Who wrote to whom and when, never what.
CREATE TABLE IF NOT EXISTS `muster_records_g1`.mails_local ON CLUSTER `muster`
(
    character_id  Int64 CODEC(ZSTD(1)),
    mail_id       Int64 CODEC(Delta(8), ZSTD(1)),
    day           Date CODEC(Delta(2), ZSTD(1)),
    date          DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    readable      Bool CODEC(ZSTD(1)),
    from_id       Int64 CODEC(ZSTD(1)),
    recipients    Array(Int64) CODEC(ZSTD(1)),
    event_id      UUID CODEC(ZSTD(1)),
    log_partition Int32 CODEC(ZSTD(1)),
    log_offset    Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
PARTITION BY toYYYYMM(day)
ORDER BY (character_id, mail_id)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_records_g1`.mails ON CLUSTER `muster` AS `muster_records_g1`.mails_local
ENGINE = Distributed('muster', 'muster_records_g1', 'mails_local', sipHash64(character_id) % 3);

CREATE TABLE IF NOT EXISTS `muster_records_g1`.notifications_local ON CLUSTER `muster`
(
    character_id    Int64 CODEC(ZSTD(1)),
    notification_id Int64 CODEC(Delta(8), ZSTD(1)),
    day             Date CODEC(Delta(2), ZSTD(1)),
    date            DateTime('UTC') CODEC(Delta(4), ZSTD(1)),
    readable        Bool CODEC(ZSTD(1)),
    kind            LowCardinality(String) CODEC(ZSTD(1)),
    sender_id       Int64 CODEC(ZSTD(1)),
    event_id        UUID CODEC(ZSTD(1)),
    log_partition   Int32 CODEC(ZSTD(1)),
    log_offset      Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
PARTITION BY toYYYYMM(day)
ORDER BY (character_id, notification_id)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_records_g1`.notifications ON CLUSTER `muster` AS `muster_records_g1`.notifications_local
ENGINE = Distributed('muster', 'muster_records_g1', 'notifications_local', sipHash64(character_id) % 3);

-- What the log says of reading sections: that something new was told, that a spell of
-- failures began or became another, that it ended. A reading that is made again after a crash
-- gives the same event at another moment: the last copy counts, which is what compaction leaves.
CREATE TABLE IF NOT EXISTS `muster_records_g1`.sync_steps_local ON CLUSTER `muster`
(
    section       LowCardinality(String) CODEC(ZSTD(1)),
    character_id  Int64 CODEC(ZSTD(1)),
    at            DateTime64(3, 'UTC') CODEC(Delta(8), ZSTD(1)),
    event_id      UUID CODEC(ZSTD(1)),
    step          LowCardinality(String) CODEC(ZSTD(1)),
    class         LowCardinality(String) CODEC(ZSTD(1)),
    log_partition Int32 CODEC(ZSTD(1)),
    log_offset    Int64 CODEC(Delta(8), ZSTD(1))
)
ENGINE = ReplicatedReplacingMergeTree(log_offset)
PARTITION BY toYYYYMM(at)
ORDER BY (section, character_id, event_id)
SETTINGS replicated_deduplication_window_seconds = 2592000, replicated_deduplication_window = 10000;

CREATE TABLE IF NOT EXISTS `muster_records_g1`.sync_steps ON CLUSTER `muster` AS `muster_records_g1`.sync_steps_local
ENGINE = Distributed('muster', 'muster_records_g1', 'sync_steps_local', sipHash64(character_id) % 3);

-- Where characters were since when.
CREATE TABLE IF NOT EXISTS `muster_records_g1`.affiliations_local ON CLUSTER `muster`
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

CREATE TABLE IF NOT EXISTS `muster_records_g1`.affiliations ON CLUSTER `muster` AS `muster_records_g1`.affiliations_local
ENGINE = Distributed('muster', 'muster_records_g1', 'affiliations_local', sipHash64(character_id) % 3);
