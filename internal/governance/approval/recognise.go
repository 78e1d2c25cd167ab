package approval

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/vm"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/store"
)

// Recognised is a VM in git behind which a live machine stands that is just what its plan would apply.
type Recognised struct {
	Change   judge.Change
	UID      string
	Sequence int64 // of the event that applied it
}

// Recognise takes machines over that a baseline has found alive, so that a lost database can be made
// anew from git and the clusters, or one that was restored from a backup be brought up to date. Nothing is applied.
// Machines that are known already are left alone, unless a later
// change than the last known one was applied to the same machine.
func (g *Gateway) Recognise(ctx context.Context, commit string, all []Recognised, by audit.Actor) error {
	return g.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, r := range all {
			if err := recogniseOne(ctx, tx, commit, r, by); err != nil {
				return fmt.Errorf("recognise %s: %w", r.Change.Subject, err)
			}
		}
		return nil
	})
}

func recogniseOne(ctx context.Context, tx *store.Tx, commit string, r Recognised, by audit.Actor) error {
	c := r.Change
	known, err := tx.VM.Query().Where(vm.Path(c.Path)).ForUpdate().Only(ctx)
	switch {
	case err == nil && (known.UID != r.UID || known.Sequence >= r.Sequence || ending(domain.VMStatus(known.Status))):
		return nil
	case err != nil && !ent.IsNotFound(err):
		return fmt.Errorf("read the vm: %w", err)
	}
	planID, err := writePlan(ctx, tx, Submission{Report: judge.Report{Head: commit}}, c)
	if err != nil {
		return err
	}
	if err := accept(ctx, tx, Span{To: commit, Pull: Pull{Author: by}}, c); err != nil {
		return err
	}
	if known != nil {
		return advance(ctx, tx, commit, known, planID, r, by)
	}
	// What the guest does is not known before somebody looks.
	row, err := tx.VM.Create().SetName(c.Ref.VMName()).SetPath(c.Path).
		SetSystem(c.Ref.System).SetService(c.Ref.Service).SetNamespace(c.Ref.Namespace).SetInstance(c.Ref.Instance()).
		SetEnvironment(string(c.Environment)).SetKubernetesNamespace(c.Plan.KubernetesNamespace).
		SetCluster(c.Plan.Cluster).SetAcceptedPlan(planID).SetAppliedPlan(planID).SetUID(r.UID).
		SetSequence(r.Sequence).SetAppliedSequence(r.Sequence).SetStatus(vm.StatusUNKNOWN).
		SetCreatedBy(by.ID).SetCreatedByLogin(by.Login).Save(ctx)
	if err != nil {
		return fmt.Errorf("write the vm: %w", err)
	}
	if err := tx.InstanceIndex.Create().SetService(c.Ref.Service).SetNumber(c.Ref.Index).SetVM(row.Name).Exec(ctx); err != nil {
		return fmt.Errorf("enter index %d of %s: %w", c.Ref.Index, c.Ref.Service, err)
	}
	return recognised(ctx, tx, commit, row, r, by)
}

// advance brings a machine to where it is: changes of it were applied that the database has forgotten.
func advance(ctx context.Context, tx *store.Tx, commit string, row *ent.VM, plan uuid.UUID, r Recognised, by audit.Actor) error {
	row, err := tx.VM.UpdateOne(row).SetAcceptedPlan(plan).SetAppliedPlan(plan).SetUID(r.UID).SetSequence(r.Sequence).SetAppliedSequence(r.Sequence).Save(ctx)
	if err != nil {
		return fmt.Errorf("renew the vm: %w", err)
	}
	return recognised(ctx, tx, commit, row, r, by)
}

func recognised(ctx context.Context, tx *store.Tx, commit string, row *ent.VM, r Recognised, by audit.Actor) error {
	return audit.Append(ctx, tx, audit.Entry{
		Action: audit.VMRecognised, Actor: by, Subject: row.Name, Environment: row.Environment,
		Params: map[string]any{"cluster": row.Cluster, "uid": r.UID, "commit": commit, "sequence": r.Sequence},
	})
}
