-- +goose Up
-- modify "pull_requests" table
ALTER TABLE "pull_requests" ADD COLUMN "as_of" timestamptz NULL;

-- +goose Down
-- reverse: modify "pull_requests" table
ALTER TABLE "pull_requests" DROP COLUMN "as_of";
