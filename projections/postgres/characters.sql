CREATE TABLE users (
    user_id       text PRIMARY KEY,
    name          text NOT NULL,
    superuser     boolean NOT NULL,
    active        boolean NOT NULL,
    state         text NOT NULL,
    permissions   text[] NOT NULL,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL
);

CREATE TABLE mains (
    user_id       text PRIMARY KEY,
    character_id  bigint,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL
);

CREATE TABLE owners (
    character_id   bigint PRIMARY KEY,
    user_id        text NOT NULL,
    owner_hash     text NOT NULL,
    scopes         text[] NOT NULL,
    since          timestamptz NOT NULL,
    event_id       uuid NOT NULL,
    log_partition  integer NOT NULL,
    log_offset     bigint NOT NULL
);
CREATE INDEX owners_user ON owners (user_id);

-- What the registering side knew of a character; details replace it.
CREATE TABLE registrations (
    character_id   bigint PRIMARY KEY,
    name           text NOT NULL,
    corporation_id bigint NOT NULL,
    alliance_id    bigint NOT NULL,
    event_id       uuid NOT NULL,
    log_partition  integer NOT NULL,
    log_offset     bigint NOT NULL
);

CREATE TABLE orphans (
    character_id  bigint PRIMARY KEY,
    orphaned      boolean NOT NULL,
    reason        text NOT NULL,
    since         timestamptz NOT NULL,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL
);

CREATE TABLE switches (
    character_id  bigint PRIMARY KEY,
    disabled      boolean NOT NULL,
    reason        text NOT NULL,
    since         timestamptz NOT NULL,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL
);

CREATE TABLE details (
    character_id   bigint PRIMARY KEY,
    name           text NOT NULL,
    corporation_id bigint NOT NULL,
    alliance_id    bigint NOT NULL,
    event_id       uuid NOT NULL,
    log_partition  integer NOT NULL,
    log_offset     bigint NOT NULL
);

CREATE TABLE sections (
    character_id  bigint NOT NULL,
    section       text NOT NULL,
    content_hash  text NOT NULL,
    observed_at   timestamptz NOT NULL,
    -- ESI's own JSON, to the letter; null for a section whose facts lie in
    -- ClickHouse.
    value         json,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL,
    PRIMARY KEY (character_id, section)
);

CREATE TABLE failures (
    character_id  bigint NOT NULL,
    section       text NOT NULL,
    failing       boolean NOT NULL,
    class         text NOT NULL,
    status        integer NOT NULL,
    message       text NOT NULL,
    since         timestamptz NOT NULL,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL,
    PRIMARY KEY (character_id, section)
);

-- A character as lists show it.
CREATE VIEW characters AS
SELECT r.character_id,
       coalesce(nullif(d.name, ''), r.name) AS name,
       coalesce(d.corporation_id, r.corporation_id) AS corporation_id,
       CASE WHEN d.character_id IS NOT NULL THEN d.alliance_id ELSE r.alliance_id END AS alliance_id,
       CASE WHEN coalesce(o.orphaned, false) THEN '' ELSE w.user_id END AS user_id,
       coalesce(o.orphaned, false) AS orphaned,
       coalesce(s.disabled, false) AS disabled,
       w.scopes,
       w.since AS registered_at
FROM registrations r
LEFT JOIN owners w USING (character_id)
LEFT JOIN details d USING (character_id)
LEFT JOIN orphans o USING (character_id)
LEFT JOIN switches s USING (character_id);
