package render

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/domain"
)

func TestSetPath(t *testing.T) {
	t.Parallel()
	const start = `{"spec":{"a":{"b":1},"list":[{"n":"x"},{"n":"y"}]}}`
	for _, c := range []struct{ path, value, want string }{
		{"spec.a.b", `2`, `{"spec":{"a":{"b":2},"list":[{"n":"x"},{"n":"y"}]}}`},
		{"spec.a.c.d", `[1]`, `{"spec":{"a":{"b":1,"c":{"d":[1]}},"list":[{"n":"x"},{"n":"y"}]}}`},
		{"spec['a']['x.y/z']", `"v"`, `{"spec":{"a":{"b":1,"x.y/z":"v"},"list":[{"n":"x"},{"n":"y"}]}}`},
		{`spec.a["x.y"]`, `"v"`, `{"spec":{"a":{"b":1,"x.y":"v"},"list":[{"n":"x"},{"n":"y"}]}}`},
		{"spec.list[1].n", `"z"`, `{"spec":{"a":{"b":1},"list":[{"n":"x"},{"n":"z"}]}}`},
		{"spec.list[2]", `{"n":"z"}`, `{"spec":{"a":{"b":1},"list":[{"n":"x"},{"n":"y"},{"n":"z"}]}}`},
		{"spec.new[0].n", `1`, `{"spec":{"a":{"b":1},"list":[{"n":"x"},{"n":"y"}],"new":[{"n":1}]}}`},
		{"spec.list[0]", `null`, `{"spec":{"a":{"b":1},"list":[{"n":"y"}]}}`},
		{"spec.a", `null`, `{"spec":{"list":[{"n":"x"},{"n":"y"}]}}`},
		{"spec.list[3]", `1`, `error: behind the end`},
		{"spec.list.n", `1`, `error: no object`},
		{"spec.a[0]", `1`, `error: no list`},
		{"spec.a.b.c", `1`, `error: no object`},
		{"metadata.name", `"x"`, `error: has to begin with spec.`},
		{"spec", `{}`, `error: has to begin with spec.`},
		{"specs.a", `1`, `error: has to begin with spec.`},
		{"spec.", `1`, `error: a name is missing`},
		{"spec..a", `1`, `error: a name is missing`},
		{"spec.a]", `1`, `error: expected .name or [index]`},
		{"spec.list[-1]", `1`, `error: no index`},
		{"spec.list[x]", `1`, `error: no index`},
		{"spec.list[0", `1`, `error: expected .name or [index]`}, {"spec.list[10", `1`, `error: no index`},
		{"spec.list[", `1`, `error: expected .name or [index]`},
		{"spec['a", `1`, `error: not closed`},
		{"spec.list[1000000]", `1`, `error: no index`},
	} {
		var object map[string]any
		var value any
		if json.Unmarshal([]byte(start), &object) != nil || json.Unmarshal([]byte(c.value), &value) != nil {
			t.Fatalf("%s: the test itself is broken", c.path)
		}
		err := setPath(object, c.path, value)
		if want, isError := strings.CutPrefix(c.want, "error: "); isError {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %s", c.path, err, want)
			}
			continue
		}
		got, _ := json.Marshal(object)
		if err != nil || string(got) != c.want {
			t.Errorf("%s = %s gives %s (%v), want %s", c.path, c.value, got, err, c.want)
		}
	}
}

// TestOverridesLeaveTheInputAlone: a value with a child overridden is the size's own, used again.
func TestOverridesLeaveTheInputAlone(t *testing.T) {
	t.Parallel()
	in := example()
	in.Size.SpecOverrides = map[string]any{
		"spec.template.spec.domain.features":             map[string]any{"smm": map[string]any{"enabled": true}},
		"spec.template.spec.domain.features.smm.enabled": false,
	}
	before, _ := json.Marshal(in.Size)
	ms := mustRender(t, in)
	after, _ := json.Marshal(in.Size)
	if diff := cmp.Diff(string(before), string(after)); diff != "" {
		t.Errorf("rendering changed the size:\n%s", diff)
	}
	vm, err := ToVM(ms[len(ms)-1])
	if err != nil {
		t.Fatal(err)
	}
	if smm := vm.Spec.Template.Spec.Domain.Features.SMM; smm == nil || *smm.Enabled {
		t.Errorf("the longer path did not win: %+v", smm)
	}
}

