-- +goose Up
-- create index "pullrequest_telling" to table: "pull_requests"
CREATE INDEX "pullrequest_telling" ON "pull_requests" ("telling") WHERE telling;

-- +goose Down
-- reverse: create index "pullrequest_telling" to table: "pull_requests"
DROP INDEX "pullrequest_telling";
