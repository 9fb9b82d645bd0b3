-- +goose Up

-- The version of a stream's last decision. Its row is the lock of the stream.
-- Names compare by bytes, so that everybody locks rows in the same order.
CREATE TABLE stream_heads (
    stream  text COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL CHECK (version >= 0)
);

-- Decisions that are accepted, with the ids they will have in the log. Within a stream, the order of seq is the order of version.
CREATE TABLE outbox (
    seq            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream         text COLLATE "C" NOT NULL,
    version        bigint NOT NULL CHECK (version > 0),
    id             uuid NOT NULL UNIQUE,
    type           text NOT NULL,
    source         text NOT NULL,
    time           timestamptz NOT NULL,
    actor          text NOT NULL,
    correlation_id text NOT NULL,
    trace_parent   text NOT NULL,
    data           json NOT NULL,
    decided_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When the log acknowledged it; null until then.
    appended_at    timestamptz,
    -- Why the log refused it, once and for all; its stream stands still while this is set.
    refusal        text,
    UNIQUE (stream, version)
);
CREATE INDEX outbox_pending ON outbox (seq) WHERE appended_at IS NULL;
CREATE INDEX outbox_refused ON outbox (stream, version) WHERE refusal IS NOT NULL;
CREATE INDEX outbox_appended ON outbox (appended_at) WHERE appended_at IS NOT NULL;
