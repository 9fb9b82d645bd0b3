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
-- Reports list users in byte order of their ids, whatever the database's own order is.
CREATE INDEX users_order ON users (user_id COLLATE "C");

-- Roles. A row stays when its role is removed, so that nothing older brings it back.
CREATE TABLE role_definitions (
    role_id       uuid PRIMARY KEY,
    name          text NOT NULL,
    description   text NOT NULL,
    permissions   text[] NOT NULL,
    -- Those whose users all hold it.
    states        text[] NOT NULL,
    -- The compliance groups whose members all hold it, by name.
    groups        text[] NOT NULL,
    -- The only sections of others' characters that it opens; empty for all.
    sections      text[] NOT NULL,
    removed       boolean NOT NULL,
    defined_at    timestamptz NOT NULL,
    defined_by    text NOT NULL,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL
);

-- Whether a user was granted a role. The role need not be there any more.
CREATE TABLE role_grants (
    user_id       text NOT NULL,
    role_id       uuid NOT NULL,
    granted       boolean NOT NULL,
    granted_at    timestamptz NOT NULL,
    granted_by    text NOT NULL,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL,
    PRIMARY KEY (user_id, role_id)
);
CREATE INDEX role_grants_role ON role_grants (role_id);

-- Compliance groups. A row stays when its group is removed, like that of a role.
CREATE TABLE compliance_groups (
    group_id      uuid PRIMARY KEY,
    name          text NOT NULL,
    description   text NOT NULL,
    -- The only ones whose users are let in; empty for all.
    states        text[] NOT NULL,
    removed       boolean NOT NULL,
    defined_at    timestamptz NOT NULL,
    defined_by    text NOT NULL,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL
);

-- Whether a user is in a compliance group, and since when that is so. The group need not
-- be there any more.
CREATE TABLE compliance_memberships (
    user_id       text NOT NULL,
    group_id      uuid NOT NULL,
    member        boolean NOT NULL,
    since         timestamptz NOT NULL,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL,
    PRIMARY KEY (user_id, group_id)
);
CREATE INDEX compliance_memberships_group ON compliance_memberships (group_id);

-- Who is in which compliance group that there is.
CREATE VIEW compliance_members AS
SELECT m.user_id, g.group_id, g.name, m.since, m.log_partition, m.log_offset
FROM compliance_memberships m JOIN compliance_groups g USING (group_id) WHERE m.member AND NOT g.removed;

CREATE VIEW access_roles AS
SELECT role_id, name, description, permissions, states, groups, sections, defined_at, defined_by, log_partition, log_offset FROM role_definitions WHERE NOT removed;

-- The roles that users hold, and the state or the compliance group through which; both
-- are empty for one that was granted.
CREATE VIEW holdings AS
SELECT g.user_id, '' AS state, '' AS compliance_group, r.role_id, r.name, r.permissions, r.sections, g.granted_at, g.granted_by
FROM role_grants g JOIN access_roles r USING (role_id) WHERE g.granted
UNION ALL
SELECT u.user_id, u.state, '', r.role_id, r.name, r.permissions, r.sections, r.defined_at, r.defined_by
FROM users u JOIN access_roles r ON u.state = ANY (r.states)
UNION ALL
SELECT m.user_id, '', m.name, r.role_id, r.name, r.permissions, r.sections, m.since, r.defined_by
FROM compliance_members m JOIN access_roles r ON lower(m.name) IN (SELECT lower(g) FROM unnest(r.groups) g);

-- What users were given in all: by the application that they come from, by roles, and by
-- roles of their states and of their compliance groups. Permissions are asked for here and nowhere else.
CREATE VIEW grants AS
SELECT u.user_id, u.name, u.superuser, u.active, u.state,
       u.permissions || ARRAY(SELECT unnest(h.permissions) FROM holdings h WHERE h.user_id = u.user_id) AS permissions
FROM users u;

CREATE TABLE mains (
    user_id       text PRIMARY KEY,
    character_id  bigint,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL
);

CREATE INDEX mains_character ON mains (character_id);

-- Of each user, the last list of the characters that he owns and that were not
-- registered then.
CREATE TABLE listings (
    user_id       text PRIMARY KEY,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL
);

