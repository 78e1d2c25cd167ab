package provider

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/domain"
)

// foreign is the object with the labels of another VM, or with none.
func foreign(u *unstructured.Unstructured, labels map[string]string) *unstructured.Unstructured {
	other := u.DeepCopy()
	dropNullTimestamps(other.Object)
	all := u.GetLabels()
	for key, value := range labels {
		all[key] = value
	}
	if labels == nil {
		all = nil
	}
	other.SetLabels(all)
	return other
}

func TestForeignObjectsAreNotTouched(t *testing.T) {
	t.Parallel()
	b := setup(t)
	claim := func(m machine) *unstructured.Unstructured {
		u := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
			"accessModes": []any{"ReadWriteOnce"},
			"resources":   map[string]any{"requests": map[string]any{"storage": "1Gi"}},
		}}}
		u.SetGroupVersionKind(claimKind)
		u.SetNamespace(m.disk.GetNamespace())
		u.SetName(m.disk.GetName())
		return u
	}
	tests := []struct {
		name   string
		exists func(m machine) *unstructured.Unstructured
		code   domain.Code
	}{
		{"vm-nobodys", func(m machine) *unstructured.Unstructured { return foreign(m.vm, nil) }, domain.ForeignVM},
		{"vm-other-service", func(m machine) *unstructured.Unstructured {
			return foreign(m.vm, map[string]string{LabelService: "mysql"})
		}, domain.ForeignVM},
		{"vm-other-environment", func(m machine) *unstructured.Unstructured {
			return foreign(m.vm, map[string]string{LabelEnvironment: "prod"})
		}, domain.ForeignVM},
		{"disk-nobodys", func(m machine) *unstructured.Unstructured { return foreign(m.disk, nil) }, domain.ForeignDisk},
		{"disk-of-another", func(m machine) *unstructured.Unstructured {
			return foreign(m.disk, map[string]string{LabelInstance: "99"})
		}, domain.ForeignDisk},
		{"claim-nobodys", claim, domain.ForeignDisk},
		{"secret-nobodys", func(m machine) *unstructured.Unstructured { return foreign(m.secret, nil) }, domain.ForeignVM},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := b.machine(tt.name)
			other := tt.exists(m)
			b.create(other)
			before := b.read(other)
			for name, run := range map[string]func() (ChangeSet, error){
				"apply":   func() (ChangeSet, error) { return b.Apply(t.Context(), m.creating(), m.manifests()) },
				"preview": func() (ChangeSet, error) { return b.Preview(t.Context(), m.creating(), m.manifests()) },
			} {
				done, err := run()
				e := refusedAs(t, err, tt.code, Never, other.GetKind()+" "+b.ns+"/"+other.GetName())
				if len(done) != 0 || e.Problem.Hint == "" {
					t.Errorf("%s: did %v, hint %q", name, done, e.Problem.Hint)
				}
			}
			if after := b.read(other); after.GetResourceVersion() != before.GetResourceVersion() {
				t.Error("the foreign object was written")
			}
			for _, u := range []*unstructured.Unstructured{m.secret, m.disk, m.vm} {
				if u.GetKind() != other.GetKind() && b.read(u) != nil {
					t.Errorf("%s was made beside the foreign %s", u.GetKind(), other.GetKind())
				}
			}
		})
	}
}

func TestAReplacedVMIsNoticed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	b.remove(m.vm)

	_, err := b.Apply(t.Context(), target, m.manifests())
	refusedAs(t, err, domain.ForeignVM, Never, "was deleted behind Shepherd", target.UID)
	_, err = b.Preview(t.Context(), target, m.manifests())
	refusedAs(t, err, domain.ForeignVM, Never)
	if b.read(m.vm) != nil {
		t.Fatal("the VM was created anew")
	}

	again := m.vm.DeepCopy()
	dropNullTimestamps(again.Object)
	b.create(again) // with the right labels, and another uid
	before := b.read(m.vm)
	_, err = b.Apply(t.Context(), target, m.manifests())
	refusedAs(t, err, domain.ForeignVM, Never, "was replaced", target.UID, string(before.GetUID()))
	if b.read(m.vm).GetResourceVersion() != before.GetResourceVersion() {
		t.Error("the replacement was written")
	}
}

func TestAVMThatIsBeingDeletedIsWaitedFor(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	b.edit("kubevirt", m.vm, func(vm map[string]any) {
		set(vm, []any{"example.com/hold"}, "metadata", "finalizers")
	})
	b.remove(m.vm)
	t.Cleanup(func() { b.release(m.vm) })
	_, err := b.Apply(t.Context(), target, m.manifests())
	if e := refusedAs(t, err, domain.ClusterRefused, Later, "is being deleted"); e.RetryAfter <= 0 {
		t.Error("no time to wait")
	}
}

func TestADiskDoesNotShrink(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	size := []string{"spec", "storage", "resources", "requests", "storage"}
	set(m.disk.Object, "49Gi", size...)
	_, err := b.Apply(t.Context(), target, m.manifests())
	refusedAs(t, err, domain.DiskShrink, Never, "50Gi", "49Gi")
	set(m.disk.Object, "51200Mi", size...) // the same, said otherwise
	if _, err := b.Apply(t.Context(), target, m.manifests()); err != nil {
		t.Error(err)
	}
}

func (b bench) remove(like client.Object) {
	b.t.Helper()
	if err := b.admin.Delete(b.t.Context(), b.read(like)); err != nil {
		b.t.Fatal(err)
	}
}
