package render

import (
	"encoding/json"
	"fmt"

	"github.com/gowebpki/jcs"
	"k8s.io/apimachinery/pkg/runtime"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// Manifest is one object as it would be sent to a cluster.
type Manifest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	JSON       []byte `json:"json"` // canonical (RFC 8785), without status
}

// The kinds that Render writes.
const (
	KindSecret         = "Secret"
	KindDataVolume     = "DataVolume"
	KindVirtualMachine = "VirtualMachine"
)

// ToVM decodes the manifest of a VirtualMachine. Fields that KubeVirt's types do not have, and
// manifests of other kinds, are errors.
func ToVM(m Manifest) (*kubevirtv1.VirtualMachine, error) {
	if m.Kind != KindVirtualMachine {
		return nil, fmt.Errorf("decode vm %s: it is a %s", m.Name, m.Kind)
	}
	vm := new(kubevirtv1.VirtualMachine)
	if err := decodeStrict(m.JSON, vm); err != nil {
		return nil, fmt.Errorf("decode vm %s: %w", m.Name, err)
	}
	return vm, nil
}

// toMap is the object as generic JSON, without what must not be applied.
func toMap(object any) (map[string]any, error) {
	m, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, err
	}
	prune(m)
	return m, nil
}

// noise are the members that the Go types write even when nobody set them. All other empty objects
// mean something (pod: {}, masquerade: {}, blank: {}) and stay.
var noise = [][]string{
	{"status"},
	{"metadata", "creationTimestamp"},
	{"spec", "template", "metadata", "creationTimestamp"},
	{"spec", "template", "spec", "domain", "resources"},
	{"spec", "template", "spec", "domain", "features", "acpi"},
	{"spec", "storage", "resources"},
}

func prune(object map[string]any) {
	for _, path := range noise {
		parent := object
		for _, key := range path[:len(path)-1] {
			parent, _ = parent[key].(map[string]any)
		}
		last := path[len(path)-1]
		if value, found := parent[last]; found && empty(value) || last == "status" {
			delete(parent, last)
		}
	}
}

func empty(value any) bool {
	m, isMap := value.(map[string]any)
	return value == nil || isMap && len(m) == 0
}

// manifest makes the canonical bytes of an object.
func manifest(object any) (Manifest, error) {
	m, err := toMap(object)
	if err != nil {
		return Manifest{}, err
	}
	return fromMap(m)
}

func fromMap(m map[string]any) (Manifest, error) {
	data, err := canonical(m)
	if err != nil {
		return Manifest{}, err
	}
	meta, _ := m["metadata"].(map[string]any)
	text := func(from map[string]any, key string) string { s, _ := from[key].(string); return s }
	return Manifest{
		APIVersion: text(m, "apiVersion"),
		Kind:       text(m, "kind"),
		Namespace:  text(meta, "namespace"),
		Name:       text(meta, "name"),
		JSON:       data,
	}, nil
}

// canonical is RFC 8785 JSON: one sequence of bytes for equal values.
func canonical(value any) ([]byte, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return jcs.Transform(data)
}
