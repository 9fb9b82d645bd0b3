-- +goose Up

-- Looks at data of others, from when they happened until the log has them. Those of the same viewer at the same
-- thing are added up in one row, until it is sealed: a sealed row changes no more and is appended with its id.
CREATE TABLE looks (
    id             uuid PRIMARY KEY,
    viewer_id      text COLLATE "C" NOT NULL,
    viewer_user_id text NOT NULL,
    owner_id       text COLLATE "C" NOT NULL,
    character_id   bigint NOT NULL,
    section        text COLLATE "C" NOT NULL,
    way            text COLLATE "C" NOT NULL,
    link_id        text COLLATE "C" NOT NULL,
    first_at       timestamptz NOT NULL,
    last_at        timestamptz NOT NULL,
    count          bigint NOT NULL CHECK (count > 0),
    rows           bigint NOT NULL,
    -- When it is to be sealed.
    due_at         timestamptz NOT NULL,
    sealed_at      timestamptz,
    -- When the log acknowledged it.
    appended_at    timestamptz,
    -- Why the log refused it, once and for all.
    refusal        text
);
CREATE UNIQUE INDEX looks_open ON looks (viewer_id, character_id, section, owner_id, way, link_id) WHERE sealed_at IS NULL;
CREATE INDEX looks_before ON looks (viewer_id, character_id, section, owner_id, way, link_id, sealed_at) WHERE sealed_at IS NOT NULL;
CREATE INDEX looks_due ON looks (due_at) WHERE sealed_at IS NULL;
CREATE INDEX looks_pending ON looks (sealed_at) WHERE sealed_at IS NOT NULL AND appended_at IS NULL AND refusal IS NULL;
CREATE INDEX looks_appended ON looks (appended_at) WHERE appended_at IS NOT NULL;
CREATE INDEX looks_character ON looks (character_id);
