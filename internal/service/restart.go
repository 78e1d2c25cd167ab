package service

import (
	"context"

	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/provider"
)

// beginRestart writes down which run of the VM is to end. Whoever comes second, after a crash, finds it.
func (s *VMs) beginRestart(ctx context.Context, cluster *provider.Cluster, w approval.Work) (approval.Restart, error) {
	noted, err := s.gateway.Restart(ctx, w.Event.ID)
	if err != nil || noted.Noted {
		return noted, err
	}
	run, err := cluster.Running(ctx, w.VM.KubernetesNamespace, w.VM.Name)
	if err != nil {
		return noted, err
	}
	return s.gateway.BeginRestart(ctx, w.Event.ID, string(run))
}

// restartAsked is the answer to a restart that happens.
const restartAsked = "the VM was asked to restart"

// restart ends the run that was written down, once, and returns what came of it.
func (s *VMs) restart(ctx context.Context, cluster *provider.Cluster, w approval.Work, t provider.Target, r approval.Restart) (string, error) {
	if r.Done {
		return r.Result, nil
	}
	got, err := cluster.Restart(ctx, t, w.VM.KubernetesNamespace, w.VM.Name, provider.RestartMark(r.Run))
	if err != nil {
		return "", err
	}
	result := got.Note
	if got.Action == provider.Restarted {
		result = restartAsked
	}
	return result, s.gateway.EndRestart(ctx, w.Event.ID, result)
}
