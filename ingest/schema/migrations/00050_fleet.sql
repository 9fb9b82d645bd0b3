-- +goose Up
-- The ingest processes that share the characters. All moments are by the clock of
-- this database; no process compares them with its own.
CREATE TABLE member (
    id         text        PRIMARY KEY,
    joined_at  timestamptz NOT NULL DEFAULT now(),
    -- It renews this for as long as it lives, and asks ESI for nothing after it.
    expires_at timestamptz NOT NULL
);

-- Who works for a part of the characters: those whose id leaves this remainder.
CREATE TABLE shard (
    shard integer PRIMARY KEY,
    -- NULL: nobody, and nobody has to be waited for.
    owner text,
    -- Counts owners.
    epoch bigint NOT NULL DEFAULT 0
);
INSERT INTO shard (shard) SELECT generate_series(0, 15);

-- +goose Down
DROP TABLE shard;
DROP TABLE member;
