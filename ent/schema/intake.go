package schema

import (
	"encoding/json"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// Repository is the one governed repository: how far its branch was followed.
type Repository struct{ ent.Schema }

// Annotations of the table.
func (Repository) Annotations() []schema.Annotation { return []schema.Annotation{table("repository")} }

// Fields of the table.
func (Repository) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable().Comment("the forge's number of the repository"),
		field.String("branch").Immutable(),
		field.String("cursor").Default("").Comment("last commit of the branch that was walked; empty before the baseline"),
		field.String("platform_commit").Default("").Comment("commit whose rules are in force"),
		field.String("blocked").Default("").Comment("why the walker stands still, e.g. HISTORY_REWRITTEN"),
		field.Time("last_sweep_at").Optional().Nillable(),
		field.Time("deliveries_swept_to").Optional().Nillable().Comment("no delivery that the forge sent earlier is missing"),
	}
}

// Delivery is one webhook as it came in. Its key makes a second one harmless.
type Delivery struct{ ent.Schema }

// Annotations of the table.
func (Delivery) Annotations() []schema.Annotation { return []schema.Annotation{table("deliveries")} }

// Fields of the table.
func (Delivery) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").MaxLen(100).Immutable().Comment("the forge's delivery id"),
		field.String("event").MaxLen(100).Immutable(),
		field.Bytes("body").Immutable(),
		field.Time("received_at").Immutable(),
		field.Time("sent_at").Optional().Nillable().Immutable().Comment("when the forge had tried to send it, where it never came and was fetched later"),
		field.Enum("status").Values("received", "routed", "ignored").Default("received"),
		field.String("outcome").Default("").Comment("what it led to, or why it was ignored"),
	}
}

// Indexes of the table.
func (Delivery) Indexes() []ent.Index { return []ent.Index{index.Fields("received_at")} }

// PullRequest is what the bot knows of one pull request and what it has said there.
type PullRequest struct{ ent.Schema }

// Annotations of the table.
func (PullRequest) Annotations() []schema.Annotation {
	return []schema.Annotation{table("pull_requests")}
}

// Fields of the table.
func (PullRequest) Fields() []ent.Field {
	return []ent.Field{
		field.Int("id").Immutable().Comment("its number"),
		field.String("title").Default(""),
		field.String("url").Default(""),
		field.Int64("author_id").Default(0),
		field.String("author_login").Default(""),
		field.String("head_sha").Default(""),
		field.String("base_ref").Default(""),
		field.Enum("state").Values("open", "closed", "merged").Default("open"),
		field.Bool("draft").Default(false),
		field.Bool("fork").Default(false),
		field.Int64("wanted").Default(0).Comment("judgings asked for"),
		field.Int64("judged").Default(0).Comment("the last asked-for judging that is done"),
		field.Bool("queued").Default(false).Comment("a judge job waits"),
		field.Time("as_of").Optional().Nillable().Comment("the forge's last change that the last judging has seen, by the forge's clock"),
		field.Time("epoch").Optional().Nillable().Comment("decisions from before count no more: reopened or retargeted"),
		field.Bool("telling").Default(false).Comment("a tell job waits"),
		field.JSON("report", json.RawMessage{}).Optional().Comment("the last judging, for telling"),
		field.JSON("outcomes", json.RawMessage{}).Optional().Comment("the reviews as last weighed, by path"),
		field.JSON("merge_report", json.RawMessage{}).Optional().Comment("what became of it at its merge"),
		field.Int64("held_by").Default(0).Comment("who keeps the bot from merging by itself"),
		field.String("held_by_login").Default(""),
		field.Time("held_at").Optional().Nillable(),
		field.Int64("comment_id").Default(0),
		field.String("comment_hash").Default(""),
		field.String("validate_hash").Default("").Comment("what the last shepherd/validate check said, with its SHA"),
		field.String("approval_hash").Default(""),
		field.Time("told_at").Optional().Nillable(),
		createdAt(),
	}
}

// Indexes let a head's open pull requests be found, however many there have been.
func (PullRequest) Indexes() []ent.Index {
	return []ent.Index{
		index.Fields("head_sha").StorageKey("pullrequest_head_sha").Annotations(entsql.IndexWhere("state = 'open'")),
		index.Fields("telling").Annotations(entsql.IndexWhere("telling")),
	}
}

// Push is a head moving, kept because the forge forgets who did it.
type Push struct{ ent.Schema }

// Annotations of the table.
func (Push) Annotations() []schema.Annotation { return []schema.Annotation{table("pushes")} }

