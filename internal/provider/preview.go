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
// look at the rest.
func (c *Cluster) Preview(ctx context.Context, t Target, ms []Manifest) (ChangeSet, error) {
	objects, err := t.decode(ms)
	if err != nil {
		return nil, err
	}
	if name := objects[0].GetNamespace(); t.UID == "" {
		exists, err := c.namespaceFor(ctx, name, t.Identity[LabelEnvironment])
		if err != nil {
			return nil, err
		}
		if !exists {
			exists, err = c.rehearseNamespace(ctx, name, t)
		}
		if err != nil {
			return nil, err
		}
		if !exists {
			return c.previewElsewhere(ctx, name, t, objects)
		}
	}
	steps, err := c.rehearseAll(ctx, t, ms)
	if err != nil {
		return nil, err
	}
	return changes(steps), nil
}

func changes(steps []*step) ChangeSet {
	set := make(ChangeSet, len(steps))
	for i, s := range steps {
		set[i] = s.change()
	}
	return set
}

// rehearseNamespace asks whether a namespace could be made. It reports true where somebody just did.
func (c *Cluster) rehearseNamespace(ctx context.Context, name string, t Target) (exists bool, err error) {
	err = c.createNamespace(ctx, namespaceOf(name, map[string]string{LabelEnvironment: t.Identity[LabelEnvironment]}), client.DryRunAll)
	if apierrors.IsAlreadyExists(err) {
		return c.namespaceFor(ctx, name, t.Identity[LabelEnvironment])
	}
	return false, err
}

// previewElsewhere rehearses, in PreviewNamespace, the creation of objects whose namespace is missing.
func (c *Cluster) previewElsewhere(ctx context.Context, name string, t Target, objects []*unstructured.Unstructured) (ChangeSet, error) {
	notes, err := c.rehearseElsewhere(ctx, t, objects)
	if err != nil {
		var sorted *Error
		if !errors.As(err, &sorted) {
			return nil, err
		}
		return nil, fmt.Errorf("try it in namespace %s: %w", PreviewNamespace, sorted.about(name))
	}
	set := ChangeSet{{Kind: namespaceKind.Kind, Name: name, Action: Created, Notes: notes[len(objects)]}}
	for i, u := range objects {
		set = append(set, Change{Kind: u.GetKind(), Namespace: name, Name: u.GetName(), Action: Created, Notes: notes[i]})
	}
	return set, nil
}

// rehearseElsewhere dry-runs objects, of which nothing exists so far, in PreviewNamespace. It returns the notes
// on each of them and, behind these, on the namespace.
func (c *Cluster) rehearseElsewhere(ctx context.Context, t Target, objects []*unstructured.Unstructured) ([][]string, error) {
	notes := make([][]string, len(objects)+1)
	_, err := c.EnsureNamespace(ctx, PreviewNamespace, nil)
	made := err == nil
	for i := 0; i < len(objects) && err == nil; i++ {
		s := &step{cluster: c, target: t, want: objects[i].DeepCopy()}
		s.want.SetNamespace(PreviewNamespace)
		err = s.dryRun(ctx)
		notes[i] = s.notes
	}
	var sorted *Error
	switch {
	case err == nil:
		notes[len(objects)] = []string{"it does not exist yet and is made first; the rest was tried in namespace " + PreviewNamespace}
		return notes, nil
	case errors.As(err, &sorted) && sorted.closes(made):
		clear(notes)
		notes[len(objects)] = []string{fmt.Sprintf("it does not exist yet; the cluster checks the rest when it is made, as that cannot be tried in namespace %s: %s",
			PreviewNamespace, sorted.Problem.Message)}
		return notes, nil
	}
	return nil, err
}

// closes reports whether an error is about PreviewNamespace alone: that it may not be made or used, that it
// goes, or that somebody put something into it. That says nothing about the namespace that is meant.
func (e *Error) closes(made bool) bool {
	switch e.Problem.Code {
	case domain.NamespacePermissionDenied, domain.NamespaceQuotaExceeded, domain.NamespaceTerminating, domain.FieldConflict:
		return true
	}
	return !made && e.Class == Never
}

// about is the error with the namespace that is meant in the place of PreviewNamespace.
func (e *Error) about(namespace string) *Error {
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
