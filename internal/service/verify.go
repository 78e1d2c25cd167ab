package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/vm"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/provider"
)

// patience is how long a VM is watched that neither settles nor fails.
const patience = time.Hour

// worthTelling is from when on people are told why a VM is not there yet: most are before.
const worthTelling = 15 * time.Second

// Verify looks once what became of an applied VM, notes it, and asks to look again until the VM is
// healthy, stopped as asked, or failed.
func (s *VMs) Verify(ctx context.Context, args jobs.VerifyVM) error {
	e, err := s.db.Event.Get(ctx, args.EventID)
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
		return jobs.Later(pause(since), fmt.Errorf("verify %s: %w", e.Subject, err))
	}
	status, settled := statusOf(verdict, domain.VMStatus(row.Status))
	if !settled && since > patience {
		status, settled = domain.VMUnknown, true
		verdict.Message = "KubeVirt has not finished within an hour: " + verdict.Message
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
	payload, err := approval.ParsePayload(e.Payload)
	if err != nil {
		return provider.Verdict{}, err
	}
	var wanted spec.VirtualMachine
	if err := json.Unmarshal(payload.Wanted, &wanted); err != nil {
		return provider.Verdict{}, fmt.Errorf("read the wanted spec: %w", err)
	}
	cluster, err := s.clusters.Cluster(ctx, row.Cluster)
	if err != nil {
		return provider.Verdict{}, err
	}
	seen, err := cluster.Observe(ctx, row.KubernetesNamespace, row.Name)
	if err != nil {
		return provider.Verdict{}, err
	}
	return provider.Judge(seen, wanted.Power == spec.PowerRunning, since), nil
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
	}
	return now, false
}

// pause grows with the time that was waited: most VMs settle in seconds.
func pause(since time.Duration) time.Duration {
	return min(max(since/10, time.Second), time.Minute)
}
