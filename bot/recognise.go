package bot

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/judge"
)

// Fleet looks for live machines.
type Fleet interface {
	// Live returns what a cluster has under a VM's name; an empty uid for nothing.
	Live(ctx context.Context, cluster, namespace, name string) (uid string, labels, annotations map[string]string, err error)
}

// alive is a machine that was found for a path.
type alive struct {
	uid                 string
	labels, annotations map[string]string
}

// recognise accepts those VMs of the commit behind which a live machine stands that is just what would
// be applied, and returns their paths.
func (b *Baseline) recognise(ctx context.Context, commit string, waiting []document, by audit.Actor) ([]string, error) {
	if len(waiting) == 0 {
		return nil, nil
	}
	var files []judge.File
	for _, d := range waiting {
		files = append(files, judge.File{Path: d.ref.Path(), Head: &judge.Content{Data: d.data}})
	}
	in, err := b.Judge.base(ctx, 0, files)
	if err != nil {
		return nil, err
	}
	in.Head, in.Limits = commit, nil
	found, err := b.look(ctx, &in, waiting)
	if err != nil {
		return nil, err
	}
	var all []approval.Recognised
	var paths []string
	for _, c := range judge.Judge(in).Changes {
		m, ok := found[c.Path]
		if !ok {
			continue
		}
		if sequence, ok := c.Stands(m.labels, m.annotations); ok {
			all = append(all, approval.Recognised{Change: c, UID: m.uid, Sequence: sequence})
			paths = append(paths, c.Path)
		}
	}
	return paths, b.Judge.gateway.Recognise(ctx, commit, all, by)
}

// look asks the clusters of each VM's environment for it, and makes the one that has it the chosen one.
func (b *Baseline) look(ctx context.Context, in *judge.Input, waiting []document) (map[string]alive, error) {
	found := map[string]alive{}
	for _, d := range waiting {
		ns, problem := in.Platform.Namespace(d.ref.Namespace)
		if problem != nil {
			continue
		}
		for _, name := range clustersOf(in, ns) {
			uid, labels, annotations, err := b.Fleet.Live(ctx, name, ns.ObjectName(d.ref.Namespace), d.ref.VMName())
			if err != nil {
				return nil, fmt.Errorf("look for %s on cluster %s: %w", d.ref.VMName(), name, err)
			}
			if uid != "" {
				found[d.ref.Path()] = alive{uid, labels, annotations}
				in.World.Chosen[d.ref.Path()] = name
				break
			}
		}
	}
	return found, nil
}

// clustersOf are the clusters of a namespace's environment that the server has credentials of.
func clustersOf(in *judge.Input, ns *spec.Namespace) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(in.Platform.Clusters)) {
		if _, known := in.World.Clusters[name]; known && in.Platform.Clusters[name].Environment == ns.Environment {
			names = append(names, name)
		}
	}
	return names
}
