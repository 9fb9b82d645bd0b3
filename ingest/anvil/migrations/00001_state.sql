-- +goose Up

-- What was recorded last of each record of a consortium: the hash of its
-- content and the event that says it.
CREATE TABLE records (
    stream   text NOT NULL,
    kind     text NOT NULL,
    name     text NOT NULL,
    hash     text NOT NULL,
    event_id uuid NOT NULL,
    PRIMARY KEY (stream, kind, name)
);

-- Events that a sweep is about to append, and the records as they will be
-- then. They stay here while it is not known whether the events were appended.
CREATE TABLE pending (
    stream      text PRIMARY KEY,
    events      bytea NOT NULL,
    prepared_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE pending_records (
    stream   text NOT NULL REFERENCES pending (stream) DEFERRABLE INITIALLY DEFERRED,
    kind     text NOT NULL,
    name     text NOT NULL,
    hash     text NOT NULL,
    event_id uuid NOT NULL,
    PRIMARY KEY (stream, kind, name)
);
