package schema

import (
	"encoding/json"
	"time"

	"entgo.io/ent"
	"entgo.io/ent/dialect"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/edge"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"
)

// Plan is what would be applied for one change: the choices, the snapshots, the bytes. Only its
// published time is ever set after it was written.
type Plan struct{ ent.Schema }

// Annotations of the table.
func (Plan) Annotations() []schema.Annotation { return []schema.Annotation{table("plans")} }

// Fields of the table.
func (Plan) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.Int("pull_request").Immutable(),
		field.String("path").Immutable(),
		field.String("change_digest").Immutable(),
		field.String("effective_digest").Immutable(),
		field.String("cluster").Default("").Immutable(),
		field.String("storage_class").Default("").Immutable(),
		field.String("template").Default("").Immutable(),
		field.Int("template_version").Default(0).Immutable(),
		field.String("size").Default("").Immutable(),
		field.String("disk").Default("").Immutable().Comment("of the root disk, also where the spec leaves it to the size"),
		field.String("kubernetes_namespace").Default("").Immutable(),
		field.JSON("template_snapshot", map[string]any{}).Optional().Immutable(),
		field.JSON("size_snapshot", map[string]any{}).Optional().Immutable(),
		field.Bytes("manifests").Optional().Immutable().Comment("JSON list, in apply order"),
		field.Time("published_at").Optional().Nillable().Comment("by the forge's clock, set once"),
		createdAt(),
	}
}

// Edges of the table.
func (Plan) Edges() []ent.Edge { return []ent.Edge{edge.To("heads", PlanHead.Type)} }

// Indexes of the table.
func (Plan) Indexes() []ent.Index { return []ent.Index{index.Fields("pull_request", "path")} }

// PlanHead says that at this head of the pull request the plan was the one in force: a review of any
// of these heads is a review of the plan.
type PlanHead struct{ ent.Schema }

// Annotations of the table.
func (PlanHead) Annotations() []schema.Annotation { return []schema.Annotation{table("plan_heads")} }

// Fields of the table.
func (PlanHead) Fields() []ent.Field {
	return []ent.Field{
		field.UUID("plan_id", uuid.UUID{}).Immutable(),
		field.String("sha").Immutable(),
		createdAt(),
	}
}

// Edges of the table.
func (PlanHead) Edges() []ent.Edge {
	return []ent.Edge{edge.From("plan", Plan.Type).Ref("heads").Field("plan_id").Unique().Required().Immutable()}
}

// Indexes of the table.
func (PlanHead) Indexes() []ent.Index { return []ent.Index{unique("", "plan_id", "sha")} }

// Event is a domain event: a wish as it was submitted. The payload never changes.
type Event struct{ ent.Schema }

// Annotations of the table.
func (Event) Annotations() []schema.Annotation { return []schema.Annotation{table("events")} }

// Fields of the table.
func (Event) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("type").Immutable().Comment("e.g. VM_CREATION_REQUESTED"),
		field.String("operation").Immutable(),
		field.String("subject").Immutable().Comment("the VM, service or system"),
		field.String("path").Immutable(),
		field.JSON("payload", json.RawMessage{}).SchemaType(map[string]string{dialect.Postgres: "json"}).Immutable().Comment("kept byte for byte: json, not jsonb"),
		field.Int64("requested_by").Immutable(),
		field.String("requested_by_login").Immutable(),
		field.Int("pull_request").Immutable(),
		field.Enum("status").Values("PENDING", "PROCESSING", "COMPLETED", "FAILED", "CANCELLED").Default("PENDING"),
		field.String("error_code").Default(""),
		field.String("error_message").Default(""),
		field.Int64("sequence").Default(0).Comment("order among the events of one VM, given at merge"),
		field.String("merge_commit").Default(""),
		field.UUID("retry_of", uuid.UUID{}).Optional().Nillable().Immutable().Comment("the failed event that this one does again"),
		createdAt(),
		field.Time("processed_at").Optional().Nillable(),
		field.Time("finished_at").Optional().Nillable(),
		field.Time("archived_at").Optional().Nillable(),
	}
}

