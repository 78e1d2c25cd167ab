package approval

import (
	"context"
	"fmt"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/effect"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/store"
)

// namespaceEffect is the unique key of the namespace that events of a cluster make for their VMs.
func namespaceEffect(w Work) string {
	return "namespace:" + w.VM.Cluster + ":" + w.VM.KubernetesNamespace
}

// BeginNamespace writes down that a VM's namespace is about to be made where it is missing. again reports that this was
// written down before, and nobody has told what came of it: it may have been made then.
func (g *Gateway) BeginNamespace(ctx context.Context, w Work) (again bool, err error) {
	key := namespaceEffect(w)
	err = g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		tag, err := tx.PGX.Exec(ctx, `insert into effects (id, status, note, result, created_at) values ($1, 'intended', '', '', $2) on conflict (id) do nothing`, key, g.now())
		if err != nil || tag.RowsAffected() == 1 {
			again = false
			return err
		}
		again, err = tx.Effect.Query().Where(effect.ID(key), effect.StatusEQ(effect.StatusIntended)).Exist(ctx)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("note effect %s: %w", key, err)
	}
	return again, nil
}

// EndNamespace writes down whether the namespace was made. One that was is written into the trail when its first event
// ends, by Finish.
func (g *Gateway) EndNamespace(ctx context.Context, w Work, made bool) error {
	key := namespaceEffect(w)
	err := g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		update := tx.Effect.Update().Where(effect.ID(key))
		if made { // perhaps for the second time: somebody has deleted it
			return update.SetStatus(effect.StatusIntended).ClearDoneAt().Exec(ctx)
		}
		return update.Where(effect.StatusEQ(effect.StatusIntended)).SetStatus(effect.StatusDone).SetResult("it was there").SetDoneAt(g.now()).Exec(ctx)
	})
	if err != nil {
		return fmt.Errorf("note the result of %s: %w", key, err)
	}
	return nil
}

// namespaceMade puts a namespace that was made into the trail, once, however many events wanted it.
func (g *Gateway) namespaceMade(ctx context.Context, tx *store.Tx, w Work, t *ent.Ticket) error {
	n, err := tx.Effect.Update().Where(effect.ID(namespaceEffect(w)), effect.StatusEQ(effect.StatusIntended)).
		SetStatus(effect.StatusDone).SetResult("made").SetDoneAt(g.now()).Save(ctx)
	if err != nil {
		return fmt.Errorf("note the result of %s: %w", namespaceEffect(w), err)
	}
	if n == 0 {
		return nil
	}
	return audit.Append(ctx, tx, entry(t, audit.NamespaceCreated, audit.Actor{}, map[string]any{"namespace": w.VM.KubernetesNamespace, "cluster": w.VM.Cluster}))
}
