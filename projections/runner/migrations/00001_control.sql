-- +goose Up
CREATE TABLE projections (
    name            text PRIMARY KEY,
    live_generation integer,
    -- While hold_until is in the future the owner of the projection lets go of
    -- it, so that generations can be compared at one and the same position.
    hold_until      timestamptz,
    hold_by         text
);

CREATE TABLE generations (
    name        text NOT NULL REFERENCES projections,
    generation  integer NOT NULL,
    version     integer NOT NULL,
    namespace   text NOT NULL,
    status      text NOT NULL CHECK (status IN ('building', 'ready', 'live', 'retired', 'failed', 'dropped')),
    reason      text NOT NULL DEFAULT '',
    created_at  timestamptz NOT NULL DEFAULT now(),
    promoted_at timestamptz,
    retired_at  timestamptz,
    -- Counts and checksums of the comparison that allowed the promotion.
    evidence    jsonb,
    PRIMARY KEY (name, generation)
);

CREATE TABLE checkpoints (
    name        text NOT NULL,
    generation  integer NOT NULL,
    topic       text NOT NULL,
    partition   integer NOT NULL,
    -- The offset to read next: everything below it has been applied.
    next_offset bigint NOT NULL,
    -- A batch that ends before pending_to may or may not have reached a store
    -- that has no transactions; it is written again under the same token.
    pending_to    bigint,
    pending_token text,
    -- Timestamp of the last applied record, and how many were applied.
    record_time timestamptz,
    records     bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (name, generation, topic, partition),
    FOREIGN KEY (name, generation) REFERENCES generations ON DELETE CASCADE
);

CREATE TABLE stream_versions (
    name       text NOT NULL,
    generation integer NOT NULL,
    stream     text NOT NULL,
    version    bigint NOT NULL,
    PRIMARY KEY (name, generation, stream),
    FOREIGN KEY (name, generation) REFERENCES generations ON DELETE CASCADE
);

CREATE TABLE parked (
    name       text NOT NULL,
    generation integer NOT NULL,
    topic      text NOT NULL,
    partition  integer NOT NULL,
    log_offset bigint NOT NULL,
    stream     text NOT NULL,
    -- Everything with the same sequence waits behind the first parked event.
    sequence   text NOT NULL,
    event_id   text NOT NULL,
    type       text NOT NULL,
    -- Why the event could not be applied; empty for one that only waits.
    reason     text NOT NULL,
    state      text NOT NULL CHECK (state IN ('poisoned', 'waiting', 'retry')),
    parked_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, generation, topic, partition, log_offset),
    FOREIGN KEY (name, generation) REFERENCES generations ON DELETE CASCADE
);
CREATE INDEX parked_sequence ON parked (name, generation, sequence, log_offset);

-- Events that an operator took out of a projection. They stay in the log and
-- are left out by every later generation, too.
CREATE TABLE skipped (
    name       text NOT NULL REFERENCES projections,
    topic      text NOT NULL,
    partition  integer NOT NULL,
    log_offset bigint NOT NULL,
    event_id   text NOT NULL,
    reason     text NOT NULL,
    actor      text NOT NULL,
    skipped_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (name, topic, partition, log_offset)
);
