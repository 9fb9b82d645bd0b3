-- +goose Up
-- The log folded up to a moment, for auditors. Its generations are never live.
CREATE TABLE scratches (
    name       text PRIMARY KEY,
    -- Nanoseconds since 1970, for events bear times finer than a timestamptz.
    until_ns   bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- When it had come to the end of the log for the first time.
    ready_at   timestamptz
);

ALTER TABLE generations ADD COLUMN scratch text REFERENCES scratches ON DELETE CASCADE;
ALTER TABLE generations DROP CONSTRAINT generations_status_check;
ALTER TABLE generations ADD CONSTRAINT generations_status_check
    CHECK (status IN ('building', 'ready', 'live', 'retired', 'failed', 'dropped', 'scratch')
        AND (status = 'scratch') = (scratch IS NOT NULL));
