package service

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/render"
)

// apply gives the cluster the plan's objects, byte for byte but for the envelope, and restarts the VM where
// that was asked for. Which run of the VM a restart ends is written down before anything is touched.
func (s *VMs) apply(ctx context.Context, cluster *provider.Cluster, w approval.Work) (approval.Applied, error) {
	if w.Ending() {
		return approval.Applied{}, invalid(w, w.VM.Name+" is deleted; nothing is applied to it any more")
	}
	a, err := asked(w.Event, w.Ticket)
	if err != nil {
		return approval.Applied{}, err
	}
	var restart approval.Restart
	if a.restarts {
		if restart, err = s.beginRestart(ctx, cluster, w); err != nil {
			return approval.Applied{}, err
		}
	}
	target, created, err := s.prepare(ctx, cluster, w, a)
	if err != nil {
		return approval.Applied{}, err
	}
	manifests, err := sealed(w)
	if err != nil {
		return approval.Applied{}, jobs.Never(err)
	}
	if manifests, err = completed(ctx, cluster, target, manifests); err != nil {
		return approval.Applied{}, err
	}
	changes, err := cluster.Apply(ctx, target, provided(manifests))
	if err != nil {
		s.namespaces.Delete(namespaceOf(w)) // look again: it may be what is missing
		return approval.Applied{}, err
	}
	vm, _ := changes.VM()
	out := approval.Applied{UID: vm.UID, ResourceVersion: vm.ResourceVersion, Summary: summary(changes), Note: note(changes)}
	if created {
		out.Namespace = w.VM.KubernetesNamespace
	}
	if a.restarts {
		target.UID = vm.UID
		result, err := s.restart(ctx, cluster, w, target, restart)
		if err != nil {
			return approval.Applied{}, err
		}
		out.Summary += "\n" + result
		if result != restartAsked {
			out.Note = strings.Join(slices.DeleteFunc([]string{out.Note, result}, func(s string) bool { return s == "" }), "\n")
		}
	}
	return out, nil
}

// prepare says what is known of the VM, and makes the namespace of one that is to be made. A VM that was
// applied before has its namespace; if that is gone, so is the VM.
func (s *VMs) prepare(ctx context.Context, cluster *provider.Cluster, w approval.Work, a asking) (t provider.Target, created bool, err error) {
	last, err := s.gateway.Previous(ctx, w)
	if err != nil {
		return t, false, stored(err)
	}
	t = provider.Target{Identity: identity(w.VM), UID: w.VM.UID, Creating: w.VM.UID == "", Previous: provided(last)}
	t.Power, err = aboutPower(w, a, last)
	if err == nil && t.Creating {
		created, err = s.ensureNamespace(ctx, cluster, w)
	}
	return t, created, err
}

// aboutPower reports whether runStrategy is set: where that was asked for, and where what was asked for
// before has not reached the cluster. Otherwise the cluster's own is kept.
func aboutPower(w approval.Work, a asking, last []render.Manifest) (bool, error) {
	if op := domain.Operation(w.Event.Operation); op == domain.StartVM || op == domain.StopVM {
		return true, nil
	}
	wanted, err := powerOf(w.Manifests)
	if err != nil {
		return false, invalid(w, err.Error())
	}
	if len(last) > 0 {
		is, err := powerOf(last)
		if err != nil {
			return false, invalid(w, "what was applied last: "+err.Error())
		}
		if is != wanted {
			return true, nil
		}
	}
	return a.power != "" && a.power != wanted, nil
}

// namespaceKept is how long a namespace that was seen counts as there: a merge of many VMs asks once.
const namespaceKept = 30 * time.Second

// ensureNamespace makes the namespace where it is missing. created is true as well where it was made before by an attempt
// that did not get to tell.
func (s *VMs) ensureNamespace(ctx context.Context, cluster *provider.Cluster, w approval.Work) (created bool, err error) {
	key := namespaceOf(w)
	if seen, ok := s.namespaces.Load(key); ok && s.now().Sub(seen.(time.Time)) < namespaceKept {
		return false, nil
	}
	again, err := s.gateway.BeginNamespace(ctx, w)
	if err != nil {
		return false, stored(err)
	}
	created, err = cluster.EnsureNamespace(ctx, w.VM.KubernetesNamespace, map[string]string{
		provider.LabelManagedBy: provider.ManagedBy, provider.LabelEnvironment: w.VM.Environment,
	})
	if err == nil && !created && again {
		created, err = cluster.MadeNamespace(ctx, w.VM.KubernetesNamespace)
	}
	if err != nil {
		return false, err
	}
	if err := s.gateway.EndNamespace(ctx, w, created); err != nil {
		return false, stored(err)
	}
	s.namespaces.Store(key, s.now())
	return created, nil
}

func namespaceOf(w approval.Work) [2]string { return [2]string{w.VM.Cluster, w.VM.KubernetesNamespace} }

// sealed puts the envelope around the plan's manifests: why each object exists. The rest are the bytes
// that were approved.
func sealed(w approval.Work) ([]render.Manifest, error) {
	out := make([]render.Manifest, len(w.Manifests))
	for i, m := range w.Manifests {
		m, err := render.WithEnvelope(m, render.Envelope{
			Ticket: w.Ticket.ID.String(), Creator: w.Ticket.RequesterLogin, PullRequest: w.PullURL,
			MergeCommit: w.Event.MergeCommit, ChangeDigest: w.Ticket.ChangeDigest, EffectiveDigest: w.Plan.EffectiveDigest,
			Event: w.Event.ID.String(), Sequence: w.Event.Sequence,
		})
		if err != nil {
			return nil, fmt.Errorf("put the envelope on %s %s: %w", m.Kind, m.Name, err)
		}
		out[i] = m
	}
	return out, nil
}

// note is what people should know although all went well, a line each: what the cluster has otherwise and
// was kept, what was taken over, what it warned of.
func note(changes provider.ChangeSet) string {
	var lines []string
	for _, c := range changes {
		for _, n := range c.Notes {
			if c.Kind != render.KindVirtualMachine {
				if n == provider.NoteEnding {
					continue // as asked for
				}
				n = c.Kind + " " + c.Name + ": " + n
			}
			lines = append(lines, n)
		}
	}
	return strings.Join(lines, "\n")
}

func summary(changes provider.ChangeSet) string {
	lines := []string{changes.String()}
	for _, c := range changes {
		lines = append(lines, c.Notes...)
	}
	return strings.Join(lines, "\n")
}

func provided(ms []render.Manifest) []provider.Manifest {
	out := make([]provider.Manifest, len(ms))
	for i, m := range ms {
		out[i] = provider.Manifest{APIVersion: m.APIVersion, Kind: m.Kind, Namespace: m.Namespace, Name: m.Name, JSON: m.JSON}
	}
	return out
}
