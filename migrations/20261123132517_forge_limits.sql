-- +goose Up
-- create "forge_cache" table
CREATE TABLE "forge_cache" ("id" character varying NOT NULL, "etags" character varying NOT NULL, "link" character varying NOT NULL DEFAULT '', "content_type" character varying NOT NULL DEFAULT '', "body" bytea NOT NULL, "used_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- create index "forgeanswer_used_at" to table: "forge_cache"
CREATE INDEX "forgeanswer_used_at" ON "forge_cache" ("used_at");
-- create "forge_limits" table
CREATE TABLE "forge_limits" ("id" character varying NOT NULL, "allowed" bigint NOT NULL DEFAULT 0, "remaining" bigint NOT NULL DEFAULT 0, "period" bigint NOT NULL DEFAULT 0, "resets_at" timestamptz NULL, "blocked_until" timestamptz NULL, "blocked_reason" character varying NOT NULL DEFAULT '', "content_blocked_until" timestamptz NULL, "created" jsonb NULL, "refused" bigint NOT NULL DEFAULT 0, "decisions_until" timestamptz NULL, "updated_at" timestamptz NOT NULL, PRIMARY KEY ("id"));
-- A cache needs no log: after a crash it is empty, and whole answers are asked for again. What is in it is compressed.
ALTER TABLE "forge_cache" SET UNLOGGED;
ALTER TABLE "forge_cache" ALTER COLUMN "body" SET STORAGE EXTERNAL;

-- +goose Down
-- reverse: create "forge_limits" table
DROP TABLE "forge_limits";
-- reverse: create index "forgeanswer_used_at" to table: "forge_cache"
DROP INDEX "forgeanswer_used_at";
-- reverse: create "forge_cache" table
DROP TABLE "forge_cache";
