package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/domain"
)

// PreviewNamespace is where Preview tries what is meant for a namespace that does not exist yet: the
// API server and KubeVirt's webhooks only look at objects in one that does. It is made when it is missing,
// and nothing is ever put into it.
const PreviewNamespace = "kubevirt-shepherd-preview"

// Within is the same connection with less time for each request.
func (c *Cluster) Within(timeout time.Duration) *Cluster {
	quick := *c
	quick.timeout = min(timeout, c.timeout)
	return &quick
}

// Silent reports whether an error means that the cluster gave no answer at all, not even a bad one:
// whatever else it is asked now will end the same way.
func Silent(err error) bool {
	var sorted *Error
	if !errors.As(err, &sorted) || sorted.Problem.Code != domain.ClusterUnreachable {
		return false
	}
	var status apierrors.APIStatus
	return !errors.As(err, &status)
}

// Preview says what Apply, and EnsureNamespace before it where the VM is new, would do, and fails as they
// would, by dry-runs alone. What is meant for a namespace that does not exist yet is tried in
// PreviewNamespace; where that cannot be, a note on the Namespace's change says that the cluster did not
// look at the rest. What is meant for PreviewNamespace itself is a trial alone: that it cannot be made is an
// error of class Later.
func (c *Cluster) Preview(ctx context.Context, t Target, ms []Manifest) (ChangeSet, error) {
	objects, err := t.decode(ms)
	if err != nil {
		return nil, err
	}
	elsewhere, err := c.isElsewhere(ctx, objects[0].GetNamespace(), t)
	if err != nil {
		return nil, err
	}
	if elsewhere {
		return c.previewElsewhere(ctx, objects[0].GetNamespace(), t, objects)
	}
	steps, err := c.rehearseAll(ctx, t, ms)
	if err != nil {
		return nil, err
	}
	return changes(steps), nil
}

// isElsewhere reports whether a namespace is missing, and could be made.
func (c *Cluster) isElsewhere(ctx context.Context, name string, t Target) (bool, error) {
	if name == PreviewNamespace || t.UID != "" {
		return name == PreviewNamespace, nil
	}
	environment := t.Identity[LabelEnvironment]
	exists, err := c.namespaceFor(ctx, name, environment)
	if err != nil || exists {
		return false, err
	}
	err = c.createNamespace(ctx, namespaceOf(name, map[string]string{LabelEnvironment: environment}), client.DryRunAll)
	if apierrors.IsAlreadyExists(err) { // somebody just made it
		exists, err = c.namespaceFor(ctx, name, environment)
	}
	return !exists, err
}

func changes(steps []*step) ChangeSet {
	set := make(ChangeSet, len(steps))
	for i, s := range steps {
		set[i] = s.change()
	}
	return set
}

// previewElsewhere rehearses, in PreviewNamespace, the creation of objects whose namespace is missing.
func (c *Cluster) previewElsewhere(ctx context.Context, name string, t Target, objects []*unstructured.Unstructured) (ChangeSet, error) {
	var set ChangeSet
	for _, u := range objects {
		set = append(set, Change{Kind: u.GetKind(), Namespace: name, Name: u.GetName(), Action: Created})
	}
	err := c.rehearseElsewhere(ctx, t, objects, set)
	note := "it does not exist yet and is made first; the rest was tried in namespace " + PreviewNamespace
	var (
		sorted *Error
		room   *roomError
	)
	switch trial := name == PreviewNamespace; {
	case trial && err == nil:
		return set, nil
	case trial:
		return nil, err
	case errors.As(err, &room):
		note = "it does not exist yet; the cluster checks the rest when it is made, as " + room.sorted.Problem.Message
	case errors.As(err, &sorted):
		return nil, fmt.Errorf("try it in namespace %s: %w", PreviewNamespace, sorted.meant(name))
	case err != nil:
		return nil, err
	}
	return append(ChangeSet{{Kind: namespaceKind.Kind, Name: name, Action: Created, Notes: []string{note}}}, set...), nil
}

// rehearseElsewhere dry-runs objects, of which nothing exists so far, in PreviewNamespace, and notes on their
// changes what the cluster said.
func (c *Cluster) rehearseElsewhere(ctx context.Context, t Target, objects []*unstructured.Unstructured, set ChangeSet) error {
	_, err := c.EnsureNamespace(ctx, PreviewNamespace, nil)
	if err != nil {
		return closed(err, true)
	}
	for i, u := range objects {
		s := &step{cluster: c, target: t, want: u.DeepCopy()}
		s.want.SetNamespace(PreviewNamespace)
		if err := s.dryRun(ctx); err != nil {
			return closed(err, false)
		}
		set[i].Notes = s.notes
	}
	return nil
}

// roomError is an error about PreviewNamespace alone, which says nothing about what was to be tried there.
type roomError struct{ sorted *Error }

func (e *roomError) Error() string { return e.sorted.Error() }
func (e *roomError) Unwrap() error { return e.sorted }

// closed is a roomError of class Later where an error says that PreviewNamespace may not be made or used, that
// it goes, or that somebody put something into it; otherwise it is the error.
func closed(err error, making bool) error {
	var sorted *Error
	if !errors.As(err, &sorted) {
		return err
	}
	switch sorted.Problem.Code {
	case domain.NamespacePermissionDenied, domain.NamespaceQuotaExceeded, domain.NamespaceTerminating, domain.FieldConflict:
	default:
		if !making || sorted.Class != Never {
			return err
		}
	}
	p := sorted.Problem
	p.Message = fmt.Sprintf("it cannot be tried in namespace %s: %s", PreviewNamespace, p.Message)
	return &roomError{later(p, waitTerminating, err)}
}

// meant is the error with the namespace that is meant in the place of PreviewNamespace.
func (e *Error) meant(namespace string) *Error {
	moved := *e
	moved.Problem.Message = strings.ReplaceAll(e.Problem.Message, PreviewNamespace, namespace)
	return &moved
}

// PreviewDelete says what Delete would do, and fails as it would, by dry-runs alone.
func (c *Cluster) PreviewDelete(ctx context.Context, t Target, o DeleteOptions) (ChangeSet, error) {
	r := &removal{cluster: c, target: t, options: o, rehearsal: true}
	err := r.run(ctx)
	return r.done, err
}

// PreviewRestart says what Restart would do for the run that is under way now, without asking KubeVirt.
func (c *Cluster) PreviewRestart(ctx context.Context, t Target, namespace, name string) (RestartResult, error) {
	since, err := c.Running(ctx, namespace, name)
	if err != nil {
		return RestartResult{}, err
	}
	why, err := c.restarted(ctx, t, namespace, name, since)
	switch {
	case err != nil:
		return RestartResult{}, err
	case why != "":
		return RestartResult{Unchanged, why}, nil
	}
	return RestartResult{Action: Restarted}, nil
}
