-- +goose Up
-- What somebody has said is history, as it was first said.
CREATE TRIGGER commands_rows BEFORE UPDATE ON commands FOR EACH ROW
  WHEN ((OLD.id, OLD.source, OLD.source_id, OLD.ordinal, OLD.pull_request, OLD.author_id, OLD.verb, OLD.args, OLD.block, OLD.at)
    IS DISTINCT FROM (NEW.id, NEW.source, NEW.source_id, NEW.ordinal, NEW.pull_request, NEW.author_id, NEW.verb, NEW.args, NEW.block, NEW.at)
    OR OLD.status <> 'received')
  EXECUTE FUNCTION shepherd_refuse('a command is immutable, and answered once');
CREATE TRIGGER confirmations_rows BEFORE UPDATE OR DELETE ON confirmations
  FOR EACH ROW EXECUTE FUNCTION shepherd_refuse('a confirmation is immutable');

-- A grant ends, or is ended; it never becomes another one.
CREATE TRIGGER grants_rows BEFORE UPDATE ON grants FOR EACH ROW
  WHEN ((OLD.id, OLD.ticket_id, OLD.event_id, OLD.path, OLD.vm, OLD.environment, OLD.person_id, OLD.granted_at, OLD.expires_at)
    IS DISTINCT FROM (NEW.id, NEW.ticket_id, NEW.event_id, NEW.path, NEW.vm, NEW.environment, NEW.person_id, NEW.granted_at, NEW.expires_at)
    OR OLD.revoked_at IS NOT NULL)
  EXECUTE FUNCTION shepherd_refuse('a grant is immutable');

-- The plan has more to it now.
DROP TRIGGER plans_content ON plans;
CREATE TRIGGER plans_content BEFORE UPDATE ON plans FOR EACH ROW
  WHEN (OLD.published_at IS NOT NULL
    OR (OLD.id, OLD.pull_request, OLD.path, OLD.change_digest, OLD.effective_digest, OLD.cluster, OLD.storage_class, OLD.template, OLD.template_version, OLD.size, OLD.disk, OLD.kubernetes_namespace, OLD.template_snapshot, OLD.size_snapshot, OLD.manifests)
       IS DISTINCT FROM (NEW.id, NEW.pull_request, NEW.path, NEW.change_digest, NEW.effective_digest, NEW.cluster, NEW.storage_class, NEW.template, NEW.template_version, NEW.size, NEW.disk, NEW.kubernetes_namespace, NEW.template_snapshot, NEW.size_snapshot, NEW.manifests))
  EXECUTE FUNCTION shepherd_refuse('a plan is immutable');

-- +goose Down
DROP TRIGGER plans_content ON plans;
CREATE TRIGGER plans_content BEFORE UPDATE ON plans FOR EACH ROW
  WHEN (OLD.published_at IS NOT NULL
    OR (OLD.id, OLD.pull_request, OLD.path, OLD.change_digest, OLD.effective_digest, OLD.cluster, OLD.storage_class, OLD.template, OLD.template_version, OLD.kubernetes_namespace, OLD.template_snapshot, OLD.size_snapshot, OLD.manifests)
       IS DISTINCT FROM (NEW.id, NEW.pull_request, NEW.path, NEW.change_digest, NEW.effective_digest, NEW.cluster, NEW.storage_class, NEW.template, NEW.template_version, NEW.kubernetes_namespace, NEW.template_snapshot, NEW.size_snapshot, NEW.manifests))
  EXECUTE FUNCTION shepherd_refuse('a plan is immutable');
DROP TRIGGER grants_rows ON grants;
DROP TRIGGER confirmations_rows ON confirmations;
DROP TRIGGER commands_rows ON commands;
