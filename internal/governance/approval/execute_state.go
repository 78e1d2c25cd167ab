package approval

import (
	"context"
	"fmt"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/render"
	"kv-shepherd.io/shepherd/internal/store"
)

// onItsWay is the state of a VM once the cluster has accepted a change, until somebody has looked: what was
// seen before says nothing of what it becomes.
func onItsWay(op domain.Operation, was domain.VMStatus) domain.VMStatus {
	switch {
	case was == domain.VMDeleted:
		return was
	case op == domain.DeleteVM:
		return domain.VMDeleting
	case op == domain.StopVM && was != domain.VMStopped && was != domain.VMDeleting,
		op == domain.RestartVM && was == domain.VMRunning:
		return domain.VMStopping
	case was == domain.VMFailed:
		return domain.VMCreating
	}
	return was
}

// tellFormer has the pull request told whose change of the VM nobody has seen the end of yet: with this
// event being applied it has one.
func (g *Gateway) tellFormer(ctx context.Context, tx *store.Tx, w Work) error {
	row, err := tx.VM.Get(ctx, w.VM.ID)
	if err != nil {
		return fmt.Errorf("read vm %s: %w", w.VM.Name, err)
	}
	switch domain.VMStatus(row.Status) {
	case domain.VMRunning, domain.VMStopped, domain.VMFailed, domain.VMDeleted:
		if row.StatusMessage != "" {
			return nil
		}
	}
	former, err := tx.Event.Query().Where(event.Path(w.Event.Path), event.Sequence(row.AppliedSequence), event.PullRequestNEQ(w.Event.PullRequest), event.PullRequestGT(0)).
		Select(event.FieldPullRequest).Ints(ctx)
	if err != nil {
		return fmt.Errorf("read the former change of %s: %w", w.VM.Name, err)
	}
	for _, number := range former {
		if err := g.tell(ctx, tx, number); err != nil {
			return err
		}
	}
	return nil
}

// ending reports whether a VM is deleted, or about to be: nothing is applied to it any more.
func ending(s domain.VMStatus) bool { return s == domain.VMDeleting || s == domain.VMDeleted }

// Ending reports whether the event's VM is deleted, or about to be.
func (w Work) Ending() bool { return w.VM != nil && ending(domain.VMStatus(w.VM.Status)) }

// Previous returns the manifests that the VM's cluster was last given; nil where it was given none.
func (g *Gateway) Previous(ctx context.Context, w Work) ([]render.Manifest, error) {
	if w.VM.AppliedPlan == nil {
		return nil, nil
	}
	p, err := g.db.Plan.Get(ctx, *w.VM.AppliedPlan)
	if err != nil {
		return nil, fmt.Errorf("read what was last applied to %s: %w", w.VM.Name, err)
	}
	return manifestsOf(p)
}

// Manifests reads what a plan applies; none for a deletion's.
func Manifests(p *ent.Plan) ([]render.Manifest, error) { return manifestsOf(p) }
