package provider

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kv-shepherd.io/shepherd/internal/domain"
)

func (b bench) listNames(like *unstructured.Unstructured, path ...string) string {
	b.t.Helper()
	list, _, _ := unstructured.NestedSlice(b.read(like).Object, path...)
	return itemNames(list)
}

func TestHotPluggedDisksSurviveAnotherChange(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	b.edit("virt-api", m.vm, hotplug("extra"))
	set(m.vm.Object, int64(2), coresPath...)
	got := b.apply(target, m)
	if actions(got[2:]) != "VirtualMachine configured" || len(got[2].Fields) != 1 {
		t.Errorf("%s %v", actions(got), got[2].Fields)
	}
	for _, list := range [][]string{volumesPath, devicesPath("disks")} {
		if names := b.listNames(m.vm, list...); names != "[root cloudinit extra]" {
			t.Errorf("%s is %s", list[len(list)-1], names)
		}
		if !strings.Contains(notes(got), "kept "+strings.Join(list, ".")+" as virt-api left it: [root cloudinit extra]") {
			t.Errorf("notes: %s", notes(got))
		}
	}
	target.Previous = m.copy().manifests()
	if again := b.apply(target, m); again.Changed() || !strings.Contains(notes(again), "virt-api") {
		t.Errorf("applied again: %v\n%s", again, notes(again))
	}
	// Sending the kept value made us an owner too; the next change must still not unplug it.
	set(m.vm.Object, int64(3), coresPath...)
	b.apply(target, m)
	if names := b.listNames(m.vm, volumesPath...); names != "[root cloudinit extra]" {
		t.Errorf("after the second change volumes are %s", names)
	}
}

func TestAChangeOfAListThatOthersChangedIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	volume := map[string]any{"name": "data", "dataVolume": map[string]any{"name": "data"}}
	tests := []struct {
		name   string
		change func(m machine, target *Target)
		texts  []string
	}{
		{"adds", func(m machine, _ *Target) { add(m.vm.Object, volume, volumesPath...) },
			[]string{"the cluster has [root cloudinit extra]", "this change wants [root cloudinit data]"}},
		{"unknown", func(_ machine, target *Target) { target.Previous = nil },
			[]string{"spec.template.spec.domain.devices.disks", "this change wants [root cloudinit]"}},
		{"removes", func(m machine, _ *Target) { unstructured.RemoveNestedField(m.vm.Object, volumesPath...) },
			[]string{"this change wants []"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, target := b.created("vm-" + tt.name)
			b.edit("virt-api", m.vm, hotplug("extra"))
			before := b.read(m.vm)
			set(m.secret.Object, "other", "stringData", "userdata")
			tt.change(m, &target)
			_, err := b.Apply(t.Context(), target, m.manifests())
			refusedAs(t, err, domain.FieldConflict, Never, append(tt.texts, "spec.template.spec.volumes was changed by virt-api")...)
			if b.read(m.vm).GetResourceVersion() != before.GetResourceVersion() {
				t.Error("the VM was written")
			}
			if got, _, _ := unstructured.NestedString(b.read(m.secret).Object, "data", "userdata"); got == "b3RoZXI=" {
				t.Error("the Secret was written although the VM was refused")
			}
		})
	}
}

func TestAListThatOnlyWeOwnIsChanged(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	target.Previous = nil
	add(m.vm.Object, map[string]any{"name": "data", "dataVolume": map[string]any{"name": "data"}}, volumesPath...)
	got := b.apply(target, m)
	if names := b.listNames(m.vm, volumesPath...); names != "[root cloudinit data]" || notes(got) != "" {
		t.Errorf("volumes are %s; %s", names, notes(got))
	}
}

func TestPowerBelongsToPowerOperations(t *testing.T) {
	t.Parallel()
	b := setup(t)
	halt := func(vm map[string]any) { set(vm, "Halted", strategyPath...) }
	running := func(vm map[string]any) {
		unstructured.RemoveNestedField(vm, strategyPath...)
		set(vm, false, "spec", "running")
	}
	tests := []struct {
		name     string
		drift    func(map[string]any)
		power    bool
		strategy string
		note     string
	}{
		{"kept", halt, false, "Halted", "power drift: runStrategy is Halted on the cluster and Always in git; kept"},
		{"set", halt, true, "Always", "took over spec.runStrategy"},
		{"older-field", running, false, "", "power drift: runStrategy is Halted (running: false) on the cluster and Always in git; kept"},
		{"no-drift", func(map[string]any) {}, false, "Always", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, target := b.created("vm-" + tt.name)
			b.edit("virt-api", m.vm, tt.drift)
			set(m.vm.Object, int64(2), coresPath...)
			target.Power = tt.power
			got := b.apply(target, m)
			live := b.read(m.vm).Object
			strategy, _, _ := unstructured.NestedString(live, strategyPath...)
			cores, _, _ := unstructured.NestedInt64(live, coresPath...)
			if strategy != tt.strategy || cores != 2 {
				t.Errorf("runStrategy %q, cores %d", strategy, cores)
			}
			if !strings.Contains(notes(got), tt.note) || (tt.note == "") != (notes(got) == "") {
				t.Errorf("notes %q, want %q", notes(got), tt.note)
			}
		})
	}
}

func TestCovers(t *testing.T) {
	t.Parallel()
	item := func(fields ...string) map[string]any {
		m := map[string]any{}
		for _, f := range fields {
			m[f] = "x"
		}
		return m
	}
	tests := []struct {
		name       string
		is, wanted any
		want       bool
	}{
		{"equal", []any{item("name")}, []any{item("name")}, true},
		{"defaulted", []any{item("name", "model")}, []any{item("name")}, true},
		{"fewer fields", []any{item("name")}, []any{item("name", "model")}, false},
		{"more items", []any{item("name"), item("b")}, []any{item("name")}, false},
		{"no list", "x", []any{"x"}, false},
		{"no map", "x", item("name"), false},
		{"absent", nil, []any{}, false},
		{"numbers", int64(1), int64(1), true},
		{"other numbers", int64(1), int64(2), false},
	}
	for _, tt := range tests {
		if got := covers(tt.is, tt.wanted); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}
