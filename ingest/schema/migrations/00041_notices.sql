-- +goose Up
-- What people are told of, once for each event and channel.
CREATE TABLE notice (
    event_id     uuid        NOT NULL,
    channel      text        NOT NULL,
    character_id bigint      NOT NULL,
    kind         text        NOT NULL,
    -- The notice as it is sent; it holds no secret.
    content      jsonb       NOT NULL,
    noticed_at   timestamptz NOT NULL,
    -- due: to be sent at due_at; delivered; failed: given up; too_old: told too
    -- late to be news.
    state        text        NOT NULL CHECK (state IN ('due', 'delivered', 'failed', 'too_old')),
    due_at       timestamptz NOT NULL,
    attempts     integer     NOT NULL DEFAULT 0,
    last_error   text        NOT NULL DEFAULT '',
    settled_at   timestamptz,
    PRIMARY KEY (event_id, channel)
);
CREATE INDEX notice_due ON notice (due_at) WHERE state = 'due';
CREATE INDEX notice_of_character ON notice (character_id);
CREATE INDEX notice_settled ON notice (settled_at) WHERE state <> 'due';

-- Characters whose lost login was told of, by which event. The row goes when the
-- character is registered again.
CREATE TABLE notice_login (
    character_id bigint PRIMARY KEY,
    event_id     uuid   NOT NULL
);

-- +goose Down
DROP TABLE notice_login;
DROP TABLE notice;
