package provider

import (
	"context"
	"fmt"
	"maps"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/domain"
)

// EnsureNamespace creates a namespace that is missing, with the given labels, the managed-by label
// and the time of its creation as an annotation, and reports whether it did. One that exists is left
// alone, labels included; losing the race to create it is success. Errors have the codes
// NAMESPACE_PERMISSION_DENIED (the hint is the kubectl line that helps), NAMESPACE_QUOTA_EXCEEDED,
// NAMESPACE_TERMINATING, ENVIRONMENT_MISMATCH where it exists and is labelled with another environment
// than the given one, or those of any request.
func (c *Cluster) EnsureNamespace(ctx context.Context, name string, labels map[string]string) (created bool, err error) {
	exists, err := c.namespaceFor(ctx, name, labels[LabelEnvironment])
	if err != nil || exists {
		return false, err
	}
	err = c.createNamespace(ctx, namespaceOf(name, labels))
	if apierrors.IsAlreadyExists(err) {
		_, err := c.namespaceFor(ctx, name, labels[LabelEnvironment])
		return false, err
	}
	return err == nil, err
}

// MadeNamespace reports whether a namespace is there and was made by Shepherd, as its label says.
func (c *Cluster) MadeNamespace(ctx context.Context, name string) (bool, error) {
	ns, err := c.get(ctx, namespaceKind, "", name)
	if err != nil {
		return false, fmt.Errorf("look for namespace: %w", err)
	}
	return ns != nil && ns.GetLabels()[LabelManagedBy] == ManagedBy, nil
}

func (c *Cluster) createNamespace(ctx context.Context, ns *unstructured.Unstructured, options ...client.CreateOption) error {
	_, err := c.do(ctx, about("create", ns), func(ctx context.Context) error {
		return c.client.Create(ctx, ns, append(options, client.FieldOwner(FieldManager))...)
	})
	if err != nil {
		return fmt.Errorf("create namespace: %w", err)
	}
	return nil
}

// namespaceFor reports whether a namespace is there; one that is being deleted, or that is labelled with
// another environment than the given one, is an error. Without either nothing is known of its environment.
func (c *Cluster) namespaceFor(ctx context.Context, name, environment string) (bool, error) {
	ns, err := c.get(ctx, namespaceKind, "", name)
	if err != nil {
		return false, fmt.Errorf("look for namespace: %w", err)
	}
	if ns == nil {
		return false, nil
	}
	phase, _, _ := unstructured.NestedString(ns.Object, "status", "phase")
	if ns.GetDeletionTimestamp() != nil || phase == "Terminating" {
		return true, terminating(name, nil)
	}
	if is := ns.GetLabels()[LabelEnvironment]; is != "" && environment != "" && is != environment {
		return true, never(problem(domain.EnvironmentMismatch,
			"ask for it in a namespace of its environment, or have the namespace's label "+LabelEnvironment+" put right on the cluster",
			"namespace %s on the cluster belongs to %s, this VM to %s", name, words(is), environment), nil)
	}
	return true, nil
}

func namespaceOf(name string, labels map[string]string) *unstructured.Unstructured {
	all := map[string]string{LabelManagedBy: ManagedBy}
	maps.Copy(all, labels)
	ns := &unstructured.Unstructured{}
	ns.SetGroupVersionKind(namespaceKind)
	ns.SetName(name)
	ns.SetLabels(all)
	ns.SetAnnotations(map[string]string{AnnotationCreatedAt: time.Now().UTC().Format(time.RFC3339)})
	return ns
}
