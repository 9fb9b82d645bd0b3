-- +goose Up
-- What was fetched apart while the log took nothing: it is appended before anything
-- else of the section is fetched apart.
CREATE TABLE held_append (
    character_id bigint NOT NULL,
    section      text   NOT NULL,
    -- The events, compressed.
    events       bytea  NOT NULL,
    PRIMARY KEY (character_id, section)
);

-- +goose Down
DROP TABLE held_append;