CREATE TABLE listed (
    user_id        text NOT NULL,
    character_id   bigint NOT NULL,
    name           text NOT NULL,
    corporation_id bigint NOT NULL,
    alliance_id    bigint NOT NULL,
    -- Since when it has been on all of the user's lists.
    since          timestamptz NOT NULL,
    event_id       uuid NOT NULL,
    log_partition  integer NOT NULL,
    log_offset     bigint NOT NULL,
    PRIMARY KEY (user_id, character_id)
);
CREATE INDEX listed_character ON listed (character_id);
CREATE INDEX listed_corporation ON listed (corporation_id);
CREATE INDEX listed_alliance ON listed (alliance_id);
CREATE INDEX listed_name ON listed (lower(name) COLLATE "C");

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

CREATE INDEX registrations_corporation ON registrations (corporation_id);
CREATE INDEX registrations_alliance ON registrations (alliance_id);
CREATE INDEX registrations_name ON registrations (lower(name) COLLATE "C");

-- Who has shared a character. It counts while he owns it.
CREATE TABLE sharings (
    character_id  bigint PRIMARY KEY,
    shared        boolean NOT NULL,
    user_id       text NOT NULL,
    -- When it ends; null for never.
    until         timestamptz,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL
);

-- Links that owners have given away. One that was revoked has no secret any more.
CREATE TABLE links (
    link_id       uuid PRIMARY KEY,
    character_id  bigint NOT NULL,
    user_id       text NOT NULL,
    secret_hash   text COLLATE "C" NOT NULL,
    -- Those that it shows; empty for all.
    sections      text[] NOT NULL,
    note          text NOT NULL,
    expires_at    timestamptz NOT NULL,
    issued_at     timestamptz NOT NULL,
    revoked       boolean NOT NULL,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL
);
CREATE INDEX links_character ON links (character_id);
CREATE INDEX links_secret ON links (secret_hash) WHERE NOT revoked;

-- When the ownership of a character last ended: links from before show nothing.
CREATE TABLE departures (
    character_id  bigint PRIMARY KEY,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL
);

-- Who looked at data of others. character_id is zero for a list.
CREATE TABLE looks (
    event_id       uuid PRIMARY KEY,
    viewer_id      text COLLATE "C" NOT NULL,
    viewer_user_id text COLLATE "C" NOT NULL,
    owner_id       text COLLATE "C" NOT NULL,
    character_id   bigint NOT NULL,
    section        text COLLATE "C" NOT NULL,
    way            text NOT NULL,
    link_id        uuid,
    first_at       timestamptz NOT NULL,
    last_at        timestamptz NOT NULL,
    count          bigint NOT NULL,
    rows           bigint NOT NULL,
    log_partition  integer NOT NULL,
    log_offset     bigint NOT NULL
);
CREATE INDEX looks_recent ON looks (last_at DESC, event_id DESC);
CREATE INDEX looks_owner ON looks (owner_id, last_at DESC, event_id DESC);
CREATE INDEX looks_viewer ON looks (viewer_id, last_at DESC, event_id DESC);
CREATE INDEX looks_viewer_user ON looks (viewer_user_id, last_at DESC, event_id DESC);
CREATE INDEX looks_character ON looks (character_id, last_at DESC, event_id DESC);

-- When characters were forgotten: looks come from another topic, whose offsets do not
-- compare, so their moments say which are from before.
CREATE TABLE forgettings (
    character_id  bigint PRIMARY KEY,
    forgotten_at  timestamptz NOT NULL,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL
);
CREATE INDEX sharings_shared ON sharings (character_id) WHERE shared;

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

-- Who a character is by ESI's public record.
CREATE TABLE identities (
    character_id   bigint PRIMARY KEY,
    name           text NOT NULL,
    corporation_id bigint NOT NULL,
    alliance_id    bigint NOT NULL,
    event_id       uuid NOT NULL,
    log_partition  integer NOT NULL,
    log_offset     bigint NOT NULL
);

CREATE INDEX identities_corporation ON identities (corporation_id);
CREATE INDEX identities_alliance ON identities (alliance_id);
CREATE INDEX identities_name ON identities (lower(name) COLLATE "C");

