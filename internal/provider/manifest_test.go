package provider

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func testIdentity() map[string]string {
	return map[string]string{
		LabelManagedBy: ManagedBy, LabelSystem: "shop", LabelService: "redis",
		LabelInstance: "01", LabelEnvironment: "test",
	}
}

func TestDecodeDropsWhatNobodyApplies(t *testing.T) {
	t.Parallel()
	m := Manifest{APIVersion: "v1", Kind: "Secret", Namespace: "shop", Name: "a", JSON: []byte(`{
		"apiVersion": "v1", "kind": "Secret", "status": {"x": 1},
		"metadata": {"name": "a", "namespace": "shop", "creationTimestamp": null, "uid": "u", "resourceVersion": "9"},
		"stringData": {"userdata": "#cloud-config"}, "data": {"kept": "eA=="},
		"nested": [{"metadata": {"creationTimestamp": null}}]}`)}
	got, err := m.decode()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"apiVersion": "v1", "kind": "Secret",
		"metadata": map[string]any{"name": "a", "namespace": "shop"},
		"data":     map[string]any{"userdata": "I2Nsb3VkLWNvbmZpZw==", "kept": "eA=="},
		"nested":   []any{map[string]any{"metadata": map[string]any{}}},
	}
	if diff := cmp.Diff(want, got.Object); diff != "" {
		t.Error(diff)
	}
}

func TestTargetRefusesWhatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	labels := `"kubevirt-shepherd.io/managed-by":"kubevirt-shepherd","kubevirt-shepherd.io/system":"shop",` +
		`"kubevirt-shepherd.io/service":"redis","kubevirt-shepherd.io/environment":"test"`
	object := func(apiVersion, kind, namespace, name, instance string) Manifest {
		return Manifest{apiVersion, kind, namespace, name, []byte(`{"apiVersion":"` + apiVersion + `","kind":"` + kind +
			`","metadata":{"name":"` + name + `","namespace":"` + namespace + `","labels":{` + labels +
			`,"kubevirt-shepherd.io/instance":"` + instance + `"}}}`)}
	}
	vm := object("kubevirt.io/v1", "VirtualMachine", "shop", "vm", "01")
	renamed := vm
	renamed.Name = "other"
	broken := vm
	broken.JSON = []byte(`{"apiVersion"`)
	tests := []struct {
		name string
		ms   []Manifest
		err  string
	}{
		{"good, in any order", []Manifest{vm, object("v1", "Secret", "shop", "a", "01")}, ""},
		{"nothing", nil, "0 VirtualMachines"},
		{"two machines", []Manifest{vm, object("kubevirt.io/v1", "VirtualMachine", "shop", "vm2", "01")}, "2 VirtualMachines"},
		{"label of another", []Manifest{vm, object("v1", "Secret", "shop", "a", "02")}, "label kubevirt-shepherd.io/instance"},
		{"two namespaces", []Manifest{vm, object("v1", "Secret", "prod", "a", "01")}, "share one namespace"},
		{"no namespace", []Manifest{object("kubevirt.io/v1", "VirtualMachine", "", "vm", "01")}, "share one namespace"},
		{"a kind that is not ours", []Manifest{vm, object("v1", "Pod", "shop", "a", "01")}, "kind /v1, Kind=Pod"},
		{"envelope and content differ", []Manifest{renamed}, "content is about VirtualMachine shop/vm"},
		{"no JSON", []Manifest{broken}, "not a JSON object"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := Target{Identity: testIdentity()}.decode(tt.ms)
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
		})
	}
	if _, err := (Target{Identity: map[string]string{LabelManagedBy: ManagedBy}}).decode([]Manifest{vm}); err == nil {
		t.Error("a target without identity is accepted")
	}
}

func TestManifestsAreAppliedInOrder(t *testing.T) {
	t.Parallel()
	var ms []Manifest
	for _, kind := range []string{"VirtualMachine", "DataVolume", "Secret"} {
		version := map[string]string{"VirtualMachine": "kubevirt.io/v1", "DataVolume": "cdi.kubevirt.io/v1beta1", "Secret": "v1"}[kind]
		ms = append(ms, Manifest{version, kind, "ns", "a", []byte(`{"apiVersion":"` + version + `","kind":"` + kind + `","metadata":{"name":"a","namespace":"ns"}}`)})
	}
	objects, err := decodeAll(ms)
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, u := range objects {
		kinds = append(kinds, u.GetKind())
	}
	if diff := cmp.Diff([]string{"Secret", "DataVolume", "VirtualMachine"}, kinds); diff != "" {
		t.Error(diff)
	}
}
