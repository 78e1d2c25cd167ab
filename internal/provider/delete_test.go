package provider

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/domain"
)

func (b bench) doomed(name string, retain bool) DeleteOptions {
	return DeleteOptions{Namespace: b.ns, Name: name, RetainDisks: retain}
}

// delete deletes and expects success.
func (b bench) delete(t Target, o DeleteOptions) ChangeSet {
	b.t.Helper()
	set, err := b.Delete(b.t.Context(), t, o)
	if err != nil {
		b.t.Fatalf("delete: %v (%v)", err, cause(err))
	}
	return set
}

// claimOf is the claim that CDI makes for a disk.
func (b bench) claimOf(disk *unstructured.Unstructured) *unstructured.Unstructured {
	live := b.read(disk)
	u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
		"accessModes": []any{"ReadWriteOnce"},
		"resources":   map[string]any{"requests": map[string]any{"storage": "50Gi"}},
	}}}
	u.SetGroupVersionKind(claimKind)
	u.SetNamespace(live.GetNamespace())
	u.SetName(live.GetName())
	u.SetLabels(live.GetLabels())
	u.SetOwnerReferences([]metav1.OwnerReference{ownerOf(live)})
	return u
}

func ownerOf(live *unstructured.Unstructured) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: live.GetAPIVersion(), Kind: live.GetKind(), Name: live.GetName(), UID: live.GetUID()}
}

// ended fails unless an object is gone or going.
func (b bench) ended(like client.Object) {
	b.t.Helper()
	if live := b.read(like); live != nil && live.GetDeletionTimestamp() == nil {
		b.t.Errorf("%s %s is still there", live.GetKind(), live.GetName())
	}
}

// stays fails unless an object is there to stay, also when the VM is gone.
func (b bench) stays(like client.Object, vmUID string) {
	b.t.Helper()
	live := b.read(like)
	if live == nil || live.GetDeletionTimestamp() != nil {
		b.t.Errorf("%s is gone", like.GetName())
		return
	}
	for _, ref := range live.GetOwnerReferences() {
		if string(ref.UID) == vmUID {
			b.t.Errorf("%s %s ends with the VM", live.GetKind(), live.GetName())
		}
	}
}

func TestDeleteTakesAllThatIsTheVMs(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	claim := b.claimOf(m.disk)
	b.create(claim)
	other, _ := b.created("other")
	got := b.delete(target, b.doomed("vm", false))
	// The garbage collector may be faster with the claim.
	want := "VirtualMachine deleted, DataVolume deleted, PersistentVolumeClaim deleted, Secret deleted"
	if strings.ReplaceAll(actions(got), "Claim unchanged", "Claim deleted") != want {
		t.Errorf("%s\n%s", actions(got), notes(got))
	}
	if vm, _ := got.VM(); vm.UID != target.UID || vm.Name != "vm" || vm.Namespace != b.ns {
		t.Errorf("%+v", vm)
	}
	for _, u := range []*unstructured.Unstructured{m.vm, m.disk, claim, m.secret} {
		b.ended(u)
	}
	for _, u := range []*unstructured.Unstructured{other.vm, other.disk, other.secret} {
		b.stays(u, target.UID)
	}
	o, err := b.Observe(t.Context(), b.ns, "vm")
	if v := JudgeDeletion(o, target.UID); err != nil || v.State != StateGone {
		t.Errorf("%+v, %v", v, err)
	}
	again := b.delete(target, b.doomed("vm", false))
	if again.Changed() || !strings.Contains(notes(again), "gone already") {
		t.Errorf("deleted again: %s\n%s", actions(again), notes(again))
	}
}

func TestAVMOfOthersIsNotDeleted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	tests := []struct {
		name   string
		change func(m machine, target *Target)
		text   string
	}{
		{"other-system", func(_ machine, target *Target) {
			target.Identity = map[string]string{}
			for key, value := range testIdentity() {
				target.Identity[key] = value
			}
			target.Identity[LabelInstance] = "elsewhere"
		}, "is not this VM's"},
		{"replaced", func(_ machine, target *Target) { target.UID = "11111111-2222-3333-4444-555555555555" }, "was replaced"},
		{"unlabelled", func(m machine, _ *Target) {
			b.edit("somebody", m.vm, func(vm map[string]any) { unstructured.RemoveNestedField(vm, "metadata", "labels") })
		}, "is not this VM's"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, target := b.created(tt.name)
			tt.change(m, &target)
			done, err := b.Delete(t.Context(), target, b.doomed(tt.name, false))
			refusedAs(t, err, domain.ForeignVM, Never, tt.text)
			if len(done) != 0 {
				t.Errorf("did %v", done)
			}
			for _, u := range []*unstructured.Unstructured{m.vm, m.disk, m.secret} {
				b.stays(u, "")
			}
		})
	}
}

