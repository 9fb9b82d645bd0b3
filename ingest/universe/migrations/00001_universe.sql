-- +goose Up

-- Static data. source is where a row came from: 'builtin' with the program, 'static'
-- from a load of CCP's export, 'esi' asked for one by one.
CREATE TABLE category (
    category_id bigint PRIMARY KEY,
    name        text NOT NULL,
    source      text NOT NULL
);

CREATE TABLE type_group (
    group_id    bigint PRIMARY KEY,
    name        text NOT NULL,
    category_id bigint,
    source      text NOT NULL
);

CREATE TABLE type (
    type_id    bigint PRIMARY KEY,
    name       text NOT NULL,
    group_id   bigint,
    -- Cubic metres.
    volume     double precision,
    -- CCP's own estimate in ISK, not that of the market.
    base_price double precision,
    published  boolean NOT NULL DEFAULT true,
    source     text NOT NULL
);

CREATE TABLE skill (
    type_id             bigint PRIMARY KEY,
    rank                integer NOT NULL,
    -- Ids of attributes: 164 charisma, 165 intelligence, 166 memory, 167
    -- perception, 168 willpower.
    primary_attribute   bigint,
    secondary_attribute bigint,
    source              text NOT NULL
);

-- What has to be trained to use a type, or to train a skill.
CREATE TABLE requirement (
    type_id  bigint NOT NULL,
    skill_id bigint NOT NULL,
    level    integer NOT NULL,
    source   text NOT NULL,
    PRIMARY KEY (type_id, skill_id)
);

CREATE TABLE system (
    system_id     bigint PRIMARY KEY,
    name          text NOT NULL,
    security      double precision,
    constellation text,
    region        text,
    source        text NOT NULL
);

CREATE TABLE station (
    station_id bigint PRIMARY KEY,
    name       text NOT NULL,
    system_id  bigint,
    type_id    bigint,
    owner_id   bigint,
    source     text NOT NULL
);

CREATE TABLE faction (
    faction_id bigint PRIMARY KEY,
    name       text NOT NULL,
    source     text NOT NULL
);

CREATE TABLE race (
    race_id bigint PRIMARY KEY,
    name    text NOT NULL,
    source  text NOT NULL
);

CREATE TABLE bloodline (
    bloodline_id bigint PRIMARY KEY,
    name         text NOT NULL,
    race_id      bigint,
    source       text NOT NULL
);

CREATE TABLE npc_corporation (
    corporation_id bigint PRIMARY KEY,
    name           text NOT NULL,
    faction_id     bigint,
    source         text NOT NULL
);

-- Loads of static data, the last of them what is there.
CREATE TABLE load (
    load_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source      text NOT NULL,
    origin      text NOT NULL,
    -- CCP's number of the build, and its date; null if the export does not say.
    build       bigint,
    released_at timestamptz,
    loaded_at   timestamptz NOT NULL,
    digest      text NOT NULL DEFAULT '',
    report      jsonb NOT NULL
);

-- Rows of the last load that could not be read.
CREATE TABLE rejected_row (
    load_id bigint NOT NULL REFERENCES load,
    file    text NOT NULL,
    line    bigint NOT NULL,
    reason  text NOT NULL,
    content text NOT NULL
);

-- Structures of players, as ESI tells those who may dock there.
CREATE TABLE structure (
    structure_id bigint PRIMARY KEY,
    name         text NOT NULL,
    system_id    bigint,
    type_id      bigint,
    owner_id     bigint,
    fetched_at   timestamptz NOT NULL
);

-- Which characters have something to do with a structure, and what came of asking in
-- their name.
CREATE TABLE structure_seen (
    structure_id bigint NOT NULL,
    character_id bigint NOT NULL,
    allowed_at   timestamptz,
    refused_at   timestamptz,
    -- Not before this moment.
    retry_at     timestamptz NOT NULL DEFAULT 'epoch',
    refusals     integer NOT NULL DEFAULT 0,
    reason       text NOT NULL DEFAULT '',
    -- Of the last answer in its name.
    etag         text NOT NULL DEFAULT '',
    PRIMARY KEY (structure_id, character_id)
);

-- Names that ESI tells of characters, corporations and alliances.
CREATE TABLE named (
    id         bigint PRIMARY KEY,
    category   text NOT NULL,
    name       text NOT NULL,
    fetched_at timestamptz NOT NULL
);

-- Ids to ask ESI about: those without a name, and those whose name may have changed.
CREATE TABLE wanted (
    -- 'name', 'type' or 'structure'.
    lookup      text NOT NULL,
    id          bigint NOT NULL,
    found_at    timestamptz NOT NULL,
    -- When it may be asked for.
    due_at      timestamptz NOT NULL,
    answered_at timestamptz,
    -- How many times in a row it was refused, and why.
    refusals    integer NOT NULL DEFAULT 0,
    reason      text NOT NULL DEFAULT '',
    PRIMARY KEY (lookup, id)
);
CREATE INDEX wanted_due ON wanted (lookup, due_at);

-- When the read model was last looked through for ids of a character.
CREATE TABLE swept (
    character_id bigint PRIMARY KEY,
    swept_at     timestamptz NOT NULL
);

-- Prices of the market in ISK.
CREATE TABLE price (
    type_id  bigint PRIMARY KEY,
    average  numeric,
    adjusted numeric
);

-- How the prices stand; one row at most.
CREATE TABLE price_state (
    one        boolean PRIMARY KEY DEFAULT true CHECK (one),
    -- When ESI last sent other prices, and when it last confirmed them.
    changed_at timestamptz NOT NULL,
    checked_at timestamptz NOT NULL,
    -- Not before this moment.
    expires_at timestamptz NOT NULL,
    etag       text NOT NULL
);

-- Everything that is a place.
CREATE VIEW location AS
SELECT system_id AS location_id, name, 'system' AS kind, system_id, NULL::bigint AS type_id, NULL::bigint AS owner_id FROM system
UNION ALL
SELECT station_id, name, 'station', system_id, type_id, owner_id FROM station
UNION ALL
SELECT structure_id, name, 'structure', system_id, type_id, owner_id FROM structure
UNION ALL
SELECT 2004, 'Asset Safety', 'asset safety', NULL, NULL, NULL;

-- Everybody.
CREATE VIEW entity AS
SELECT faction_id AS id, 'faction' AS category, name FROM faction
UNION ALL
SELECT corporation_id, 'corporation', name FROM npc_corporation
UNION ALL
SELECT id, category, name FROM named n
WHERE NOT EXISTS (SELECT FROM faction f WHERE f.faction_id = n.id) AND NOT EXISTS (SELECT FROM npc_corporation c WHERE c.corporation_id = n.id);
