-- +goose Up
-- What the administrator asked for; no row while there are to be no views.
CREATE TABLE settings (
    one             boolean PRIMARY KEY DEFAULT true CHECK (one),
    -- The schema of Postgres and the database of ClickHouse that have the views.
    namespace       text NOT NULL,
    role            text NOT NULL,
    -- Whether Postgres and ClickHouse let Muster make and grant that role.
    postgres_role   boolean NOT NULL,
    clickhouse_role boolean NOT NULL,
    made_at         timestamptz NOT NULL DEFAULT now()
);

-- The views that are there, and the generations that they read.
CREATE TABLE made (
    store      text NOT NULL CHECK (store IN ('postgres', 'clickhouse')),
    view       text NOT NULL,
    namespaces text[] NOT NULL,
    -- Of the text that made it, so that another version of Muster makes it anew.
    sql_hash   text NOT NULL,
    made_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (store, view)
);
