-- +goose Up
-- withdrawn: what it was to tell had come right, or was told otherwise, before it went
-- out.
ALTER TABLE notice DROP CONSTRAINT notice_state_check,
    ADD CONSTRAINT notice_state_check CHECK (state IN ('due', 'delivered', 'failed', 'too_old', 'withdrawn'));

-- +goose Down
DELETE FROM notice WHERE state = 'withdrawn';
ALTER TABLE notice DROP CONSTRAINT notice_state_check,
    ADD CONSTRAINT notice_state_check CHECK (state IN ('due', 'delivered', 'failed', 'too_old'));
