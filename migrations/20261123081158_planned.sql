-- +goose Up
-- modify "tickets" table
ALTER TABLE "tickets" ALTER COLUMN "planned" TYPE json;

-- +goose Down
-- reverse: modify "tickets" table
ALTER TABLE "tickets" ALTER COLUMN "planned" TYPE jsonb;