// Fields of the table.
func (Push) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.String("delivery_id").Unique().Immutable(),
		field.String("ref").Immutable(),
		field.Int("pull_request").Default(0).Immutable().Comment("0: a branch of the repository"),
		field.String("before").Immutable(),
		field.String("after").Immutable(),
		field.Bool("forced").Default(false).Immutable(),
		field.Int64("pusher_id").Immutable(),
		field.String("pusher_login").Immutable(),
		field.Time("at").Immutable().Comment("when it was received"),
	}
}

// Indexes of the table.
func (Push) Indexes() []ent.Index {
	return []ent.Index{index.Fields("pull_request"), index.Fields("after")}
}

// Review is a review as it was first seen: the forge may rewrite its commit and its text later.
type Review struct{ ent.Schema }

// Annotations of the table.
func (Review) Annotations() []schema.Annotation { return []schema.Annotation{table("reviews")} }

// Fields of the table.
func (Review) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("id").Immutable().Comment("the forge's id"),
		field.Int("pull_request").Immutable(),
		field.Int64("reviewer_id").Immutable(),
		field.String("reviewer_login").Immutable(),
		field.Bool("reviewer_bot").Default(false).Immutable(),
		field.String("state").Immutable(),
		field.String("commit_sha").Default("").Immutable().Comment("as delivered, signed; empty when only read from the API"),
		field.String("body").Default("").Immutable(),
		field.Time("submitted_at").Immutable(),
		field.String("delivery_id").Default("").Immutable(),
		field.Int64("dismissed_by").Default(0).Comment("who withdrew it: set once, from the signed webhook"),
		field.String("dismissed_by_login").Default(""),
		field.Bool("dismissed_by_forge").Default(false),
	}
}

// Indexes of the table.
func (Review) Indexes() []ent.Index { return []ent.Index{index.Fields("pull_request")} }

// Effect is something done to the outside, written down under a unique key before it is done.
// Command is a line of a comment or review that asks for something, as it was first submitted.
type Command struct{ ent.Schema }

func (Command) Annotations() []schema.Annotation { return []schema.Annotation{table("commands")} }

func (Command) Fields() []ent.Field {
	return []ent.Field{
		id(),
		field.Enum("source").Values("comment", "review").Immutable(),
		field.Int64("source_id").Immutable().Comment("the forge's id of the comment or review"),
		field.Int("ordinal").Immutable().Comment("its place among the commands of its source"),
		field.Int("pull_request").Immutable(),
		field.Int64("author_id").Immutable(),
		field.String("author_login").Immutable(),
		field.Bool("author_bot").Default(false).Immutable(),
		field.String("verb").Immutable(),
		field.JSON("args", []string{}).Optional().Immutable(),
		field.Int("line").Default(0).Immutable(),
		field.String("block").Default("").Immutable().Comment("the fenced block that came with it"),
		field.Time("at").Immutable().Comment("by the forge's clock"),
		field.String("delivery_id").Default("").Immutable(),
		field.Enum("status").Values("received", "done", "refused").Default("received"),
		field.JSON("answer", json.RawMessage{}).Optional().Comment("what its author is told"),
		field.Time("answered_at").Optional().Nillable(),
	}
}

func (Command) Indexes() []ent.Index {
	return []ent.Index{unique("", "source", "source_id", "ordinal"), index.Fields("pull_request"), index.Fields("status")}
}

// Membership is what the forge said of a person in a team, for a while.
type Membership struct{ ent.Schema }

func (Membership) Annotations() []schema.Annotation { return []schema.Annotation{table("memberships")} }

func (Membership) Fields() []ent.Field {
	return []ent.Field{
		field.Int64("organization").Immutable(),
		field.Int64("team").Immutable(),
		field.Int64("person").Immutable(),
		field.Bool("member"),
		field.Time("asked_at"),
	}
}

func (Membership) Indexes() []ent.Index {
	return []ent.Index{unique("", "organization", "team", "person")}
}

type Effect struct{ ent.Schema }

// Annotations of the table.
func (Effect) Annotations() []schema.Annotation { return []schema.Annotation{table("effects")} }

// Fields of the table.
func (Effect) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").Immutable().Comment("the unique key"),
		field.Enum("status").Values("intended", "done", "failed").Default("intended"),
		field.String("note").Default("").Immutable().Comment("what has to be known to go on from it"),
		field.String("result").Default("").Comment("what the outside answered"),
		createdAt(),
		field.Time("done_at").Optional().Nillable(),
	}
}