-- A number of a JSON object; null for what is none that fits into 64 bits. Unlike a
-- cast it cannot fail, so that an index on it cannot stop the projection.
CREATE FUNCTION number_of(value json, field text) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
$$ SELECT CASE WHEN value ->> field ~ '^-?[0-9]{1,18}$' THEN (value ->> field)::bigint
    WHEN value ->> field ~ '^-?[0-9]{19}$' THEN CASE WHEN (value ->> field)::numeric BETWEEN -9223372036854775808 AND 9223372036854775807
        THEN (value ->> field)::bigint END END $$;

CREATE TABLE sections (
    character_id  bigint NOT NULL,
    section       text NOT NULL,
    content_hash  text NOT NULL,
    observed_at   timestamptz NOT NULL,
    -- ESI's own JSON without the lists, to the letter; null if there is nothing
    -- but a list.
    value         json,
    -- The last full observation, for the differences that refer to it; null for a
    -- section without lists.
    base          uuid,
    base_value    json,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL,
    PRIMARY KEY (character_id, section)
);
CREATE INDEX sections_ship_type ON sections (number_of(value, 'ship_type_id')) WHERE section = 'ship';
CREATE INDEX sections_system ON sections (number_of(value, 'solar_system_id')) WHERE section = 'location';

-- The elements of the lists of the last full observation.
CREATE TABLE items (
    character_id  bigint NOT NULL,
    section       text NOT NULL,
    list          text NOT NULL,
    key           text COLLATE "C" NOT NULL,
    -- ESI's own JSON.
    value         json NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL
);
-- Keys that are numbers of one length are in the order of numbers.
CREATE UNIQUE INDEX items_key ON items (character_id, section, list, length(key), key);
CREATE INDEX items_asset_type ON items (number_of(value, 'type_id')) WHERE section = 'assets';
CREATE INDEX items_blueprint_type ON items (number_of(value, 'type_id')) WHERE section = 'blueprints';
CREATE INDEX items_skill ON items (number_of(value, 'skill_id')) WHERE section = 'skills';
CREATE INDEX items_contact ON items (number_of(value, 'contact_id')) WHERE section = 'contacts';
CREATE INDEX items_asset_location ON items (number_of(value, 'location_id')) WHERE section = 'assets';
CREATE INDEX items_standing ON items (number_of(value, 'from_id')) WHERE section = 'standings';
CREATE INDEX items_clone_location ON items (number_of(value, 'location_id')) WHERE section = 'clones';
CREATE INDEX items_implant ON items (key) WHERE section = 'implants';

-- How the present lists differ from the last full observation: what the last
-- difference added or changed, and what is gone.
CREATE TABLE changes (
    character_id  bigint NOT NULL,
    section       text NOT NULL,
    list          text NOT NULL,
    key           text COLLATE "C" NOT NULL,
    gone          boolean NOT NULL,
    value         json,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL
);
CREATE UNIQUE INDEX changes_key ON changes (character_id, section, list, length(key), key);
CREATE INDEX changes_asset_type ON changes (number_of(value, 'type_id')) WHERE section = 'assets';
CREATE INDEX changes_asset_location ON changes (number_of(value, 'location_id')) WHERE section = 'assets';
CREATE INDEX changes_skill ON changes (number_of(value, 'skill_id')) WHERE section = 'skills';
CREATE INDEX changes_contact ON changes (number_of(value, 'contact_id')) WHERE section = 'contacts';
CREATE INDEX changes_standing ON changes (number_of(value, 'from_id')) WHERE section = 'standings';
CREATE INDEX changes_implant ON changes (key) WHERE section = 'implants';

-- Differences that do not refer to the full observation that is here, each the
-- last observation of its section. They are not applied; the next full one brings
-- the section right.
CREATE TABLE misfits (
    character_id  bigint NOT NULL,
    section       text NOT NULL,
    base          uuid NOT NULL,
    observed_at   timestamptz NOT NULL,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL,
    PRIMARY KEY (character_id, section)
);

-- Facts with a natural key: all that was told of each, the last said of a field
-- standing.
CREATE TABLE records (
    character_id  bigint NOT NULL,
    section       text NOT NULL,
    key           text COLLATE "C" NOT NULL,
    -- The moment of the record, and the UTC day of the event that told of it last.
    at            timestamptz NOT NULL,
    day           date NOT NULL,
    value         json NOT NULL,
    observed_at   timestamptz NOT NULL,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL,
    PRIMARY KEY (character_id, section, key)
);
CREATE INDEX records_at ON records (character_id, section, at, length(key), key);
CREATE INDEX records_everywhere ON records (key, section);
-- For pages of what all characters have of one section, the newest first.
CREATE INDEX records_latest ON records (section, at, character_id, length(key), key);
CREATE INDEX records_mail_from ON records (number_of(value, 'from'), at) WHERE section = 'mails';

