-- +goose Up
-- Of which kinds that is what was last told to be put right, in order.
ALTER TABLE compliance ADD COLUMN faults text NOT NULL DEFAULT '';

-- +goose Down
ALTER TABLE compliance DROP COLUMN faults;
