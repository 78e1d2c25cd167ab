package approval

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/effect"
	"kv-shepherd.io/shepherd/internal/store"
)

// restartEffect is the unique key of the restart that an event asks for.
func restartEffect(id uuid.UUID) string { return "restart:" + id.String() }

// Restart is what is written down of the restart that an event asks for.
type Restart struct {
	Noted  bool   // it is written down which run of the VM is to end
	Run    string // that run; empty where the VM did not run
	Done   bool   // the cluster has answered
	Result string // its answer
}

// Restart reads what is written down of an event's restart. The zero Restart is that of an event that has
// got no further, or that asks for none.
func (g *Gateway) Restart(ctx context.Context, id uuid.UUID) (Restart, error) {
	e, err := g.db.Effect.Get(ctx, restartEffect(id))
	if ent.IsNotFound(err) {
		return Restart{}, nil
	}
	if err != nil {
		return Restart{}, fmt.Errorf("read the restart of event %s: %w", id, err)
	}
	return Restart{Noted: true, Run: e.Note, Done: e.Status == effect.StatusDone, Result: e.Result}, nil
}

// BeginRestart writes down which run of a VM an event ends, before anybody is asked to end it. What was
// written down first stays, and is what it returns: a later run is never the one that was meant.
func (g *Gateway) BeginRestart(ctx context.Context, id uuid.UUID, run string) (Restart, error) {
	err := g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.Effect.Create().SetID(restartEffect(id)).SetNote(run).OnConflictColumns(effect.FieldID).Ignore().Exec(ctx)
	})
	if err != nil {
		return Restart{}, fmt.Errorf("note the restart of event %s: %w", id, err)
	}
	return g.Restart(ctx, id)
}

// EndRestart writes down what the cluster answered.
func (g *Gateway) EndRestart(ctx context.Context, id uuid.UUID, result string) error {
	err := g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.Effect.UpdateOneID(restartEffect(id)).SetStatus(effect.StatusDone).SetResult(result).SetDoneAt(g.now()).Exec(ctx)
	})
	if err != nil {
		return fmt.Errorf("note the result of the restart of event %s: %w", id, err)
	}
	return nil
}
