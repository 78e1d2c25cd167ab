package service

import (
	"context"
	"errors"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/provider"
)

// delete asks for the end of a VM and of what was made for it; the accepted spec says whether its disks
// stay. Who deletes it, and why, was written down before.
func (s *VMs) delete(ctx context.Context, cluster *provider.Cluster, w approval.Work) (approval.Applied, error) {
	a, err := asked(w.Event, w.Ticket)
	if err != nil {
		return approval.Applied{}, err
	}
	target := provider.Target{Identity: identity(w.VM), UID: w.VM.UID}
	changes, err := cluster.Delete(ctx, target, provider.DeleteOptions{
		Namespace: w.VM.KubernetesNamespace, Name: w.VM.Name, RetainDisks: a.retains,
	})
	if neverOurs(w, changes, err) {
		const nothing = "nothing was deleted: the VM was never applied, and the one of its name is another's"
		return approval.Applied{Summary: nothing, Note: nothing}, nil
	}
	if err != nil {
		return approval.Applied{}, err
	}
	vm, _ := changes.VM()
	return approval.Applied{UID: vm.UID, ResourceVersion: vm.ResourceVersion, Summary: summary(changes), Note: note(changes)}, nil
}

// neverOurs reports whether a VM was refused as another's that was never applied: the name was somebody
// else's from the start, so that nothing of ours is there.
func neverOurs(w approval.Work, done provider.ChangeSet, err error) bool {
	var p *provider.Error
	return w.VM.UID == "" && len(done) == 0 && errors.As(err, &p) && p.Problem.Code == domain.ForeignVM
}
