package approval

import (
	"context"
	"fmt"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/render"
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
