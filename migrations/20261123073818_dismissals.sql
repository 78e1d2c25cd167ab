-- +goose Up
-- modify "reviews" table
ALTER TABLE "reviews" ADD COLUMN "dismissed_by_login" character varying NOT NULL DEFAULT '';

-- +goose Down
-- reverse: modify "reviews" table
ALTER TABLE "reviews" DROP COLUMN "dismissed_by_login";
