-- +goose Up

-- What the game's server last said of itself; one row at most.
CREATE TABLE server_status (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    -- How many characters were online at read_at, and since when the server runs.
    players    bigint NOT NULL,
    started_at timestamptz,
    version    text NOT NULL,
    -- Only CCP's people and their guests may log in.
    vip        boolean NOT NULL,
    read_at    timestamptz NOT NULL,
    -- Not before this moment.
    expires_at timestamptz NOT NULL,
    etag       text NOT NULL
);
