package provider

import (
	"context"
	"fmt"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// bare is one server-side apply and nothing else: the least that any applier does.
func (b bench) bare(ctx context.Context, m Manifest) error {
	u, err := m.decode()
	if err != nil {
		return err
	}
	return b.client.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner(FieldManager), client.ForceOwnership)
}

// compared runs both ways in turn on the same server and reports their times and the ratio.
func compared(b *testing.B, bare, guarded func(i int) error) {
	b.Helper()
	var times [2]time.Duration
	i := 0
	for b.Loop() {
		for way, run := range []func(int) error{bare, guarded} {
			start := time.Now()
			if err := run(i); err != nil {
				b.Fatal(err)
			}
			times[way] += time.Since(start)
		}
		i++
	}
	per := func(d time.Duration) float64 { return float64(d.Microseconds()) / float64(i) / 1000 }
	b.ReportMetric(per(times[0]), "ms-bare/op")
	b.ReportMetric(per(times[1]), "ms-guarded/op")
	b.ReportMetric(float64(times[1])/float64(times[0]), "ratio")
	b.ReportMetric(0, "ns/op")
}

func BenchmarkCreateVM(b *testing.B) {
	env := setup(b)
	vm := func(way string, i int) (machine, []Manifest) {
		m := env.machine(fmt.Sprintf("%s-%d", way, i))
		return m, []Manifest{manifest(m.vm)}
	}
	compared(b, func(i int) error {
		_, ms := vm("bare", i)
		return env.bare(b.Context(), ms[0])
	}, func(i int) error {
		m, ms := vm("guarded", i)
		_, err := env.Apply(b.Context(), m.creating(), ms)
		return err
	})
}

func BenchmarkUnchangedVM(b *testing.B) {
	env := setup(b)
	m, target := env.created("vm")
	ms := []Manifest{manifest(m.vm)}
	compared(b, func(int) error { return env.bare(b.Context(), ms[0]) }, func(int) error {
		set, err := env.Apply(b.Context(), target, ms)
		if err == nil && set.Changed() {
			err = fmt.Errorf("changed: %v", set)
		}
		return err
	})
}

// BenchmarkDeleteVM deletes VMs of three objects each in a namespace with a thousand other disks, which
// are all looked at.
func BenchmarkDeleteVM(b *testing.B) {
	env := setup(b)
	for i := range 1000 {
		env.create(env.stranger(fmt.Sprintf("neighbour-%d", i), env.machine("neighbour").vm.GetLabels()))
	}
	var spent time.Duration
	n := 0
	for b.Loop() {
		name := fmt.Sprintf("vm-%d", n)
		_, target := env.created(name)
		start := time.Now()
		if _, err := env.Delete(b.Context(), target, env.doomed(name, false)); err != nil {
			b.Fatal(err)
		}
		spent += time.Since(start)
		n++
	}
	b.ReportMetric(float64(spent.Microseconds())/float64(n)/1000, "ms-delete/op")
	b.ReportMetric(0, "ns/op")
}
