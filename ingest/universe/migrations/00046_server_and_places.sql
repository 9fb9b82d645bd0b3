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

-- As it was, but with one type in each column: a union of differing types is made in full
-- before it is filtered, so that each look for a few places read all systems and stations.
CREATE OR REPLACE VIEW location AS
SELECT system_id AS location_id, name, 'system' AS kind, system_id, NULL::bigint AS type_id, NULL::bigint AS owner_id FROM system
UNION ALL
SELECT station_id, name, 'station', system_id, type_id, owner_id FROM station
UNION ALL
SELECT structure_id, name, 'structure', system_id, type_id, owner_id FROM structure
UNION ALL
SELECT 2004::bigint, 'Asset Safety', 'asset safety', NULL::bigint, NULL::bigint, NULL::bigint;
