-- +goose Up
-- create index "event_requested_by_created_at" to table: "events"
CREATE INDEX "event_requested_by_created_at" ON "events" ("requested_by", "created_at");
-- create index "grant_pull_request" to table: "grants"
CREATE INDEX "grant_pull_request" ON "grants" ("pull_request");
-- create index "pullrequest_head_sha" to table: "pull_requests"
CREATE INDEX "pullrequest_head_sha" ON "pull_requests" ("head_sha") WHERE ((state)::text = 'open'::text);

-- +goose Down
-- reverse: create index "pullrequest_head_sha" to table: "pull_requests"
DROP INDEX "pullrequest_head_sha";
-- reverse: create index "grant_pull_request" to table: "grants"
DROP INDEX "grant_pull_request";
-- reverse: create index "event_requested_by_created_at" to table: "events"
DROP INDEX "event_requested_by_created_at";
