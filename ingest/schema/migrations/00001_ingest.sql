-- +goose Up

-- What is remembered of a section of a character between two readings.
CREATE TABLE section_state (
    character_id     bigint      NOT NULL,
    section          text        NOT NULL,
    -- Counts writes: each writer must have seen the row it replaces.
    revision         bigint      NOT NULL,
    content_hash     text        NOT NULL DEFAULT '',
    last_event_id    uuid,
    -- What the section itself needs to go on, such as known journal ids.
    cursor           bytea,
    fetched_at       timestamptz,
    changed_at       timestamptz,
    validated_at     timestamptz,
    -- No request before this moment: the cache has not expired, or ESI said so.
    not_before       timestamptz,
    failure_class    text,
    failure_status   integer     NOT NULL DEFAULT 0,
    failure_message  text        NOT NULL DEFAULT '',
    failing_since    timestamptz,
    failed_at        timestamptz,
    failures         integer     NOT NULL DEFAULT 0,
    failure_reported boolean     NOT NULL DEFAULT false,
    failure_known    boolean     NOT NULL DEFAULT false,
    last_spell_id    uuid,
    -- How many of the kept pages are the last reading that was taken over; 0 if
    -- they are what is left of one that failed.
    pages_complete   integer     NOT NULL DEFAULT 0,
    -- Events that are being appended, with the state that follows; after a
    -- crash exactly these are appended again.
    pending          bytea,
    PRIMARY KEY (character_id, section)
);

CREATE TABLE page_etag (
    character_id  bigint  NOT NULL,
    section       text    NOT NULL,
    page          integer NOT NULL,
    etag          text    NOT NULL,
    last_modified text    NOT NULL,
    -- zstd; only where there is more than one page.
    body          bytea,
    PRIMARY KEY (character_id, section, page)
);
ALTER TABLE page_etag ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE quarantine (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL,
    character_id bigint      NOT NULL,
    operation    text        NOT NULL,
    path         text        NOT NULL,
    status       integer     NOT NULL,
    content_type text        NOT NULL,
    reason       text        NOT NULL,
    body         bytea       NOT NULL
);
CREATE INDEX quarantine_of_character ON quarantine (character_id, operation, id);

CREATE TABLE token (
    character_id      bigint      PRIMARY KEY,
    owner_hash        text        NOT NULL DEFAULT '',
    scopes            text[]      NOT NULL DEFAULT '{}',
    -- AES-256-GCM, bound to the character.
    refresh_sealed    bytea       NOT NULL,
    access_sealed     bytea,
    access_expires_at timestamptz,
    access_verified   boolean     NOT NULL DEFAULT false,
    -- 'active', or 'parked' until the owner registers the character again.
    state             text        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'parked')),
    parked_reason     text        NOT NULL DEFAULT '',
    -- When the owner last gave the login, and when anything here last changed.
    registered_at     timestamptz NOT NULL,
    updated_at        timestamptz NOT NULL
);
