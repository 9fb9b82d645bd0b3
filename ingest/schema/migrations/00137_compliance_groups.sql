-- +goose Up
-- What was last told of each user's compliance groups.
CREATE TABLE compliance_groups (
    user_id  text  PRIMARY KEY,
    -- The groups that he is in: their names by their ids.
    member   jsonb NOT NULL,
    -- The last event that told of them.
    event_id uuid  NOT NULL,
    -- The events while they may not be in the log yet; they are appended before
    -- anything else is told of the user.
    pending  jsonb
);

-- A notice may be about a user instead of a character.
ALTER TABLE notice ADD COLUMN user_id text;
CREATE INDEX notice_of_user ON notice (user_id) WHERE user_id IS NOT NULL;

-- +goose Down
DELETE FROM notice WHERE user_id IS NOT NULL;
ALTER TABLE notice DROP COLUMN user_id;
DROP TABLE compliance_groups;
