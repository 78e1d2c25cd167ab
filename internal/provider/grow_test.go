package provider

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kv-shepherd.io/shepherd/internal/domain"
)

var dataVolumeRule = admissionv1.Rule{
	APIGroups: []string{"cdi.kubevirt.io"}, APIVersions: []string{"v1beta1"}, Resources: []string{"datavolumes"},
}

// storageClass makes a class and returns its name.
func (b bench) storageClass(expands bool) string {
	b.t.Helper()
	class := &storagev1.StorageClass{
		ObjectMeta:  metav1.ObjectMeta{Name: fmt.Sprintf("%s-%t", b.ns, expands)},
		Provisioner: "example.com/disks", AllowVolumeExpansion: &expands,
	}
	b.create(class)
	b.t.Cleanup(func() { b.discard(class) })
	return class.Name
}

// immutableDisks has the API server refuse what CDI's webhook refuses.
func (b bench) immutableDisks() {
	b.t.Helper()
	b.policy("cdi", `object.metadata.namespace == "`+b.ns+`" && oldObject != null && object.spec != oldObject.spec`,
		"Cannot update DataVolume Spec", admissionv1.Deny, dataVolumeRule)
	probe := b.machine("probe")
	b.create(probe.disk)
	tries := 0
	eventually(b.t, func() error {
		tries++
		live := b.read(probe.disk)
		set(live.Object, fmt.Sprintf("%dGi", tries), sizePaths[0]...)
		if err := b.admin.Update(b.t.Context(), live); err == nil {
			return errors.New("the policy is not in force yet")
		}
		return nil
	})
}

// bound makes the claim of a disk, as CDI and the cluster's storage do.
func (b bench) bound(disk *unstructured.Unstructured, class, size string) *unstructured.Unstructured {
	b.t.Helper()
	claim := b.claimOf(disk)
	set(claim.Object, class, "spec", "storageClassName")
	set(claim.Object, size, claimSize...)
	b.create(claim)
	b.phase(claim, corev1.ClaimBound)
	return claim
}

func (b bench) phase(claim *unstructured.Unstructured, phase corev1.PersistentVolumeClaimPhase) {
	b.t.Helper()
	live := b.read(claim)
	set(live.Object, string(phase), "status", "phase")
	if err := b.admin.Status().Update(b.t.Context(), live); err != nil {
		b.t.Fatal(err)
	}
}

func (b bench) sizes(m machine) string {
	b.t.Helper()
	claim := &unstructured.Unstructured{}
	claim.SetGroupVersionKind(claimKind)
	claim.SetNamespace(b.ns)
	claim.SetName(m.disk.GetName())
	asked, _, _ := unstructured.NestedString(b.read(claim).Object, claimSize...)
	spec, _ := diskSize(b.read(m.disk))
	return spec.String() + " " + asked
}

func (m machine) size(text string) { set(m.disk.Object, text, sizePaths[0]...) }

func TestADiskGrowsByItsClaim(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.immutableDisks()
	class := b.storageClass(true)
	m, target := b.created("vm")
	claim := b.bound(m.disk, class, "50Gi")

	m.size("120Gi")
	var preview ChangeSet
	eventually(t, func() (err error) { // the API server has to hear of the storage class
		preview, err = b.Preview(t.Context(), target, m.manifests())
		return err
	})
	want := "Secret unchanged, DataVolume configured, PersistentVolumeClaim configured, VirtualMachine unchanged"
	if actions(preview) != want || !strings.Contains(notes(preview), "the disk grows from 50Gi to 120Gi") ||
		!strings.Contains(strings.Join(preview[2].Fields, " "), strings.Join(claimSize, ".")) || b.sizes(m) != "50Gi 50Gi" {
		t.Fatalf("%s\n%s\n%v; sizes %s", actions(preview), notes(preview), preview[2], b.sizes(m))
	}
	got := b.apply(target, m)
	if actions(got) != want || b.sizes(m) != "50Gi 120Gi" || strings.Contains(notes(got), "took over") {
		t.Fatalf("%s, sizes %s\n%s", actions(got), b.sizes(m), notes(got))
	}
	before := b.read(claim)
	if again := b.apply(target, m); again.Changed() || len(again) != 3 {
		t.Errorf("applied again: %s", actions(again))
	}
	for _, smaller := range []string{"119Gi", "50Gi", "49Gi"} {
		m.size(smaller)
		_, err := b.Apply(t.Context(), target, m.manifests())
		refusedAs(t, err, domain.DiskShrink, Never, "120Gi", smaller)
	}
	if b.read(claim).GetResourceVersion() != before.GetResourceVersion() {
		t.Error("the claim was written")
	}
	m.size("200Gi")
	if b.apply(target, m); b.sizes(m) != "50Gi 200Gi" {
		t.Errorf("sizes %s", b.sizes(m))
	}
	if labels := b.read(claim).GetLabels(); len(labels) != len(m.disk.GetLabels()) {
		t.Errorf("labels are %v", labels)
	}
}

