-- +goose Up
-- History is not deleted either, not even all of it at once: a statement that tries is refused, whether it
-- would meet a row or not.
CREATE TRIGGER audit_log_kept BEFORE DELETE OR TRUNCATE ON audit_log
  FOR EACH STATEMENT EXECUTE FUNCTION shepherd_refuse('the audit log is append-only');
CREATE TRIGGER events_kept BEFORE DELETE OR TRUNCATE ON events
  FOR EACH STATEMENT EXECUTE FUNCTION shepherd_refuse('an event is kept for ever');
CREATE TRIGGER tickets_kept BEFORE DELETE OR TRUNCATE ON tickets
  FOR EACH STATEMENT EXECUTE FUNCTION shepherd_refuse('a ticket is kept for ever');
CREATE TRIGGER plans_kept BEFORE DELETE OR TRUNCATE ON plans
  FOR EACH STATEMENT EXECUTE FUNCTION shepherd_refuse('a plan is kept for ever');
CREATE TRIGGER pushes_kept BEFORE DELETE OR TRUNCATE ON pushes
  FOR EACH STATEMENT EXECUTE FUNCTION shepherd_refuse('a push is kept for ever');
CREATE TRIGGER reviews_kept BEFORE DELETE OR TRUNCATE ON reviews
  FOR EACH STATEMENT EXECUTE FUNCTION shepherd_refuse('a review is kept for ever');
CREATE TRIGGER decisions_kept BEFORE DELETE OR TRUNCATE ON decisions
  FOR EACH STATEMENT EXECUTE FUNCTION shepherd_refuse('a decision is immutable');
CREATE TRIGGER commands_kept BEFORE DELETE OR TRUNCATE ON commands
  FOR EACH STATEMENT EXECUTE FUNCTION shepherd_refuse('a command is kept for ever');
CREATE TRIGGER confirmations_kept BEFORE DELETE OR TRUNCATE ON confirmations
  FOR EACH STATEMENT EXECUTE FUNCTION shepherd_refuse('a confirmation is immutable');
CREATE TRIGGER grants_kept BEFORE DELETE OR TRUNCATE ON grants
  FOR EACH STATEMENT EXECUTE FUNCTION shepherd_refuse('a grant is kept for ever');
CREATE TRIGGER indexes_kept BEFORE TRUNCATE ON indexes
  FOR EACH STATEMENT EXECUTE FUNCTION shepherd_refuse('an index is used once');

-- What came in stays as it came in until it is deleted. The trigger goes by the columns that a statement
-- names, so that closing a delivery does not unpack its body.
CREATE TRIGGER deliveries_content BEFORE UPDATE OF id, event, body, received_at ON deliveries
  FOR EACH ROW EXECUTE FUNCTION shepherd_refuse('a delivery is immutable');

-- +goose Down
DROP TRIGGER deliveries_content ON deliveries;
DROP TRIGGER indexes_kept ON indexes;
DROP TRIGGER grants_kept ON grants;
DROP TRIGGER confirmations_kept ON confirmations;
DROP TRIGGER commands_kept ON commands;
DROP TRIGGER decisions_kept ON decisions;
DROP TRIGGER reviews_kept ON reviews;
DROP TRIGGER pushes_kept ON pushes;
DROP TRIGGER plans_kept ON plans;
DROP TRIGGER tickets_kept ON tickets;
DROP TRIGGER events_kept ON events;
DROP TRIGGER audit_log_kept ON audit_log;
