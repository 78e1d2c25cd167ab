-- +goose Up
-- modify "clusters" table
ALTER TABLE "clusters" ADD COLUMN "capabilities" jsonb NULL;

-- +goose Down
-- reverse: modify "clusters" table
ALTER TABLE "clusters" DROP COLUMN "capabilities";
