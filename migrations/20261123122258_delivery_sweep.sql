-- +goose Up
-- modify "deliveries" table
ALTER TABLE "deliveries" ADD COLUMN "sent_at" timestamptz NULL;
-- modify "repository" table
ALTER TABLE "repository" ADD COLUMN "deliveries_swept_to" timestamptz NULL;

-- +goose Down
-- reverse: modify "repository" table
ALTER TABLE "repository" DROP COLUMN "deliveries_swept_to";
-- reverse: modify "deliveries" table
ALTER TABLE "deliveries" DROP COLUMN "sent_at";
