package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
)

// ForgeAnswer is what the forge answered to a question, kept to ask whether it is still so. It is a cache: the table
// is not logged, and nothing is lost with it.
type ForgeAnswer struct{ ent.Schema }

// Annotations of the table.
func (ForgeAnswer) Annotations() []schema.Annotation {
	return []schema.Annotation{table("forge_cache")}
}

// Fields of the table.
func (ForgeAnswer) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").Immutable().Comment("hash of who asks, the method, the address and the form"),
		field.String("etags").Comment("under which the forge knows this very body: it gives one body another tag for another token"),
		field.String("link").Default("").Comment("where the other pages of a list are"),
		field.String("content_type").Default(""),
		field.Bytes("body").Comment("compressed"),
		field.Time("used_at").Default(time.Now).Comment("to the hour"),
	}
}

// Indexes of the table.
func (ForgeAnswer) Indexes() []ent.Index { return []ent.Index{index.Fields("used_at")} }

// ForgeLimit is what the forge lets one identity do: replicas share it.
type ForgeLimit struct{ ent.Schema }

// Annotations of the table.
func (ForgeLimit) Annotations() []schema.Annotation {
	return []schema.Annotation{table("forge_limits")}
}

// Fields of the table.
func (ForgeLimit) Fields() []ent.Field {
	return []ent.Field{
		field.String("id").Immutable().Comment("the identity, as installation/5"),
		field.Int("allowed").Default(0).Comment("requests in a period; 0: the forge did not tell"),
		field.Int("remaining").Default(0).Comment("of them; where few are left each is taken here before it is sent"),
		field.Int64("period").Default(0).Comment("its end by the forge's clock, in seconds: names it"),
		field.Time("resets_at").Optional().Nillable().Comment("its end by ours"),
		field.Time("blocked_until").Optional().Nillable().Comment("the forge asked for silence"),
		field.String("blocked_reason").Default(""),
		field.Time("content_blocked_until").Optional().Nillable().Comment("the forge asked to create nothing"),
		field.JSON("created", []int64{}).Optional().Comment("when something was created in the last hour, in milliseconds"),
		field.Int("refused").Default(0).Comment("how many were told to come back since something was created: they come one after another"),
		field.Time("decisions_until").Optional().Nillable().Comment("decisions wait to be created, and news for them"),
		field.Time("updated_at").Default(time.Now),
	}
}