-- When facts of a section were last told. Those of the wallet's journal lie in
-- ClickHouse.
CREATE TABLE recorded (
    character_id  bigint NOT NULL,
    section       text NOT NULL,
    observed_at   timestamptz NOT NULL,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL,
    PRIMARY KEY (character_id, section)
);

-- The mailing lists that characters are or were subscribed to: old mails name the
-- left ones, and nothing else resolves them.
CREATE TABLE mailing_list_names (
    character_id    bigint NOT NULL,
    mailing_list_id bigint NOT NULL,
    name            text NOT NULL,
    event_id        uuid NOT NULL,
    log_partition   integer NOT NULL,
    log_offset      bigint NOT NULL,
    PRIMARY KEY (character_id, mailing_list_id)
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

-- What characters need for something. defined_by is who decided it.
CREATE TABLE skill_sets (
    skill_set_id  uuid PRIMARY KEY,
    name          text NOT NULL,
    description   text NOT NULL,
    ship_type_id  bigint,
    visible       boolean NOT NULL,
    defined_at    timestamptz NOT NULL,
    defined_by    text NOT NULL,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL
);

CREATE TABLE skill_set_skills (
    skill_set_id  uuid NOT NULL,
    type_id       bigint NOT NULL,
    -- Null for none.
    required      integer,
    recommended   integer,
    event_id      uuid NOT NULL,
    log_partition integer NOT NULL,
    log_offset    bigint NOT NULL,
    PRIMARY KEY (skill_set_id, type_id)
);

CREATE TABLE skill_set_groups (
    skill_set_group_id uuid PRIMARY KEY,
    name               text NOT NULL,
    description        text NOT NULL,
    doctrine           boolean NOT NULL,
    active             boolean NOT NULL,
    defined_at         timestamptz NOT NULL,
    defined_by         text NOT NULL,
    event_id           uuid NOT NULL,
    log_partition      integer NOT NULL,
    log_offset         bigint NOT NULL
);

CREATE TABLE skill_set_memberships (
    skill_set_group_id uuid NOT NULL,
    skill_set_id       uuid NOT NULL,
    event_id           uuid NOT NULL,
    log_partition      integer NOT NULL,
    log_offset         bigint NOT NULL,
    PRIMARY KEY (skill_set_group_id, skill_set_id)
);
CREATE INDEX skill_set_memberships_set ON skill_set_memberships (skill_set_id);

-- A character as lists show it.
CREATE VIEW characters AS
SELECT r.character_id,
       coalesce(nullif(d.name, ''), r.name) AS name,
       coalesce(d.corporation_id, r.corporation_id) AS corporation_id,
       CASE WHEN d.character_id IS NOT NULL THEN d.alliance_id ELSE r.alliance_id END AS alliance_id,
       CASE WHEN coalesce(o.orphaned, false) THEN '' ELSE w.user_id END AS user_id,
       coalesce(o.orphaned, false) AS orphaned,
       coalesce(s.disabled, false) AS disabled,
       coalesce(h.shared AND h.user_id = w.user_id AND NOT coalesce(o.orphaned, false), false) AS shared,
       -- When the sharing ends; it is still called shared after that, until that is told.
       h.until AS shared_until,
       w.scopes,
       w.since AS registered_at,
       -- All of it is told by one stream, which lies in one partition.
       r.log_partition,
       greatest(r.log_offset, w.log_offset, d.log_offset, o.log_offset, s.log_offset, h.log_offset) AS log_offset
FROM registrations r
LEFT JOIN owners w USING (character_id)
LEFT JOIN identities d USING (character_id)
LEFT JOIN orphans o USING (character_id)
LEFT JOIN switches s USING (character_id)
LEFT JOIN sharings h USING (character_id);

-- The characters that users own and that are not registered. One that is registered,
-- by whomever, is what its own stream says; of one that was, and is nobody's any more,
-- the list counts again.
CREATE VIEW unregistered AS
SELECT l.user_id, l.character_id, l.name, l.corporation_id, l.alliance_id, l.since, l.log_partition, l.log_offset
FROM listed l
WHERE NOT EXISTS (SELECT FROM registrations r LEFT JOIN orphans o USING (character_id) WHERE r.character_id = l.character_id AND NOT coalesce(o.orphaned, false));

-- Where mains are, whether they are registered or not: each source only knows what
-- the better ones before it do not. Every branch can be entered by user, by
-- corporation and by alliance.
CREATE VIEW homes AS
SELECT m.user_id, m.character_id, coalesce(nullif(d.name, ''), r.name, '') AS name, d.corporation_id, d.alliance_id
FROM identities d
JOIN mains m USING (character_id)
LEFT JOIN registrations r USING (character_id)
UNION ALL
SELECT m.user_id, m.character_id, r.name, r.corporation_id, r.alliance_id
FROM registrations r
JOIN mains m USING (character_id)
WHERE NOT EXISTS (SELECT FROM identities d WHERE d.character_id = r.character_id)
UNION ALL
SELECT m.user_id, m.character_id, l.name, l.corporation_id, l.alliance_id
FROM listed l
JOIN mains m USING (user_id, character_id)
WHERE NOT EXISTS (SELECT FROM identities d WHERE d.character_id = l.character_id)
  AND NOT EXISTS (SELECT FROM registrations r WHERE r.character_id = l.character_id);

-- The elements of all lists as they are now.
CREATE VIEW elements AS
SELECT i.character_id, i.section, i.list, i.key, i.value, i.log_partition, i.log_offset
FROM items i
WHERE NOT EXISTS (SELECT FROM changes c
    WHERE c.character_id = i.character_id AND c.section = i.section AND c.list = i.list AND length(c.key) = length(i.key) AND c.key = i.key)
UNION ALL
SELECT c.character_id, c.section, c.list, c.key, c.value, c.log_partition, c.log_offset
FROM changes c
WHERE NOT c.gone;

-- The ship that a character is in, as an asset, where ESI does not list it among
-- the assets: it does not while the ship is in space. A capsule is none. (Member
-- Audit 5.1.0 adds it likewise, with the flag Hangar.)
CREATE VIEW current_ships AS
SELECT s.character_id, 'assets' AS section, '' AS list, number_of(s.value, 'ship_item_id')::text COLLATE "C" AS key,
       json_strip_nulls(json_build_object(
           'is_current_ship', true,
           'is_singleton', true,
           'item_id', number_of(s.value, 'ship_item_id'),
           'location_flag', 'Hangar',
           'location_id', coalesce(number_of(l.value, 'station_id'), number_of(l.value, 'structure_id'), number_of(l.value, 'solar_system_id')),
           'location_type', CASE WHEN number_of(l.value, 'station_id') IS NOT NULL THEN 'station'
               WHEN number_of(l.value, 'structure_id') IS NOT NULL THEN 'item'
               WHEN number_of(l.value, 'solar_system_id') IS NOT NULL THEN 'solar_system' END,
           'name', s.value -> 'ship_name',
           'quantity', 1,
           'type_id', number_of(s.value, 'ship_type_id'))) AS value,
       s.log_partition, s.log_offset
FROM sections s
JOIN sections a ON a.character_id = s.character_id AND a.section = 'assets'
LEFT JOIN sections l ON l.character_id = s.character_id AND l.section = 'location'
WHERE s.section = 'ship' AND number_of(s.value, 'ship_item_id') IS NOT NULL
  -- The two types of the group Capsule.
  AND number_of(s.value, 'ship_type_id') NOT IN (670, 33328)
  AND NOT EXISTS (SELECT FROM elements e WHERE e.character_id = s.character_id AND e.section = 'assets' AND e.list = ''
      AND length(e.key) = length(number_of(s.value, 'ship_item_id')::text) AND e.key = number_of(s.value, 'ship_item_id')::text);

-- The elements of all lists as they are shown.
CREATE VIEW shown AS
SELECT character_id, section, list, key, value, log_partition, log_offset FROM elements
UNION ALL
SELECT character_id, section, list, key, value, log_partition, log_offset FROM current_ships;
