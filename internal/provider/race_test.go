package provider

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kv-shepherd.io/shepherd/internal/domain"
)

func TestTwoWorkersApplyOneVM(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m := b.machine("vm")
	errs := make([]error, 8)
	made := make([]int, len(errs))
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() {
			var got ChangeSet
			got, errs[i] = b.Apply(t.Context(), m.creating(), m.manifests())
			for _, c := range got {
				if c.Action == Created {
					made[i]++
				}
			}
		})
	}
	group.Wait()
	total := 0
	for i, err := range errs {
		if err != nil {
			t.Errorf("worker %d: %v", i, err)
		}
		total += made[i]
	}
	if total != 3 {
		t.Errorf("%d objects were reported as created, there are 3", total)
	}
}

func TestTwoOwnersRaceForOneName(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for round := range 10 {
		name := fmt.Sprintf("vm-%d", round)
		errs := make([]error, 2)
		targets := make([]Target, 2)
		var group sync.WaitGroup
		for i := range errs {
			m := b.machine(name)
			labels := m.vm.GetLabels()
			labels[LabelSystem] = fmt.Sprintf("system-%d", i)
			m.vm.SetLabels(labels)
			targets[i] = m.creating()
			group.Go(func() { _, errs[i] = b.Apply(t.Context(), targets[i], []Manifest{manifest(m.vm)}) })
		}
		group.Wait()
		winner := 0
		if errs[0] != nil {
			winner = 1
		}
		if errs[winner] != nil {
			t.Fatalf("round %d: both lost: %v; %v", round, errs[0], errs[1])
		}
		refusedAs(t, errs[1-winner], domain.ForeignVM, Never)
		live := b.read(b.machine(name).vm)
		if live.GetLabels()[LabelSystem] != targets[winner].Identity[LabelSystem] {
			t.Errorf("round %d: the winner's VM carries the loser's label", round)
		}
	}
}

// The next tests change the cluster between the dry-run and the write, which no call from outside can
// time.

func (b bench) rehearsed(target Target, m machine) *step {
	b.t.Helper()
	steps, err := b.rehearseAll(b.t.Context(), target, m.manifests())
	if err != nil {
		b.t.Fatal(err)
	}
	return steps[len(steps)-1]
}

func TestAForeignVMThatAppearsBeforeTheWriteIsNotAdopted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m := b.machine("vm")
	s := b.rehearsed(m.creating(), m)
	b.create(foreign(m.vm, map[string]string{LabelSystem: "other"}))
	before := b.read(m.vm)
	refusedAs(t, s.write(t.Context()), domain.ForeignVM, Never)
	if b.read(m.vm).GetResourceVersion() != before.GetResourceVersion() {
		t.Error("the foreign VM was written")
	}
}

func TestAVMThatIsReplacedBeforeTheWriteIsNotTouched(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	set(m.vm.Object, int64(2), coresPath...)
	s := b.rehearsed(target, m)
	b.remove(m.vm)
	again := m.vm.DeepCopy()
	dropNullTimestamps(again.Object)
	b.create(again)
	refusedAs(t, s.write(t.Context()), domain.ForeignVM, Never, "was replaced")
}

func TestAVMThatIsDeletedBeforeTheWriteIsNotMadeAgain(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	set(m.vm.Object, int64(2), coresPath...)
	s := b.rehearsed(target, m)
	b.remove(m.vm)
	refusedAs(t, s.write(t.Context()), domain.ForeignVM, Never, "was deleted")
	if b.read(m.vm) != nil {
		t.Error("the VM was made again")
	}
}

func TestADiskPluggedInBeforeTheWriteSurvives(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	set(m.vm.Object, int64(2), coresPath...)
	s := b.rehearsed(target, m)
	b.edit("virt-api", m.vm, hotplug("late"))
	if err := s.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	live := b.read(m.vm)
	volumes, _, _ := unstructured.NestedSlice(live.Object, volumesPath...)
	cores, _, _ := unstructured.NestedInt64(live.Object, coresPath...)
	if itemNames(volumes) != "[root cloudinit late]" || cores != 2 {
		t.Errorf("volumes %s, cores %d", itemNames(volumes), cores)
	}
	if c := s.change(); !strings.Contains(strings.Join(c.Notes, "\n"), "late") {
		t.Errorf("notes %v", c.Notes)
	}
}
