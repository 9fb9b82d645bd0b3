-- +goose Up
-- A section is read from one or several answers; those of a part have the part's
-- name after the section's, with a slash between them, in page_etag.
ALTER TABLE section_state
    -- How many of the kept pages of each part, in the order of the parts, are the
    -- last reading that was taken over; 0 if they are what is left of one that
    -- failed.
    ADD COLUMN parts_complete integer[] NOT NULL DEFAULT '{}',
    -- The full observation that differences refer to.
    ADD COLUMN base_id uuid,
    ADD COLUMN base_at timestamptz,
    ADD COLUMN base_keys bytea;
UPDATE section_state SET parts_complete = ARRAY[pages_complete];
ALTER TABLE section_state DROP COLUMN pages_complete;
CREATE INDEX section_state_waiting ON section_state (character_id) WHERE failure_class = 'token';

-- What is fetched apart, one by one: bodies of mails, contents of contracts.
CREATE TABLE follow_up (
    character_id  bigint      NOT NULL,
    section       text        NOT NULL,
    kind          text        NOT NULL,
    item_id       bigint      NOT NULL,
    -- What the request needs beside the id, such as a killmail's hash.
    extra         text        NOT NULL DEFAULT '',
    -- The moment of the record that it belongs to.
    moment        timestamptz NOT NULL,
    -- Fetched once, or again and again while the row is there.
    once          boolean     NOT NULL,
    etag          text        NOT NULL DEFAULT '',
    content_hash  text        NOT NULL DEFAULT '',
    last_event_id uuid,
    fetched_at    timestamptz,
    due_at        timestamptz NOT NULL,
    -- No request before this moment: the cache has not expired.
    not_before    timestamptz,
    failures      integer     NOT NULL DEFAULT 0,
    class         text        NOT NULL DEFAULT '',
    status        integer     NOT NULL DEFAULT 0,
    message       text        NOT NULL DEFAULT '',
    since         timestamptz,
    PRIMARY KEY (character_id, section, kind, item_id)
);
CREATE INDEX follow_up_due ON follow_up (character_id, section, due_at);

-- What is not synced for the time being: 0 is every character, '' every section.
CREATE TABLE pause (
    character_id bigint      NOT NULL,
    section      text        NOT NULL,
    reason       text        NOT NULL,
    since        timestamptz NOT NULL,
    PRIMARY KEY (character_id, section)
);

-- +goose Down
DROP TABLE pause;
DROP TABLE follow_up;
DROP INDEX section_state_waiting;
ALTER TABLE section_state ADD COLUMN pages_complete integer NOT NULL DEFAULT 0;
UPDATE section_state SET pages_complete = coalesce(parts_complete[1], 0);
ALTER TABLE section_state DROP COLUMN parts_complete, DROP COLUMN base_id, DROP COLUMN base_at, DROP COLUMN base_keys;
