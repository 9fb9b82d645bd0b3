-- +goose Up
-- When the last reading that succeeded began, and when the log had what was new in
-- it: how long a section takes is told from these.
ALTER TABLE section_state
    ADD COLUMN run_started_at timestamptz,
    ADD COLUMN run_finished_at timestamptz;

-- +goose Down
ALTER TABLE section_state DROP COLUMN run_started_at, DROP COLUMN run_finished_at;