func TestDeleteRefusesATargetThatIsEverything(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, target := b.created("vm")
	for name, o := range map[string]DeleteOptions{"no name": {Namespace: b.ns}, "no namespace": {Name: "vm"}} {
		if _, err := b.Delete(t.Context(), target, o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	_, err := b.Delete(t.Context(), Target{}, b.doomed("vm", false))
	refusedAs(t, err, domain.PlanInvalid, Never, LabelManagedBy)
}

func TestAVMThatIsGoingCountsAsDeleted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	b.edit("kubevirt", m.vm, func(vm map[string]any) {
		set(vm, []any{"kubevirt.io/virtualMachineControllerFinalize"}, "metadata", "finalizers")
	})
	t.Cleanup(func() { b.release(m.vm) })
	if got := b.delete(target, b.doomed("vm", false)); actions(got[:1]) != "VirtualMachine deleted" {
		t.Error(actions(got))
	}
	o, err := b.Observe(t.Context(), b.ns, "vm")
	if err != nil {
		t.Fatal(err)
	}
	if v := JudgeDeletion(o, target.UID); v.State != StateDeleting || !strings.Contains(v.Message, "virtualMachineControllerFinalize") {
		t.Errorf("%+v", v)
	}
	if got := b.delete(target, b.doomed("vm", false)); got.Changed() || !strings.Contains(notes(got), "being deleted already") {
		t.Errorf("%s\n%s", actions(got), notes(got))
	}
}

// TestDeleteGoesOnAfterACrash ends the connection at every write of a deletion, before and after the
// write, and deletes again.
func TestDeleteGoesOnAfterACrash(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, retain := range []bool{false, true} {
		for writes := range 4 {
			for _, late := range []bool{false, true} {
				name := fmt.Sprintf("vm-%t-%d-%t", retain, writes, late)
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					b := b
					b.t = t
					m, target := b.created(name)
					claim := b.claimOf(m.disk)
					b.create(claim)
					b.own(m.vm, m.disk)
					_, err := b.cutting(writes, late).Delete(t.Context(), target, b.doomed(name, retain))
					if writes < 3 && err == nil {
						t.Error("a lost connection is not told")
					}
					b.delete(target, b.doomed(name, retain))
					b.ended(m.vm)
					b.ended(m.secret)
					if retain {
						b.stays(m.disk, target.UID)
						b.stays(claim, target.UID)
					} else {
						b.ended(m.disk)
						b.ended(claim)
					}
				})
			}
		}
	}
}

func TestTwoWorkersDeleteOneVM(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	errs := make([]error, 6)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { _, errs[i] = b.Delete(t.Context(), target, b.doomed("vm", false)) })
	}
	for range 20 { // KubeVirt keeps writing meanwhile
		if live := b.read(m.vm); live != nil {
			set(live.Object, fmt.Sprint(len(live.GetResourceVersion())), "metadata", "annotations", "example.com/tick")
			_ = b.admin.Update(t.Context(), live)
		}
	}
	group.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("worker %d: %v", i, err)
		}
	}
	b.ended(m.vm)
	b.ended(m.disk)
}

// TestAVMThatIsReplacedBeforeItsDeletionStays replaces the VM at the moment of the deletion, which no
// call from outside can time.
func TestAVMThatIsReplacedBeforeItsDeletionStays(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	var once sync.Once
	racing := b.front(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodDelete {
			once.Do(func() {
				b.remove(m.vm)
				again := m.vm.DeepCopy()
				dropNullTimestamps(again.Object)
				b.create(again)
			})
		}
		pass.ServeHTTP(w, r)
	})
	_, err := racing.Delete(t.Context(), target, b.doomed("vm", false))
	refusedAs(t, err, domain.ForeignVM, Never, "was replaced")
	b.stays(m.vm, "")
	b.stays(m.disk, "")
}

// TestAVMThatMovesIsDeletedAllTheSame changes the VM right before the deletion, as KubeVirt does.
func TestAVMThatMovesIsDeletedAllTheSame(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	var once sync.Once
	moving := b.front(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodDelete {
			once.Do(func() {
				b.edit("virt-controller", m.vm, func(vm map[string]any) { set(vm, "x", "metadata", "annotations", "example.com/x") })
			})
		}
		pass.ServeHTTP(w, r)
	})
	if _, err := moving.Delete(t.Context(), target, b.doomed("vm", false)); err != nil {
		t.Fatal(err)
	}
	b.ended(m.vm)
}

func TestJudgeDeletion(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		o    Observation
		want State
	}{
		{"absent", Observation{}, StateGone},
		{"another", Observation{Exists: true, UID: "b"}, StateGone},
		{"going", Observation{Exists: true, UID: "a", Deleting: true}, StateDeleting},
		{"there", Observation{Exists: true, UID: "a"}, StatePresent},
	}
	for _, tt := range tests {
		if v := JudgeDeletion(tt.o, "a"); v.State != tt.want || v.Message == "" {
			t.Errorf("%s: %+v", tt.name, v)
		}
	}
}
