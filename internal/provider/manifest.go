package provider

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// FieldManager is the name under which Shepherd owns fields.
const FieldManager = "kubevirt-shepherd"

// The identity labels: every object of a VM carries all five.
const (
	LabelManagedBy   = "kubevirt-shepherd.io/managed-by"
	LabelSystem      = "kubevirt-shepherd.io/system"
	LabelService     = "kubevirt-shepherd.io/service"
	LabelInstance    = "kubevirt-shepherd.io/instance"
	LabelEnvironment = "kubevirt-shepherd.io/environment"
)

// AnnotationCreatedAt says when Shepherd created a namespace, in RFC 3339, which no label may hold.
const AnnotationCreatedAt = "kubevirt-shepherd.io/created-at"

// ManagedBy is the value of LabelManagedBy.
const ManagedBy = "kubevirt-shepherd"

var identityLabels = []string{LabelManagedBy, LabelSystem, LabelService, LabelInstance, LabelEnvironment}

// Manifest is one object as the plan stores it. JSON is what is applied, byte for byte in meaning;
// the other fields repeat what it says of itself.
type Manifest struct {
	APIVersion, Kind, Namespace, Name string
	JSON                              []byte
}

// Target says which VM a set of manifests is for and what is known of it.
type Target struct {
	// Identity is the identity labels of this VM. Objects with other values are foreign.
	Identity map[string]string
	// UID is the VirtualMachine's uid as recorded when it was first applied; empty before that.
	UID string
	// Creating says that the operation is CREATE_VM. It implies Power.
	Creating bool
	// Power says that the operation is about power, so that runStrategy is set. Otherwise the
	// cluster's value is kept.
	Power bool
	// Previous is what was applied last, if known: it tells which of KubeVirt's lists this change
	// touches. Without it every list that differs counts as touched.
	Previous []Manifest
	// Kept are the keys of labels and annotations that an object keeps as the cluster has them where its
	// manifest does not say them: a preview does not know yet which approval it will carry.
	Kept []string
}

// The kinds that Apply accepts, in the order in which they are applied.
var applied = []schema.GroupVersionKind{secretKind, dataVolumeKind, vmKind}

func (m Manifest) String() string {
	if m.Namespace == "" {
		return m.Kind + " " + m.Name
	}
	return m.Kind + " " + m.Namespace + "/" + m.Name
}

// decode parses a manifest and takes out what has no place in an apply: status, null timestamps.
func (m Manifest) decode() (*unstructured.Unstructured, error) {
	var object map[string]any
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal(m.JSON, &object); err != nil || u.UnmarshalJSON(m.JSON) != nil {
		return nil, fmt.Errorf("%s: the manifest is not a JSON object with apiVersion and kind", m)
	}
	if u.GetAPIVersion() != m.APIVersion || u.GetKind() != m.Kind || u.GetNamespace() != m.Namespace || u.GetName() != m.Name {
		return nil, fmt.Errorf("%s: the manifest's content is about %s %s/%s", m, u.GetKind(), u.GetNamespace(), u.GetName())
	}
	unstructured.RemoveNestedField(u.Object, "status")
	for _, field := range []string{"managedFields", "resourceVersion", "uid", "creationTimestamp", "generation"} {
		unstructured.RemoveNestedField(u.Object, "metadata", field)
	}
	dropNullTimestamps(u.Object)
	foldStringData(u)
	return u, nil
}

// dropNullTimestamps removes the "creationTimestamp: null" that typed objects marshal inside
// templates, which the API server would take for a wish.
func dropNullTimestamps(v any) {
	switch v := v.(type) {
	case map[string]any:
		if stamp, ok := v["creationTimestamp"]; ok && stamp == nil {
			delete(v, "creationTimestamp")
		}
		for _, child := range v {
			dropNullTimestamps(child)
		}
	case []any:
		for _, child := range v {
			dropNullTimestamps(child)
		}
	}
}

// foldStringData moves a Secret's write-only stringData to data, so that it compares with what the
// cluster stores.
func foldStringData(u *unstructured.Unstructured) {
	if u.GetKind() != secretKind.Kind {
		return
	}
	clear, _, _ := unstructured.NestedStringMap(u.Object, "stringData")
	for key, value := range clear {
		_ = unstructured.SetNestedField(u.Object, base64.StdEncoding.EncodeToString([]byte(value)), "data", key)
	}
	unstructured.RemoveNestedField(u.Object, "stringData")
}

// check refuses a target or a manifest that cannot be meant: these are bugs of the caller.
func (t Target) check(objects []*unstructured.Unstructured) error {
	if err := t.complete(); err != nil {
		return err
	}
	machines := 0
	for _, u := range objects {
		if !slices.Contains(applied, u.GroupVersionKind()) {
			return fmt.Errorf("kind %s is not one that is applied for a VM", u.GroupVersionKind())
		}
		if u.GetNamespace() == "" || u.GetNamespace() != objects[0].GetNamespace() {
			return fmt.Errorf("%s %s: the objects of a VM share one namespace", u.GetKind(), u.GetName())
		}
		if label := t.stranger(u); label != "" {
			return fmt.Errorf("%s %s: label %s is not the VM's", u.GetKind(), u.GetName(), label)
		}
		if u.GroupVersionKind() == vmKind {
			machines++
		}
	}
	if machines != 1 {
		return fmt.Errorf("%d VirtualMachines in the manifests of one VM", machines)
	}
	return nil
}

// complete refuses a target without an identity: everything would be its own.
func (t Target) complete() error {
	for _, label := range identityLabels {
		if t.Identity[label] == "" {
			return fmt.Errorf("target has no identity label %s", label)
		}
	}
	return nil
}

// stranger returns the first identity label on which an object differs from the target, or "".
func (t Target) stranger(o metav1.Object) string {
	labels := o.GetLabels()
	for _, label := range identityLabels {
		if labels[label] != t.Identity[label] {
			return label
		}
	}
	return ""
}

// decodeAll parses manifests in the order in which they are applied.
func decodeAll(ms []Manifest) ([]*unstructured.Unstructured, error) {
	objects := make([]*unstructured.Unstructured, 0, len(ms))
	for _, m := range ms {
		u, err := m.decode()
		if err != nil {
			return nil, err
		}
		objects = append(objects, u)
	}
	slices.SortStableFunc(objects, func(a, b *unstructured.Unstructured) int {
		return slices.Index(applied, a.GroupVersionKind()) - slices.Index(applied, b.GroupVersionKind())
	})
	return objects, nil
}

// find returns the object of the same kind and name, or nil.
func find(objects []*unstructured.Unstructured, like *unstructured.Unstructured) *unstructured.Unstructured {
	for _, u := range objects {
		if u.GroupVersionKind() == like.GroupVersionKind() && u.GetName() == like.GetName() {
			return u
		}
	}
	return nil
}
