package provider

import (
	"context"
	"fmt"
	"maps"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// EnsureNamespace creates a namespace that is missing, with the given labels, the managed-by label
// and the time of its creation as an annotation, and reports whether it did. One that exists is left
// alone, labels included; losing the race to create it is success. Errors have the codes
// NAMESPACE_PERMISSION_DENIED (the hint is the kubectl line that helps), NAMESPACE_QUOTA_EXCEEDED,
// NAMESPACE_TERMINATING, or those of any request.
func (c *Cluster) EnsureNamespace(ctx context.Context, name string, labels map[string]string) (created bool, err error) {
	exists, err := c.namespaceExists(ctx, name)
	if err != nil || exists {
		return false, err
	}
	ns := namespaceOf(name, labels)
	_, err = c.do(ctx, about("create", ns), func(ctx context.Context) error {
		return c.client.Create(ctx, ns, client.FieldOwner(FieldManager))
	})
	if apierrors.IsAlreadyExists(err) {
		_, err := c.namespaceExists(ctx, name)
		return false, err
	}
	if err != nil {
		return false, fmt.Errorf("create namespace: %w", err)
	}
	return true, nil
}

// namespaceExists reports whether a namespace is there; one that is being deleted is an error.
func (c *Cluster) namespaceExists(ctx context.Context, name string) (bool, error) {
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
