-- +goose Up
-- Answers that are the same for all characters, such as killmails, each until it
-- expires: who flew together has them together, and ESI is asked once for all.
CREATE TABLE shared_answer (
    path       text        PRIMARY KEY,
    etag       text        NOT NULL,
    body       bytea       NOT NULL,
    fetched_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX shared_answer_expires ON shared_answer (expires_at);

-- +goose Down
DROP TABLE shared_answer;
