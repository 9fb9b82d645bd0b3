-- +goose Up
-- What all processes behind one address have to know of ESI's shared error limit:
-- one row, written when there are errors. Moments are by the clock of this database.
CREATE TABLE esi_errors (
    one        boolean     PRIMARY KEY DEFAULT true CHECK (one),
    errors_left integer    NOT NULL DEFAULT 100,
    -- When ESI counts anew; before it, errors_left holds.
    reset_at   timestamptz NOT NULL DEFAULT 'epoch',
    -- Until when nothing is asked, after a 420.
    stop_until timestamptz NOT NULL DEFAULT 'epoch',
    incidents  bigint      NOT NULL DEFAULT 0
);
INSERT INTO esi_errors DEFAULT VALUES;

-- How the routes fare, as ESI said last: one row, read by one process for all.
CREATE TABLE esi_health (
    one         boolean     PRIMARY KEY DEFAULT true CHECK (one),
    revision    bigint      NOT NULL DEFAULT 0,
    body        bytea       NOT NULL DEFAULT '',
    etag        text        NOT NULL DEFAULT '',
    read_at     timestamptz NOT NULL DEFAULT 'epoch',
    -- ESI is not asked again before this.
    expires_at  timestamptz NOT NULL DEFAULT 'epoch',
    -- Who reads it now has until then.
    taken_until timestamptz NOT NULL DEFAULT 'epoch'
);
INSERT INTO esi_health DEFAULT VALUES;

-- What ESI refused at least five times in a row is not asked for until then.
CREATE TABLE esi_refusal (
    operation    text        NOT NULL,
    path         text        NOT NULL,
    character_id bigint      NOT NULL,
    refusals     integer     NOT NULL,
    until        timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (operation, path, character_id)
);
CREATE INDEX esi_refusal_updated ON esi_refusal (updated_at);

-- +goose Down
DROP TABLE esi_refusal;
DROP TABLE esi_health;
DROP TABLE esi_errors;