// TestProtected: each protected path is one that an override could otherwise change.
func TestProtected(t *testing.T) {
	t.Parallel()
	values := map[string]any{
		"spec.runStrategy":         "Halted",
		"spec.running":             true,
		"spec.instancetype":        map[string]any{"name": "u1.large"},
		"spec.preference":          map[string]any{"name": "fedora"},
		"spec.dataVolumeTemplates": []any{map[string]any{"metadata": map[string]any{"name": "x"}, "spec": map[string]any{}}},
		"spec.template.metadata":   map[string]any{"labels": map[string]any{"a": "b"}},
		"spec.template.spec.domain.cpu.dedicatedCpuPlacement": true,
		"spec.template.spec.domain.cpu.sockets":               8,
		"spec.template.spec.domain.cpu.cores":                 8,
		"spec.template.spec.domain.cpu.threads":               2,
		"spec.template.spec.domain.memory.guest":              "64Gi",
		"spec.template.spec.domain.memory.hugepages":          map[string]any{"pageSize": "1Gi"},
		"spec.template.spec.domain.resources":                 map[string]any{"requests": map[string]any{"cpu": "10m"}},
		"spec.template.spec.domain.devices.gpus":              []any{map[string]any{"name": "g", "deviceName": "a/b"}},
		"spec.template.spec.domain.firmware.uuid":             "b74b6897-96fc-51e7-821e-e446796c2150",
		"spec.template.spec.domain.firmware.serial":           "1",
		"spec.template.spec.hostname":                         "other",
		"spec.template.spec.volumes":                          []any{map[string]any{"name": "v", "emptyDisk": map[string]any{"capacity": "1Gi"}}},
		"spec.template.spec.networks":                         []any{},
		"spec.template.spec.accessCredentials":                nil,
	}
	for _, p := range protected {
		value, found := values[p.path]
		if !found {
			t.Errorf("%s has no case", p.path)
			continue
		}
		in := example()
		in.Size.SpecOverrides = map[string]any{p.path: value}
		ms, problems := Render(in)
		if len(ms) > 0 || len(problems) != 1 || problems[0].Code != domain.ForbiddenField || problems[0].Origin != OriginSize {
			t.Errorf("%s: %d manifests, problems:\n%s", p.path, len(ms), list(problems))
		}
	}
}

// TestOverridesThatNeedEachOther: only the one at fault is named.
func TestOverridesThatNeedEachOther(t *testing.T) {
	t.Parallel()
	in := example()
	in.Size.SpecOverrides = map[string]any{
		"spec.template.spec.tolerations[0]": map[string]any{"key": "a", "operator": "Exists"},
		"spec.template.spec.tolerations[1]": map[string]any{"key": "b", "operator": "Exists"},
		"spec.template.spec.tolerations[3]": map[string]any{"key": "c", "operator": "Exists"},
		"spec.template.spec.zone":           "a",
	}
	_, problems := Render(in)
	if len(problems) != 2 || problems[0].Field != `specOverrides["spec.template.spec.tolerations[3]"]` ||
		problems[1].Field != `specOverrides["spec.template.spec.zone"]` || problems[1].Code != domain.UnknownField {
		t.Errorf("problems:\n%s", list(problems))
	}
}

// TestOverrideOfTheSame: an override that says what is there is none, in whatever words.
func TestOverrideOfTheSame(t *testing.T) {
	t.Parallel()
	in := example()
	in.Size.SpecOverrides = map[string]any{"spec.template.spec.domain.memory.guest": "8192Mi"}
	if diff := cmp.Diff(pretty(t, mustRender(t, example())), pretty(t, mustRender(t, in))); diff != "" {
		t.Errorf("it changed the objects:\n%s", diff)
	}
}

// FuzzSpecOverrides: whatever a size says, rendering ends, and what comes out is a VM of the request.
func FuzzSpecOverrides(f *testing.F) {
	for _, seed := range [][2]string{
		{"spec.template.spec.domain.cpu.model", `"host-model"`},
		{"spec.template.spec.domain.devices.disks[0].cache", `"none"`},
		{"spec.template.spec.nodeSelector['a/b']", `"c"`},
		{"spec.template.spec.domain", `{"devices":{}}`},
		{"spec.template", `null`},
		{"spec.template.spec.domain.memory", `{"guest":"1e30"}`},
		{"spec.template.spec.tolerations[0]", `{"key":"a"}`},
		{"spec.template.spec.domain.devices.interfaces[0].bootOrder", `-1`},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, path, value string) {
		in := example()
		var v any
		if json.Unmarshal([]byte(value), &v) != nil {
			v = value
		}
		in.Size.SpecOverrides = map[string]any{path: v}
		ms, problems := Render(in)
		if (len(ms) == 0) != problems.Blocking() {
			t.Fatalf("%d manifests, problems:\n%s", len(ms), list(problems))
		}
		if len(ms) == 0 {
			return
		}
		if err := wellFormed(in, ms[len(ms)-1]); err != nil {
			t.Fatalf("%v\n%s", err, ms[len(ms)-1].JSON)
		}
		vm, err := ToVM(ms[len(ms)-1])
		if err != nil {
			t.Fatal(err)
		}
		instance := vm.Spec.Template.Spec
		if vm.Name != in.Ref.VMName() || instance.Hostname != vm.Name || instance.Domain.CPU.Sockets != 4 ||
			instance.Domain.Memory.Guest.String() != "8Gi" || len(instance.Volumes) != 3 {
			t.Fatalf("the override reached what is not its:\n%s", ms[len(ms)-1].JSON)
		}
	})
}