// TestAGrownClaimKeepsItsOverhead: a filesystem takes a part of its claim, which CDI has added.
func TestAGrownClaimKeepsItsOverhead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	class := b.storageClass(true)
	tests := []struct {
		name, is string
		change   func(claim *unstructured.Unstructured)
		want     string
	}{
		{"filesystem", "55Gi", nil, "50Gi 110Gi"},
		{"block", "51Gi", func(u *unstructured.Unstructured) { set(u.Object, "Block", "spec", "volumeMode") }, "50Gi 100Gi"},
		{"grown-by-hand", "80Gi", nil, "50Gi 108937Mi"},
		{"grown-further-by-hand", "300Gi", nil, "50Gi 300Gi"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := b
			b.t = t
			m, target := b.created(tt.name)
			claim := b.claimOf(m.disk)
			set(claim.Object, class, "spec", "storageClassName")
			set(claim.Object, tt.is, claimSize...)
			if tt.change != nil {
				tt.change(claim)
			}
			b.create(claim)
			b.phase(claim, corev1.ClaimBound)
			m.size("100Gi")
			eventually(t, func() error { _, err := b.Apply(t.Context(), target, m.manifests()); return err })
			if got := b.sizes(m); got != tt.want {
				t.Errorf("sizes %s, want %s", got, tt.want)
			}
			if again := b.apply(target, m); again.Changed() {
				t.Errorf("applied again: %s", actions(again))
			}
		})
	}
}

func TestDisksThatCannotGrow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	rigidClass, elastic := b.storageClass(false), b.storageClass(true)
	tests := []struct {
		name    string
		prepare func(m machine)
		code    domain.Code
		class   Class
		text    string
	}{
		{"rigid", func(m machine) { b.bound(m.disk, rigidClass, "50Gi") }, domain.ClusterRefused, Never, "its storage class " + rigidClass},
		{"no-class", func(m machine) { b.bound(m.disk, "", "50Gi") }, domain.ClusterRefused, Never, "no storage class"},
		{"no-claim", func(machine) {}, domain.ClusterRefused, Later, "it is not there yet"},
		{"unbound", func(m machine) { b.phase(b.bound(m.disk, elastic, "50Gi"), corev1.ClaimPending) }, domain.ClusterRefused, Later, "not bound yet"},
		{"foreign", func(m machine) {
			claim := b.bound(m.disk, elastic, "50Gi")
			live := b.read(claim)
			live.SetLabels(nil)
			live.SetOwnerReferences(nil)
			if err := b.admin.Update(t.Context(), live); err != nil {
				t.Fatal(err)
			}
		}, domain.ForeignDisk, Never, "is not this VM's"},
		{"going", func(m machine) {
			claim := b.bound(m.disk, elastic, "50Gi")
			b.remove(claim) // its protection keeps it
		}, domain.ClusterRefused, Later, "is being deleted"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m, target := b.created(tt.name)
			tt.prepare(m)
			before := b.read(m.disk).GetResourceVersion()
			m.size("60Gi")
			for name, run := range map[string]func() (ChangeSet, error){
				"apply":   func() (ChangeSet, error) { return b.Apply(t.Context(), target, m.manifests()) },
				"preview": func() (ChangeSet, error) { return b.Preview(t.Context(), target, m.manifests()) },
			} {
				done, err := run()
				e := refusedAs(t, err, tt.code, tt.class, tt.text)
				if len(done) != 0 || (tt.class == Later) != (e.RetryAfter > 0) {
					t.Errorf("%s: did %v, waits %s", name, done, e.RetryAfter)
				}
				if tt.class == Never && e.Problem.Hint == "" {
					t.Errorf("%s: no way out", name)
				}
			}
			if b.read(m.disk).GetResourceVersion() != before {
				t.Error("the disk was written")
			}
		})
	}
}

