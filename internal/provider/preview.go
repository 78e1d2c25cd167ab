package provider

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kv-shepherd.io/shepherd/internal/domain"
)

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

// Preview says what Apply would do, and fails as Apply would, by dry-runs alone. In a namespace that
// does not exist yet the cluster cannot check anything; the changes say so in a note.
func (c *Cluster) Preview(ctx context.Context, t Target, ms []Manifest) (ChangeSet, error) {
	objects, err := t.decode(ms)
	if err != nil {
		return nil, err
	}
	exists, err := c.namespaceExists(ctx, objects[0].GetNamespace())
	if err != nil {
		return nil, err
	}
	if !exists && t.UID == "" {
		return unchecked(objects), nil
	}
	steps, err := c.rehearseAll(ctx, t, ms)
	if err != nil {
		return nil, err
	}
	return changes(steps), nil
}

func changes(steps []*step) ChangeSet {
	var set ChangeSet
	for _, s := range steps {
		set = append(set, s.change())
	}
	return set
}

func unchecked(objects []*unstructured.Unstructured) ChangeSet {
	var set ChangeSet
	for _, u := range objects {
		note := fmt.Sprintf("namespace %s does not exist yet: the cluster checks this when it is applied", u.GetNamespace())
		set = append(set, Change{
			Kind: u.GetKind(), Namespace: u.GetNamespace(), Name: u.GetName(), Action: Created, Notes: []string{note},
		})
	}
	return set
}
