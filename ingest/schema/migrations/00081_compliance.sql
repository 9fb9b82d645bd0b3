-- +goose Up
-- What was last told of each user's compliance.
CREATE TABLE compliance (
    user_id    text    PRIMARY KEY,
    considered boolean NOT NULL,
    compliant  boolean NOT NULL,
    event_id   uuid    NOT NULL,
    -- The event while it may not be in the log yet; it is appended before anything
    -- else is told of the user.
    pending    jsonb
);

-- +goose Down
DROP TABLE compliance;
