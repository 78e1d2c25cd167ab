package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/vm"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/provider"
)

// patience is how long a VM is watched that neither settles nor fails nor goes.
const patience = time.Hour

// worthTelling is from when on people are told why a VM is not there yet: most are before.
const worthTelling = 15 * time.Second

// Verify looks once what became of a VM after an event, notes it, and asks to look again until the VM is
// healthy, stopped as asked, restarted, gone or failed. A deletion is watched for as long as it takes.
func (s *VMs) Verify(ctx context.Context, args jobs.VerifyVM) error {
	e, err := s.db.Event.Query().Where(event.ID(args.EventID)).
		WithTicket(func(q *ent.TicketQuery) { q.WithPlan() }).Only(ctx)
	if err != nil {
		return s.gone(err, args.EventID)
	}
	row, err := s.db.VM.Query().Where(vm.Path(e.Path)).Only(ctx)
	if err != nil {
		return fmt.Errorf("verify %s: %w", e.Subject, err)
	}
	if row.AppliedSequence > e.Sequence || e.FinishedAt == nil {
		return nil // a later event has its own watcher
	}
	since := s.now().Sub(*e.FinishedAt)
	verdict, err := s.look(ctx, row, e, since)
	if err != nil {
		if jobs.IsTerminal(err) {
			return fmt.Errorf("verify %s: %w", e.Subject, err)
		}
		return jobs.Later(pause(since), fmt.Errorf("verify %s: %w", e.Subject, err))
	}
	status, settled := statusOf(verdict, domain.VMStatus(row.Status))
	if !settled && since > patience && verdict.State != provider.StateDeleting {
		status, settled = domain.VMUnknown, true
		verdict.Message = "KubeVirt has not finished within an hour: " + verdict.Message
	}
	if !settled && e.Operation == string(domain.ModifyVM) && (status == domain.VMRunning || status == domain.VMStopped) {
		status = domain.VMUnknown // that was before the change
	}
	if settled || since > worthTelling {
		if err := s.gateway.Observe(ctx, e.ID, status, verdict.Message); err != nil {
			return fmt.Errorf("verify %s: %w", e.Subject, err)
		}
	}
	if !settled {
		return jobs.Later(pause(since), errors.New(verdict.Message))
	}
	return nil
}

func (s *VMs) look(ctx context.Context, row *ent.VM, e *ent.Event, since time.Duration) (provider.Verdict, error) {
	cluster, err := s.clusters.Cluster(ctx, row.Cluster)
	if err != nil {
		return provider.Verdict{}, err
	}
	seen, err := cluster.Observe(ctx, row.KubernetesNamespace, row.Name)
	if err != nil {
		return provider.Verdict{}, err
	}
	if e.Operation == string(domain.DeleteVM) {
		return judgeDeletion(seen, row), nil
	}
	ms, err := approval.Manifests(e.Edges.Ticket.Edges.Plan)
	if err != nil {
		return provider.Verdict{}, jobs.Never(err)
	}
	power, err := powerOf(ms)
	if err != nil {
		return provider.Verdict{}, jobs.Never(err)
	}
	verdict := provider.Judge(seen, power == spec.PowerRunning, since)
	return s.lookForRestart(ctx, cluster, row, e, verdict)
}

// lookForRestart holds a verdict against the restart that an event asked for: the run that was to end is
// over, or there was none.
func (s *VMs) lookForRestart(ctx context.Context, cluster *provider.Cluster, row *ent.VM, e *ent.Event, v provider.Verdict) (provider.Verdict, error) {
	restart, err := s.gateway.Restart(ctx, e.ID)
	if err != nil || !restart.Noted || v.State == provider.StateFailed {
		return v, err
	}
	if restart.Run == "" {
		if v.State == provider.StateStopped {
			v.Message = restart.Result
		}
		return v, nil
	}
	run, err := cluster.Running(ctx, row.KubernetesNamespace, row.Name)
	if err != nil {
		return v, err
	}
	if string(run) == restart.Run {
		return provider.Verdict{State: provider.StatePending, Message: "the VM has not restarted yet"}, nil
	}
	return v, nil
}

// judgeDeletion says how far a deletion is. Of a VM that was never applied no uid is known: then one with
// the name is ours by its labels.
func judgeDeletion(seen provider.Observation, row *ent.VM) provider.Verdict {
	if row.UID == "" && seen.Exists {
		for label, value := range identity(row) {
			if seen.Labels[label] != value {
				return provider.Verdict{State: provider.StateGone, Message: "the VM was never applied, and the one of its name is another's"}
			}
		}
	}
	return provider.JudgeDeletion(seen, row.UID)
}

// statusOf is the VM's status after a verdict, and whether it will stay so by itself.
func statusOf(v provider.Verdict, now domain.VMStatus) (domain.VMStatus, bool) {
	switch v.State {
	case provider.StateRunning, provider.StateRestartRequired:
		return domain.VMRunning, true
	case provider.StateStopped:
		return domain.VMStopped, true
	case provider.StateFailed:
		return domain.VMFailed, true
	case provider.StateDeleting:
		return domain.VMDeleting, false
	case provider.StateGone:
		return domain.VMDeleted, true
	case provider.StatePresent:
		return domain.VMUnknown, true
	}
	return now, false
}

// pause grows with the time that was waited: most VMs settle in seconds.
func pause(since time.Duration) time.Duration {
	return min(max(since/10, time.Second), time.Minute)
}
