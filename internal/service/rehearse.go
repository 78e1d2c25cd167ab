package service

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/render"
)

// rehearse asks a cluster what one plan would do there.
func (b *batch) rehearse(ctx context.Context, c *provider.Cluster, r render.PreviewRequest) (render.Preview, error) {
	target, err := targetOf(r)
	if err != nil {
		return render.Preview{}, err
	}
	if r.Operation == domain.DeleteVM {
		return rehearseDeletion(ctx, c, r, target)
	}
	changes, err := c.Preview(ctx, target, provided(r.Manifests))
	if err != nil {
		return render.Preview{}, err
	}
	p := b.previewOf(changes, r)
	if err := b.promised(ctx, c, r, &p); err != nil {
		return render.Preview{}, err
	}
	if r.Operation == domain.RestartVM {
		return p, rehearseRestart(ctx, c, r, target, &p)
	}
	return p, nil
}

// rehearseDeletion says what goes and what stays. What was never applied, and is another's, is left alone.
func rehearseDeletion(ctx context.Context, c *provider.Cluster, r render.PreviewRequest, t provider.Target) (render.Preview, error) {
	changes, err := c.PreviewDelete(ctx, t, provider.DeleteOptions{
		Namespace: r.Namespace, Name: r.Ref.VMName(), RetainDisks: r.DeletionPolicy == spec.RetainDisks,
	})
	if refused := refusal(err); r.UID == "" && refused != nil && refused.Code == domain.ForeignVM {
		return render.Preview{Notes: []string{"nothing is deleted: the VM was never applied, and the one of its name is another's"}}, nil
	}
	if err != nil {
		return render.Preview{}, err
	}
	p := render.Preview{Notes: notesOf(changes)}
	for _, change := range changes {
		p.Objects = append(p.Objects, render.ObjectPreview{Kind: change.Kind, Name: change.Name, Action: string(change.Action)})
		if change.Action == provider.Deleted && change.Kind != render.KindVirtualMachine && change.Kind != render.KindSecret {
			p.Impact = render.ImpactDestroys
		}
	}
	return p, nil
}

// rehearseRestart adds what a restart does to the run that is under way.
func rehearseRestart(ctx context.Context, c *provider.Cluster, r render.PreviewRequest, t provider.Target, p *render.Preview) error {
	if t.UID == "" {
		return nil // it is made, and starts by itself
	}
	result, err := c.PreviewRestart(ctx, t, r.Namespace, r.Ref.VMName())
	switch {
	case err != nil:
		return err
	case result.Action == provider.Restarted:
		p.Impact = render.ImpactRestart
	default:
		p.Notes = append(p.Notes, result.Note)
	}
	return nil
}

// targetOf is what is known of the VM that a request is about. The envelope is not: which approval and which
// commit it will name is decided later.
func targetOf(r render.PreviewRequest) (provider.Target, error) {
	t := provider.Target{
		Identity: render.Labels(render.Input{Ref: r.Ref, Environment: r.Environment}),
		UID:      r.UID, Creating: r.UID == "", Previous: provided(r.Previous), Kept: render.EnvelopeKeys(),
		Power: r.Operation == domain.StartVM || r.Operation == domain.StopVM,
	}
	if t.Power || len(r.Previous) == 0 || r.Operation.Removes() {
		return t, nil
	}
	is, err := powerOf(r.Previous)
	if err != nil {
		return t, fmt.Errorf("what was applied last: %w", err)
	}
	wanted, err := powerOf(r.Manifests)
	t.Power = is != wanted
	return t, err
}

// previewOf puts a cluster's answer into words.
func (b *batch) previewOf(changes provider.ChangeSet, r render.PreviewRequest) render.Preview {
	p := render.Preview{Notes: notesOf(changes)}
	for _, c := range changes {
		o := render.ObjectPreview{Kind: c.Kind, Name: c.Name, Action: string(c.Action)}
		var impact render.Impact
		if c.Action == provider.Configured {
			o.Fields, impact = render.JudgeImpact(c.Kind, toJudge(c.Diffs), c.Object, b.impactContext(changes, r))
		}
		p.Impact = render.Gravest(p.Impact, impact)
		p.Objects = append(p.Objects, o)
	}
	if r.UID != "" && !changes.Changed() {
		p.Impact = render.ImpactNone
	}
	return p
}

// impactContext is what the impact of a request's changes depends on besides them.
func (b *batch) impactContext(changes provider.ChangeSet, r render.PreviewRequest) render.ImpactContext {
	on := render.ImpactContext{KubeVirt: render.KubeVirtOf(b.row.KubevirtVersion, b.row.Capabilities), Running: r.Running}
	vm, _ := changes.VM()
	on.VM, on.RestartPending = vm.Object, vm.Seen.RestartRequired
	on.NotMigratable = slices.ContainsFunc(vm.Seen.Conditions, func(c provider.Condition) bool {
		return c.Type == string(kubevirtv1.VirtualMachineInstanceIsMigratable) && c.Status == string(corev1.ConditionFalse)
	})
	if len(vm.Seen.Conditions) > 0 { // KubeVirt has reported: that is newer than what is known here
		on.Running = vm.Seen.PrintableStatus != string(kubevirtv1.VirtualMachineStatusStopped)
	}
	return on
}

func toJudge(diffs []provider.FieldDiff) []render.Difference {
	out := make([]render.Difference, len(diffs))
	for i, d := range diffs {
		out[i] = render.Difference(d)
	}
	return out
}

func notesOf(changes provider.ChangeSet) []string {
	return slices.DeleteFunc(strings.Split(note(changes), "\n"), func(line string) bool { return line == "" })
}
