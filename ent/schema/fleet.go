package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/internal/domain"
)

// Accepted is the last spec of a governed path that passed the gate.
type Accepted struct{ ent.Schema }

// Annotations of the table.
func (Accepted) Annotations() []schema.Annotation { return []schema.Annotation{table("accepted")} }

// Fields of the table.
func (Accepted) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").Immutable().Comment("the path"),
		field.String("kind").Immutable(),
		field.String("name").Immutable().Comment("unique among its kind: the system, the service, the VM"),
		field.String("system").Default("").Immutable(),
		field.String("service").Default("").Immutable(),
		field.String("namespace").Default("").Immutable(),
		field.Bytes("spec").Comment("canonical JSON"),
		field.Bytes("document").Comment("the file as merged, so that an undo restores it byte for byte"),
		field.String("commit"),
		field.Int("pull_request").Default(0),
		field.Int64("created_by").Default(0).Immutable().Comment("owner of a system"),
		field.String("created_by_login").Default("").Immutable(),
		field.Time("accepted_at").Default(time.Now).UpdateDefault(time.Now),
	}
}

// Indexes of the table.
func (Accepted) Indexes() []ent.Index {
	return []ent.Index{unique("", "kind", "name"), index.Fields("system", "service")}
}

// InstanceIndex is the ledger of indexes: a number is used once in a service's name, for ever.
type InstanceIndex struct{ ent.Schema }

// Annotations of the table.
func (InstanceIndex) Annotations() []schema.Annotation { return []schema.Annotation{table("indexes")} }

// Fields of the table.
func (InstanceIndex) Fields() []ent.Field {
	return []ent.Field{
		field.String("service").Immutable(),
		field.Int("number").Immutable(),
		field.String("vm").Immutable(),
		createdAt(),
	}
}

// Indexes of the table.
func (InstanceIndex) Indexes() []ent.Index { return []ent.Index{unique("", "service", "number")} }

// VM is a machine of the fleet: what is accepted and what is applied are kept apart.
type VM struct{ ent.Schema }

// Annotations of the table.
func (VM) Annotations() []schema.Annotation { return []schema.Annotation{table("vms")} }

// Fields of the table.
func (VM) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("name").Unique().Immutable(),
		field.String("path").Unique().Immutable(),
		field.String("system").Immutable(),
		field.String("service").Immutable(),
		field.String("namespace").Immutable(),
		field.String("instance").Immutable(),
		field.String("environment").Immutable(),
		field.String("kubernetes_namespace").Immutable(),
		field.String("cluster"),
		field.Enum("status").Values("CREATING", "RUNNING", "STOPPING", "STOPPED", "DELETING", "DELETED", "FAILED", "UNKNOWN").Default("CREATING"),
		field.String("status_message").Default(""),
		field.String("uid").Default("").Comment("the object's, from the API server"),
		field.UUID("accepted_plan", uuid.UUID{}).Comment("what git and the approvers agreed on"),
		field.UUID("applied_plan", uuid.UUID{}).Optional().Nillable().Comment("what the cluster was last given"),
		field.Int64("sequence").Default(0).Comment("of the last merged event"),
		field.Int64("applied_sequence").Default(0),
		field.Int64("created_by").Immutable(),
		field.String("created_by_login").Immutable(),
		createdAt(),
		field.Time("updated_at").Default(time.Now).UpdateDefault(time.Now),
	}
}

// Edges of the table.
func (VM) Edges() []ent.Edge { return []ent.Edge{edge.To("revisions", VMRevision.Type)} }

// Indexes of the table.
func (VM) Indexes() []ent.Index {
	return []ent.Index{index.Fields("cluster"), index.Fields("system", "service"), index.Fields("namespace")}
}

// VMRevision is one spec that a cluster accepted.
type VMRevision struct{ ent.Schema }

// Annotations of the table.
func (VMRevision) Annotations() []schema.Annotation {
	return []schema.Annotation{table("vm_revisions")}
}

// Fields of the table.
func (VMRevision) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.UUID("vm_id", uuid.UUID{}).Immutable(),
		field.Int64("number").Immutable().Comment("the event's sequence"),
		field.UUID("event_id", uuid.UUID{}).Immutable(),
		field.UUID("plan_id", uuid.UUID{}).Immutable(),
		field.String("resource_version").Default("").Immutable(),
		createdAt(),
	}
}

// Edges of the table.
func (VMRevision) Edges() []ent.Edge {
	return []ent.Edge{edge.From("vm", VM.Type).Ref("revisions").Field("vm_id").Unique().Required().Immutable()}
}

// Indexes of the table.
func (VMRevision) Indexes() []ent.Index { return []ent.Index{unique("", "vm_id", "number")} }

// Cluster holds the sealed credentials of a cluster and what was last seen there. Its environment
// and status are the platform's to say.
type Cluster struct{ ent.Schema }

// Annotations of the table.
func (Cluster) Annotations() []schema.Annotation { return []schema.Annotation{table("clusters")} }

// Fields of the table.
func (Cluster) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").Immutable().Comment("its name in the platform"),
		field.Bytes("kubeconfig").Sensitive().Comment("sealed"),
		field.String("key_id"),
		field.Int64("generation").Default(1).Comment("grows with every change of the credentials"),
		field.String("uid").Immutable().Comment("of its kube-system namespace: pins the cluster"),
		field.Enum("health").Values("unknown", "healthy", "unhealthy", "unreachable").Default("unknown"),
		field.String("health_message").Default(""),
		field.String("kubernetes_version").Default(""),
		field.String("kubevirt_version").Default(""),
		field.JSON("storage_classes", []string{}).Optional(),
		field.String("default_storage_class").Default(""),
		field.JSON("capabilities", &domain.Capabilities{}).Optional(),
		field.Time("checked_at").Optional().Nillable(),
		field.Time("paused_until").Optional().Nillable().Comment("nothing is sent there before; one that has passed counts for nothing"),
		field.String("paused_reason").Default(""),
		createdAt(),
	}
}
