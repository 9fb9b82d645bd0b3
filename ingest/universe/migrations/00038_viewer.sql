-- +goose Up

-- The slot of each implant's type, from 1 to 10.
CREATE TABLE implant (
    type_id bigint PRIMARY KEY,
    slot    integer NOT NULL,
    source  text NOT NULL
);

CREATE TABLE planet (
    planet_id bigint PRIMARY KEY,
    name      text NOT NULL,
    system_id bigint,
    source    text NOT NULL
);
