package provider

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/domain"
)

// looks is how often an object that keeps changing is looked at again before the job has to.
const looks = 4

// mustCreate is a resourceVersion that no object has: etcd's first write is already later. An apply
// that carries it creates an absent object and is refused with 409 when somebody else was faster, so
// that a foreign object is never merged into.
const mustCreate = "1"

// Apply makes the manifests true on the cluster: Secrets, then disks, then the VirtualMachine. A disk
// that is to be larger grows by its claim, which is in the ChangeSet then; it is an error of class Later
// while there is no bound claim, and CLUSTER_REFUSED where its storage class does not let it. All
// objects are looked at and dry-run before the first is written; only those that differ are
// written, each with the uid and resourceVersion that was compared. The ChangeSet holds what was
// done, also when an error ends it early. Applying again after any error is safe.
//
// Errors of class Never have the codes FOREIGN_VM (an object of another owner, or a VM that was
// replaced or deleted behind us), FOREIGN_DISK, DISK_SHRINK, FIELD_CONFLICT, CLUSTER_REFUSED,
// NAMESPACE_PERMISSION_DENIED, NAMESPACE_QUOTA_EXCEEDED and, for manifests that are not this VM's,
// PLAN_INVALID.
func (c *Cluster) Apply(ctx context.Context, t Target, ms []Manifest) (ChangeSet, error) {
	steps, err := c.rehearseAll(ctx, t, ms)
	if err != nil {
		return nil, err
	}
	var done ChangeSet
	for _, s := range steps {
		if err := s.write(ctx); err != nil {
			return done, fmt.Errorf("apply %s: %w", s.want.GetKind(), err)
		}
		done = append(done, s.change())
	}
	return done, nil
}

// decode parses the manifests and checks that they are this target's.
func (t Target) decode(ms []Manifest) ([]*unstructured.Unstructured, error) {
	objects, err := decodeAll(ms)
	if err == nil {
		err = t.check(objects)
	}
	if err != nil {
		return nil, never(problem(domain.PlanInvalid, "", "%s", words(err.Error())), err)
	}
	return objects, nil
}

// rehearseAll looks at every object before it dry-runs any, so that a foreign one is what is
// reported.
func (c *Cluster) rehearseAll(ctx context.Context, t Target, ms []Manifest) ([]*step, error) {
	objects, err := t.decode(ms)
	if err != nil {
		return nil, err
	}
	previous, err := decodeAll(t.Previous)
	if err != nil {
		return nil, never(problem(domain.PlanInvalid, "", "what was applied last: %s", words(err.Error())), err)
	}
	var steps []*step
	for _, u := range objects {
		looked, err := (&step{cluster: c, target: t, want: u, previous: find(previous, u)}).lookAll(ctx)
		if err != nil {
			return nil, err
		}
		steps = append(steps, looked...)
	}
	for _, s := range steps {
		if err := s.rehearse(ctx); err != nil {
			return nil, fmt.Errorf("dry-run %s: %w", s.want.GetKind(), err)
		}
	}
	return steps, nil
}

// step is one object on its way through look, rehearse and write.
type step struct {
	cluster  *Cluster
	target   Target
	want     *unstructured.Unstructured // the manifest
	previous *unstructured.Unstructured // the manifest applied last, or nil
	live     *unstructured.Unstructured // as looked at, nil when absent
	body     *unstructured.Unstructured // what is sent
	result   *unstructured.Unstructured // what the cluster answered last
	action   Action
	fields   []FieldDiff
	notes    []string

	grows   bool   // a disk that is to be larger than it is
	disk    *step  // of the claim of such a disk: the disk
	growing string // of such a claim: what happens, for people
}

// lookAll looks at the object and, for a disk that grows, at its claim, which is a step of its own.
func (s *step) lookAll(ctx context.Context) ([]*step, error) {
	steps := []*step{s}
	if err := s.look(ctx); err != nil {
		return nil, fmt.Errorf("look at %s: %w", s.want.GetKind(), err)
	}
	if !s.grows {
		return steps, nil
	}
	claim := s.growth()
	if err := claim.look(ctx); err != nil {
		return nil, fmt.Errorf("look at %s: %w", claim.want.GetKind(), err)
	}
	return append(steps, claim), nil
}