// Edges of the table.
func (Event) Edges() []ent.Edge { return []ent.Edge{edge.To("ticket", Ticket.Type).Unique()} }

// Indexes of the table.
func (Event) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("pull_request"), index.Fields("subject", "sequence"), index.Fields("status"), index.Fields("archived_at"),
		index.Fields("requested_by", "created_at"),
	}
}

// Ticket is the approval that an event needs, or that policy gave it.
type Ticket struct{ ent.Schema }

// Annotations of the table.
func (Ticket) Annotations() []schema.Annotation { return []schema.Annotation{table("tickets")} }

// Fields of the table.
func (Ticket) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.UUID("event_id", uuid.UUID{}).Immutable(),
		field.UUID("plan_id", uuid.UUID{}).Comment("the plan in force; decisions accept a plan"),
		field.Int("pull_request").Immutable(),
		field.String("operation").Immutable(),
		field.String("environment").Default("").Immutable(),
		field.String("path").Immutable(),
		field.String("subject").Immutable(),
		field.String("system").Default("").Immutable(),
		field.String("service").Default("").Immutable(),
		field.String("namespace").Default("").Immutable(),
		field.String("instance").Default("").Immutable(),
		field.Int64("requester_id").Immutable(),
		field.String("requester_login").Immutable(),
		field.String("reason").Default("").Immutable(),
		field.String("change_digest").Immutable(),
		field.Enum("status").Values("PENDING_APPROVAL", "APPROVED", "REJECTED", "CANCELLED", "COMPLETED", "FAILED").Default("PENDING_APPROVAL"),
		field.Int("approvals_required").Default(1),
		field.JSON("verdict", json.RawMessage{}).Optional().Comment("the policy's verdict tree at the last judging"),
		field.JSON("planned", json.RawMessage{}).SchemaType(map[string]string{dialect.Postgres: "json"}).Optional().
			Comment("what an approver chose, byte for byte; the modified spec and the choices in force follow"),
		field.String("planned_digest").Default("").Comment("the change's digest once the head says what the plan says"),
		field.JSON("modified_spec", map[string]any{}).Optional(),
		field.String("modification_reason").Default(""),
		field.String("selected_cluster").Default(""),
		field.Int("selected_template_version").Default(0),
		field.String("selected_storage_class").Default(""),
		field.String("decision").Default("").Comment("the text or rule that decided"),
		field.Int64("decided_by").Default(0),
		field.String("decided_by_login").Default(""),
		field.Time("decided_at").Optional().Nillable(),
		createdAt(),
		field.Time("updated_at").Default(time.Now).UpdateDefault(time.Now),
	}
}

// Edges of the table.
func (Ticket) Edges() []ent.Edge {
	return []ent.Edge{
		edge.From("event", Event.Type).Ref("ticket").Field("event_id").Unique().Required().Immutable(),
		edge.To("plan", Plan.Type).Field("plan_id").Unique().Required(),
		edge.To("decisions", Decision.Type),
		edge.To("claims", Claim.Type),
	}
}

// Indexes of the table.
func (Ticket) Indexes() []ent.Index {
	return []ent.Index{
		unique("status = 'PENDING_APPROVAL'", "path"),
		unique("", "event_id"),
		index.Fields("pull_request", "status"), index.Fields("subject"),
	}
}

// Decision is one review turned into a yes or no on one ticket. Rows are only added.
type Decision struct{ ent.Schema }

// Annotations of the table.
func (Decision) Annotations() []schema.Annotation { return []schema.Annotation{table("decisions")} }

// Fields of the table.
func (Decision) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.UUID("ticket_id", uuid.UUID{}).Immutable(),
		field.UUID("plan_id", uuid.UUID{}).Immutable(),
		field.Int64("review_id").Immutable(),
		field.Int64("reviewer_id").Immutable(),
		field.String("reviewer_login").Immutable(),
		field.Enum("verdict").Values("approve", "reject", "withdraw").Immutable(),
		field.String("text").Default("").Immutable(),
		createdAt(),
	}
}

// Edges of the table.
func (Decision) Edges() []ent.Edge {
	return []ent.Edge{edge.From("ticket", Ticket.Type).Ref("decisions").Field("ticket_id").Unique().Required().Immutable()}
}

