-- +goose Up
-- What must never happen is refused here, whatever the program above believes.

-- +goose StatementBegin
CREATE FUNCTION shepherd_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% on % is refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
END $$;
-- +goose StatementEnd

-- The audit log is append-only.
CREATE TRIGGER audit_log_rows BEFORE UPDATE OR DELETE ON audit_log
  FOR EACH ROW EXECUTE FUNCTION shepherd_refuse('the audit log is append-only');
CREATE TRIGGER audit_log_table BEFORE TRUNCATE ON audit_log
  FOR EACH STATEMENT EXECUTE FUNCTION shepherd_refuse('the audit log is append-only');

-- A domain event says what was submitted, for ever.
CREATE TRIGGER events_payload BEFORE UPDATE ON events FOR EACH ROW
  WHEN (OLD.payload::text IS DISTINCT FROM NEW.payload::text
    OR (OLD.id, OLD.type, OLD.operation, OLD.subject, OLD.path, OLD.requested_by, OLD.pull_request)
       IS DISTINCT FROM (NEW.id, NEW.type, NEW.operation, NEW.subject, NEW.path, NEW.requested_by, NEW.pull_request))
  EXECUTE FUNCTION shepherd_refuse('the payload of an event is immutable');

-- Namespace and service of a ticket cannot change after submission.
CREATE TRIGGER tickets_identity BEFORE UPDATE ON tickets FOR EACH ROW
  WHEN ((OLD.event_id, OLD.pull_request, OLD.path, OLD.subject, OLD.environment, OLD.system, OLD.service, OLD.namespace, OLD.instance, OLD.change_digest, OLD.requester_id)
    IS DISTINCT FROM (NEW.event_id, NEW.pull_request, NEW.path, NEW.subject, NEW.environment, NEW.system, NEW.service, NEW.namespace, NEW.instance, NEW.change_digest, NEW.requester_id))
  EXECUTE FUNCTION shepherd_refuse('the identity of a ticket is immutable');

-- A VM never moves.
CREATE TRIGGER vms_identity BEFORE UPDATE ON vms FOR EACH ROW
  WHEN ((OLD.name, OLD.path, OLD.system, OLD.service, OLD.namespace, OLD.instance, OLD.environment, OLD.kubernetes_namespace)
    IS DISTINCT FROM (NEW.name, NEW.path, NEW.system, NEW.service, NEW.namespace, NEW.instance, NEW.environment, NEW.kubernetes_namespace))
  EXECUTE FUNCTION shepherd_refuse('the identity of a VM is immutable');

-- What was signed is what is applied: of a plan only the time of its publication is set, once.
CREATE TRIGGER plans_content BEFORE UPDATE ON plans FOR EACH ROW
  WHEN (OLD.published_at IS NOT NULL
    OR (OLD.id, OLD.pull_request, OLD.path, OLD.change_digest, OLD.effective_digest, OLD.cluster, OLD.storage_class, OLD.template, OLD.template_version, OLD.kubernetes_namespace, OLD.template_snapshot, OLD.size_snapshot, OLD.manifests)
       IS DISTINCT FROM (NEW.id, NEW.pull_request, NEW.path, NEW.change_digest, NEW.effective_digest, NEW.cluster, NEW.storage_class, NEW.template, NEW.template_version, NEW.kubernetes_namespace, NEW.template_snapshot, NEW.size_snapshot, NEW.manifests))
  EXECUTE FUNCTION shepherd_refuse('a plan is immutable');

-- Observations and decisions are history.
CREATE TRIGGER pushes_rows BEFORE UPDATE ON pushes
  FOR EACH ROW EXECUTE FUNCTION shepherd_refuse('a push as delivered is immutable');
CREATE TRIGGER decisions_rows BEFORE UPDATE OR DELETE ON decisions
  FOR EACH ROW EXECUTE FUNCTION shepherd_refuse('a decision is immutable');
CREATE TRIGGER reviews_rows BEFORE UPDATE ON reviews FOR EACH ROW
  WHEN ((OLD.id, OLD.pull_request, OLD.reviewer_id, OLD.state, OLD.commit_sha, OLD.body, OLD.submitted_at)
    IS DISTINCT FROM (NEW.id, NEW.pull_request, NEW.reviewer_id, NEW.state, NEW.commit_sha, NEW.body, NEW.submitted_at)
    OR OLD.dismissed_by <> 0)
  EXECUTE FUNCTION shepherd_refuse('a review as delivered is immutable');
CREATE TRIGGER indexes_rows BEFORE UPDATE OR DELETE ON indexes
  FOR EACH ROW EXECUTE FUNCTION shepherd_refuse('an index is used once');

-- River deletes finished jobs all the time: its table has to be vacuumed often.
ALTER TABLE IF EXISTS river_job SET (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 100, autovacuum_analyze_scale_factor = 0.01);

-- +goose Down
ALTER TABLE IF EXISTS river_job RESET (autovacuum_vacuum_scale_factor, autovacuum_vacuum_threshold, autovacuum_analyze_scale_factor);
DROP TRIGGER indexes_rows ON indexes;
DROP TRIGGER reviews_rows ON reviews;
DROP TRIGGER decisions_rows ON decisions;
DROP TRIGGER pushes_rows ON pushes;
DROP TRIGGER plans_content ON plans;
DROP TRIGGER vms_identity ON vms;
DROP TRIGGER tickets_identity ON tickets;
DROP TRIGGER events_payload ON events;
DROP TRIGGER audit_log_table ON audit_log;
DROP TRIGGER audit_log_rows ON audit_log;
DROP FUNCTION shepherd_refuse();
