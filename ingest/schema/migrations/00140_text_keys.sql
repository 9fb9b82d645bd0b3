-- +goose Up
-- The keys that seal the personal texts of characters in the log. A key that was
-- destroyed leaves its id, so that it is known that what it sealed is gone for good.
CREATE TABLE text_key (
    key_id       uuid        PRIMARY KEY,
    character_id bigint      NOT NULL,
    -- AES-256-GCM under the secret key, bound to the id and the character; gone once
    -- the key was destroyed.
    wrapped      bytea,
    created_at   timestamptz NOT NULL DEFAULT now(),
    destroyed_at timestamptz,
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL))
);
-- A character has one key at a time.
CREATE UNIQUE INDEX text_key_current ON text_key (character_id) WHERE wrapped IS NOT NULL;
CREATE INDEX text_key_destroyed ON text_key (destroyed_at) WHERE destroyed_at IS NOT NULL;

-- Characters that were forgotten and whose events have no tombstones yet.
CREATE TABLE to_expire (
    character_id bigint      PRIMARY KEY,
    at           timestamptz NOT NULL
);

-- +goose Down
DROP TABLE to_expire;
DROP TABLE text_key;