// Indexes of the table.
func (Decision) Indexes() []ent.Index {
	return []ent.Index{unique("", "ticket_id", "plan_id", "review_id", "verdict")}
}

// Claim reserves a name, an index, an address or a VM for a change of an open pull request.
// Confirmation is somebody's word that a deletion is meant.
type Confirmation struct{ ent.Schema }

func (Confirmation) Annotations() []schema.Annotation {
	return []schema.Annotation{table("confirmations")}
}

func (Confirmation) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.Int("pull_request").Immutable(),
		field.String("path").Immutable(),
		field.String("subject").Immutable(),
		field.String("change_digest").Immutable(),
		field.Int64("person_id").Immutable(),
		field.String("person_login").Immutable(),
		field.UUID("command_id", uuid.UUID{}).Immutable(),
		field.Time("at").Immutable().Comment("by the forge's clock"),
		createdAt(),
	}
}

func (Confirmation) Indexes() []ent.Index {
	return []ent.Index{unique("", "command_id", "path"), index.Fields("pull_request", "path")}
}

// Grant lets a person use the console of a VM for a while.
type Grant struct{ ent.Schema }

func (Grant) Annotations() []schema.Annotation { return []schema.Annotation{table("grants")} }

func (Grant) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.UUID("ticket_id", uuid.UUID{}).Immutable(),
		field.UUID("event_id", uuid.UUID{}).Unique().Immutable(),
		field.String("path").Immutable(),
		field.String("vm").Immutable(),
		field.String("environment").Immutable(),
		field.Int64("person_id").Immutable(),
		field.String("person_login").Immutable(),
		field.Int("pull_request").Immutable(),
		field.Time("granted_at").Immutable(),
		field.Time("expires_at").Immutable(),
		field.Time("revoked_at").Optional().Nillable(),
		field.String("revoked_by").Default(""),
	}
}

func (Grant) Indexes() []ent.Index {
	return []ent.Index{index.Fields("vm", "person_id", "expires_at"), index.Fields("path"), index.Fields("pull_request")}
}

type Claim struct{ ent.Schema }

// Annotations of the table.
func (Claim) Annotations() []schema.Annotation { return []schema.Annotation{table("claims")} }

// Fields of the table.
func (Claim) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").Immutable().Comment("e.g. vm:prod-shop-shop-redis-01"),
		field.Int("pull_request"),
		field.String("path").Comment("the change that claims"),
		field.UUID("ticket_id", uuid.UUID{}).Optional().Nillable().Comment("none where no approval is needed"),
		createdAt(),
	}
}

// Edges of the table.
func (Claim) Edges() []ent.Edge {
	return []ent.Edge{edge.From("ticket", Ticket.Type).Ref("claims").Field("ticket_id").Unique()}
}

// Indexes of the table.
func (Claim) Indexes() []ent.Index {
	return []ent.Index{index.Fields("ticket_id"), index.Fields("pull_request", "path")}
}

// AuditLog is the append-only trail. The database refuses updates, deletes and truncates.
type AuditLog struct{ ent.Schema }

// Annotations of the table.
func (AuditLog) Annotations() []schema.Annotation { return []schema.Annotation{table("audit_log")} }

// Fields of the table.
func (AuditLog) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable(),
		field.Time("performed_at").Default(time.Now).Immutable(),
		field.String("action_code").NotEmpty().Immutable(),
		field.Int64("actor_id").Default(0).Immutable(),
		field.String("performed_by").NotEmpty().Immutable(),
		field.String("subject").Default("").Immutable(),
		field.String("environment").Default("").Immutable(),
		field.Int("pull_request").Default(0).Immutable(),
		field.String("ticket_id").Default("").Immutable(),
		field.String("event_id").Default("").Immutable(),
		field.JSON("params", map[string]any{}).Optional().Immutable(),
	}
}

// Indexes of the table.
func (AuditLog) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("performed_at"), index.Fields("action_code", "performed_at"), index.Fields("subject"),
		index.Fields("pull_request"), index.Fields("actor_id", "performed_at"),
	}
}