// look reads the object and refuses one that is not ours to touch.
func (s *step) look(ctx context.Context) (err error) {
	s.live, err = s.cluster.get(ctx, s.want.GroupVersionKind(), s.want.GetNamespace(), s.want.GetName())
	if err != nil {
		return err
	}
	return s.guard(ctx)
}

// rehearse settles what is sent and dry-runs it; an object that changes meanwhile is looked at again.
func (s *step) rehearse(ctx context.Context) error {
	for range looks {
		err := s.dryRun(ctx)
		if !isStale(err) {
			return err
		}
		if err := s.look(ctx); err != nil {
			return err
		}
	}
	return restless(about("apply", s.want))
}

// dryRun asks without force first: the refusal names the owners of the fields that would be taken
// over. What plainly changes nothing is not asked at all.
func (s *step) dryRun(ctx context.Context) error {
	s.fields, s.notes = nil, nil
	if s.live != nil && generated(s.live) && generated(s.want) {
		s.action = Unchanged
		return nil
	}
	if err := s.settle(); err != nil {
		return err
	}
	if s.live != nil && saysNothingNew(s.live, s.body) {
		s.action = Unchanged
		return nil
	}
	warnings, err := s.send(ctx, client.DryRunAll)
	if taken := managerConflicts(err); len(taken) > 0 {
		if err := s.takeOver(taken); err != nil {
			return err
		}
		warnings, err = s.send(ctx, client.DryRunAll, client.ForceOwnership)
	}
	if err != nil {
		return err
	}
	for _, w := range warnings {
		s.note("the cluster warns: %s", w)
	}
	s.compare()
	return nil
}

func (s *step) compare() {
	if s.live == nil {
		s.action = Created
		return
	}
	s.fields = changedFields(s.live, s.body, s.result)
	s.action = Configured
	if len(s.fields) == 0 && owned(s.live) != nil {
		s.action = Unchanged
	}
}

// write applies what was rehearsed, unless that changes nothing. When the object moved meanwhile,
// everything is looked at, settled and rehearsed again.
func (s *step) write(ctx context.Context) error {
	for range looks {
		if s.action == Unchanged {
			return nil
		}
		_, err := s.send(ctx, client.ForceOwnership)
		if !isStale(err) {
			return err
		}
		if err := s.look(ctx); err != nil {
			return err
		}
		if err := s.rehearse(ctx); err != nil {
			return err
		}
	}
	return restless(about("apply", s.want))
}

// send applies the body once and keeps the answer.
func (s *step) send(ctx context.Context, options ...client.ApplyOption) (warnings []string, err error) {
	options = append(options, client.FieldOwner(FieldManager))
	return s.cluster.do(ctx, about("apply", s.want), func(ctx context.Context) error {
		answer := s.body.DeepCopy()
		if err := s.cluster.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(answer), options...); err != nil {
			return err
		}
		s.result = answer
		return nil
	})
}

// restless ends the looking at an object that never holds still.
func restless(s subject) error {
	return retry(problem(domain.FieldConflict, "", "%s keeps changing while it is being changed", s), nil)
}

func (s *step) note(format string, args ...any) {
	s.notes = append(s.notes, fmt.Sprintf(format, args...))
}

func (s *step) change() Change {
	change := Change{
		Kind: s.want.GetKind(), Namespace: s.want.GetNamespace(), Name: s.want.GetName(),
		Action: s.action, Notes: s.notes,
	}
	for _, d := range s.fields {
		change.Fields = append(change.Fields, d.String())
		if s.want.GroupVersionKind() == secretKind {
			d.From, d.To = nil, nil
		}
		change.Diffs = append(change.Diffs, d)
	}
	source := s.result
	if s.action == Unchanged {
		source = s.live
	}
	change.UID, change.ResourceVersion = string(source.GetUID()), source.GetResourceVersion()
	if s.want.GroupVersionKind() != secretKind {
		change.Object = source.Object
	}
	if s.isVM() && s.live != nil {
		change.Seen = observed(s.live)
	}
	return change
}
