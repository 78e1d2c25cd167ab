package provider

import (
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// power reads both fields that power can be said with.
func (b bench) power(m machine) string {
	b.t.Helper()
	live := b.read(m.vm).Object
	strategy, _, _ := unstructured.NestedString(live, strategyField...)
	running, ok, _ := unstructured.NestedBool(live, runningField...)
	if !ok {
		return strategy
	}
	return strings.TrimSpace(fmt.Sprintf("%s running=%t", strategy, running))
}

func TestPowerGoesOffAndOn(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	target.Power = true
	for _, wanted := range []string{"Halted", "Halted", "Always", "Halted", "Always"} {
		before := b.power(m)
		set(m.vm.Object, wanted, strategyPath...)
		preview, err := b.Preview(t.Context(), target, m.manifests())
		if err != nil || preview.Changed() != (before != wanted) || b.power(m) != before {
			t.Fatalf("preview of %s: %v, %v, power is %s", wanted, preview, err, b.power(m))
		}
		got := b.apply(target, m)
		if b.power(m) != wanted || got.Changed() != (before != wanted) {
			t.Fatalf("from %s to %s: %s, %s", before, wanted, actions(got), b.power(m))
		}
		if fields := got[2].Fields; got.Changed() && fmt.Sprint(fields) != "[spec.runStrategy]" {
			t.Errorf("fields %v", fields)
		}
		target.Previous = m.copy().manifests()
	}
}

func TestPowerThatPeopleChangedIsSetByPowerOperationsOnly(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	b.edit("virt-api", m.vm, func(vm map[string]any) { set(vm, "Halted", strategyPath...) })
	set(m.vm.Object, int64(2), coresPath...)
	for range 2 { // the first makes us an owner of what people set: that must not make it ours to undo
		if got := b.apply(target, m); b.power(m) != "Halted" || !strings.Contains(notes(got), "power drift") {
			t.Fatalf("%s: %s", b.power(m), notes(got))
		}
		target.Previous = m.copy().manifests()
		set(m.vm.Object, int64(3), coresPath...)
	}
	target.Power = true
	if got := b.apply(target, m); b.power(m) != "Always" || strings.Contains(notes(got), "drift") {
		t.Errorf("%s: %s", b.power(m), notes(got))
	}
}

// TestTheOlderPowerField has the API server refuse both fields and neither, as KubeVirt's webhook does.
func TestTheOlderPowerField(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.policy("one", `object.metadata.namespace == "`+b.ns+`" && has(object.spec.running) == has(object.spec.runStrategy)`,
		"Running and RunStrategy are mutually exclusive", admissionv1.Deny, vmRule)
	b.inForce(func(m machine) { set(m.vm.Object, true, runningField...) })
	older := func(m machine, running bool) {
		b.edit("kubectl-edit", m.vm, func(vm map[string]any) {
			unstructured.RemoveNestedField(vm, strategyField...)
			set(vm, running, runningField...)
		})
	}
	t.Run("power", func(t *testing.T) {
		t.Parallel()
		b := b
		b.t = t
		m, target := b.created("vm-power")
		older(m, false)
		target.Power = true
		// The first operation that changes it makes the field ours, the second one replaces it.
		for _, step := range []struct{ wanted, want string }{
			{"Halted", "running=false"}, {"Always", "running=true"}, {"Always", "Always"}, {"Halted", "Halted"},
		} {
			set(m.vm.Object, step.wanted, strategyPath...)
			b.apply(target, m)
			if got := b.power(m); got != step.want {
				t.Fatalf("asked for %s: %s, want %s", step.wanted, got, step.want)
			}
			o, err := b.Observe(t.Context(), b.ns, "vm-power")
			if err != nil || o.RunStrategy != step.wanted {
				t.Errorf("observed %q, %v; want %s", o.RunStrategy, err, step.wanted)
			}
		}
	})
	t.Run("kept", func(t *testing.T) {
		t.Parallel()
		b := b
		b.t = t
		m, target := b.created("vm-kept")
		older(m, false)
		for cores := range int64(3) {
			set(m.vm.Object, cores+2, coresPath...)
			if got := b.apply(target, m); b.power(m) != "running=false" || !strings.Contains(notes(got), "power drift") {
				t.Fatalf("%s: %s", b.power(m), notes(got))
			}
			target.Previous = m.copy().manifests()
		}
	})
}
