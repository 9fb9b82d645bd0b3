-- +goose Up
-- Which backup this database came from. Offsets of the log are those of the
-- backup up to next_offset; what lies behind was written afterwards.
CREATE TABLE restored (
    backup_id   text        NOT NULL,
    topic       text        NOT NULL,
    partition   integer     NOT NULL,
    next_offset bigint      NOT NULL,
    restored_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition)
);

-- +goose Down
DROP TABLE restored;
