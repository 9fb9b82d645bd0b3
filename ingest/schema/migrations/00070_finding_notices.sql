-- +goose Up
-- A notice may be about an audit of a consortium instead of a character. The audit
-- is named by the event that caused it.
ALTER TABLE notice ALTER COLUMN character_id DROP NOT NULL, ADD COLUMN audit_id uuid;
CREATE INDEX notice_of_audit ON notice (audit_id) WHERE audit_id IS NOT NULL;

-- What notices of findings tell: a row for each event of a finding that somebody
-- is told of. It goes with its notice.
CREATE TABLE notice_finding (
    event_id  uuid  PRIMARY KEY,
    -- The notice, notice.event_id, that tells it.
    notice_id uuid  NOT NULL,
    content   jsonb NOT NULL
);
CREATE INDEX notice_finding_of_notice ON notice_finding (notice_id);

-- +goose Down
DROP TABLE notice_finding;
DELETE FROM notice WHERE audit_id IS NOT NULL;
ALTER TABLE notice DROP COLUMN audit_id, ALTER COLUMN character_id SET NOT NULL;
