-- +goose Up
-- What ESI was asked, by day (UTC) and route.
CREATE TABLE usage (
    day          date   NOT NULL,
    -- Empty for routes under the shared error limit, which cost no tokens.
    rate_group   text   NOT NULL,
    route        text   NOT NULL,
    requests     bigint NOT NULL,
    not_modified bigint NOT NULL,
    tokens       bigint NOT NULL,
    PRIMARY KEY (day, rate_group, route)
);

-- +goose Down
DROP TABLE usage;
