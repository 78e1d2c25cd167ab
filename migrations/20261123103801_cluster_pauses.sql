-- +goose Up
-- modify "clusters" table
ALTER TABLE "clusters" ADD COLUMN "paused_until" timestamptz NULL, ADD COLUMN "paused_reason" character varying NOT NULL DEFAULT '';

-- +goose Down
-- reverse: modify "clusters" table
ALTER TABLE "clusters" DROP COLUMN "paused_reason", DROP COLUMN "paused_until";
