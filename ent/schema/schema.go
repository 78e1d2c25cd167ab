// Package schema declares the tables. What the database itself must refuse (an update of an event's
// payload, any change of the audit log) is in the migrations, as triggers.
package schema

import (
	"time"

	"entgo.io/ent"
	"entgo.io/ent/dialect/entsql"
	"entgo.io/ent/schema"
	"entgo.io/ent/schema/field"
	"entgo.io/ent/schema/index"
	"github.com/google/uuid"
)

func id() ent.Field {
	return field.UUID("id", uuid.UUID{}).Default(newID).Immutable()
}

// newID gives ids that sort by time, so that indexes stay compact.
func newID() uuid.UUID { return uuid.Must(uuid.NewV7()) }

func createdAt() ent.Field { return field.Time("created_at").Default(time.Now).Immutable() }

func table(name string) schema.Annotation { return entsql.Annotation{Table: name} }

func unique(where string, fields ...string) ent.Index {
	i := index.Fields(fields...).Unique()
	if where != "" {
		i = i.Annotations(entsql.IndexWhere(where))
	}
	return i
}
