-- +goose Up
-- The id that a page of a list that is walked was asked to go on from; 0 for the
-- first page and for pages that have numbers.
ALTER TABLE page_etag ADD COLUMN from_id bigint NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE page_etag DROP COLUMN from_id;
