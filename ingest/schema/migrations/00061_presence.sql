-- +goose Up
-- When a character was last played, as its section online says.
CREATE TABLE presence (
    character_id bigint      PRIMARY KEY,
    online       boolean     NOT NULL,
    last_login   timestamptz NOT NULL,
    last_logout  timestamptz NOT NULL
);

-- +goose Down
DROP TABLE presence;