// TestTheAPIServerRefusesWhereTheClassMayNotBeRead: its own check says what could not be looked up.
func TestTheAPIServerRefusesWhereTheClassMayNotBeRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	b.bound(m.disk, b.storageClass(false), "50Gi")
	m.size("60Gi")
	rules := []string{"get", "create", "patch"}
	limited := b.as(may("", "secrets", rules...), may("", "persistentvolumeclaims", "get", "patch"),
		may("cdi.kubevirt.io", "datavolumes", rules...), may("kubevirt.io", "virtualmachines", rules...))
	_, err := limited.Apply(t.Context(), target, m.manifests())
	e := refusedAs(t, err, domain.ClusterRefused, Never, "cannot grow", "does not allow it")
	if !strings.Contains(e.Problem.Hint, "allowVolumeExpansion") {
		t.Error(e.Problem.Hint)
	}
}

func TestGrowingWithoutPermissionForClaims(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	b.bound(m.disk, b.storageClass(true), "50Gi")
	m.size("60Gi")
	rules := []string{"get", "create", "patch"}
	limited := b.as(may("", "secrets", rules...), may("", "persistentvolumeclaims", "get"),
		may("cdi.kubevirt.io", "datavolumes", rules...), may("kubevirt.io", "virtualmachines", rules...))
	_, err := limited.Apply(t.Context(), target, m.manifests())
	refusedAs(t, err, domain.NamespacePermissionDenied, Never, "--resource=persistentvolumeclaims", "--verb=get,list,patch,delete")
}

// TestADiskGrowsOnAfterACrash loses the connection at every write of a growth, before and after it.
func TestADiskGrowsOnAfterACrash(t *testing.T) {
	t.Parallel()
	b := setup(t)
	class := b.storageClass(true)
	for writes := range 6 {
		for _, late := range []bool{false, true} {
			name := fmt.Sprintf("vm-%d-%t", writes, late)
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				b := b
				b.t = t
				m, target := b.created(name)
				b.bound(m.disk, class, "53Gi")
				set(m.vm.Object, int64(2), coresPath...)
				m.size("100Gi")
				_, err := b.cutting(writes, late).Apply(t.Context(), target, m.manifests())
				if err == nil && writes < 6 {
					t.Error("a lost connection is not told")
				}
				eventually(t, func() error { _, err := b.Apply(t.Context(), target, m.manifests()); return err })
				if got := b.sizes(m); got != "50Gi 106Gi" {
					t.Errorf("sizes %s", got)
				}
				if again := b.apply(target, m); again.Changed() {
					t.Error(actions(again))
				}
			})
		}
	}
}

func TestTwoWorkersGrowOneDisk(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	b.bound(m.disk, b.storageClass(true), "53Gi")
	m.size("100Gi")
	eventually(t, func() error { _, err := b.Preview(t.Context(), target, m.manifests()); return err })
	errs := make([]error, 6)
	var group sync.WaitGroup
	for i := range errs {
		group.Go(func() { _, errs[i] = b.Apply(t.Context(), target, m.manifests()) })
	}
	group.Wait()
	for i, err := range errs {
		if err != nil {
			t.Errorf("worker %d: %v", i, err)
		}
	}
	if got := b.sizes(m); got != "50Gi 106Gi" {
		t.Errorf("sizes %s", got)
	}
}

// TestAClaimThatGrewMeanwhileDoesNotShrink grows the claim by hand right before it is written.
func TestAClaimThatGrewMeanwhileDoesNotShrink(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	claim := b.bound(m.disk, b.storageClass(true), "50Gi")
	m.size("60Gi")
	eventually(t, func() error { _, err := b.Preview(t.Context(), target, m.manifests()); return err })
	var once sync.Once
	racing := b.front(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodPatch && strings.Contains(r.URL.Path, "persistentvolumeclaims") && r.URL.Query().Get("dryRun") == "" {
			once.Do(func() {
				b.edit("kubectl-edit", claim, func(object map[string]any) { set(object, "500Gi", claimSize...) })
			})
		}
		pass.ServeHTTP(w, r)
	})
	if _, err := racing.Apply(t.Context(), target, m.manifests()); err != nil {
		t.Fatal(err)
	}
	if got := b.sizes(m); got != "50Gi 500Gi" {
		t.Errorf("sizes %s", got)
	}
}
