package service

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	instancetypev1beta1 "kubevirt.io/api/instancetype/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/kubetest"
	"kv-shepherd.io/shepherd/internal/render"
)

const ofNamespace = "VirtualMachineInstancetype"

// typed gives a request's VM an instance type instead of its memory, and what its size says of that.
func typed(r render.PreviewRequest, kind, name string, cores int, memory string) render.PreviewRequest {
	r = with(r, `"memory":{"guest":"1Gi"}`, `"cpu":{}`)
	it := spec.Instancetype{Name: name, Kind: kind}
	r = with(r, `"runStrategy"`, `"instancetype":{"name":"`+name+`","kind":"`+it.EffectiveKind()+`"},"runStrategy"`)
	r.Promise = render.PromiseOf("shop-size", &spec.InstanceSize{Cores: cores, Memory: memory, Instancetype: &it})
	return r
}

// alone gives the world an API server of its own, for what all tests would see on the one that they share.
func (w *world) alone() *world {
	w.Helper()
	kube, err := kubetest.Start(w.Context(), kubetest.Options{})
	w.ok(err)
	w.Cleanup(func() { _ = kube.Stop() })
	w.kube, w.kubeconfig, w.ns = kube, kube.Kubeconfig(), kube.Namespace(w.T)
	return w
}

// instancetypes makes an instance type with a core and 4Gi for the whole cluster, and one with two and 8Gi in the
// world's namespace alone.
func (w *world) instancetypes() (wide, own string) {
	w.Helper()
	has := func(cores uint32, memory string) instancetypev1beta1.VirtualMachineInstancetypeSpec {
		return instancetypev1beta1.VirtualMachineInstancetypeSpec{
			CPU: instancetypev1beta1.CPUInstancetype{Guest: cores}, Memory: instancetypev1beta1.MemoryInstancetype{Guest: resource.MustParse(memory)},
		}
	}
	wide, own = w.ns+".wide", w.ns+".own"
	for _, o := range []client.Object{
		&instancetypev1beta1.VirtualMachineClusterInstancetype{ObjectMeta: metav1.ObjectMeta{Name: wide}, Spec: has(1, "4Gi")},
		&instancetypev1beta1.VirtualMachineInstancetype{ObjectMeta: metav1.ObjectMeta{Name: own, Namespace: w.ns}, Spec: has(2, "8Gi")},
	} {
		w.ok(w.kube.Client().Create(w.Context(), o))
	}
	return wide, own
}

func TestPreviewComparesInstancetypes(t *testing.T) {
	t.Parallel()
	w := newWorld(t).alone()
	w.add("prod-1")
	wide, own := w.instancetypes()
	none := w.ns + ".none"
	trial := func(index int, kind, name string, cores int, memory string) render.PreviewRequest {
		r := w.wanting(index)
		r.Namespace, r.Manifests = render.PreviewNamespace, []render.Manifest{machine(r.Ref, render.PreviewNamespace)}
		return typed(r, kind, name, cores, memory)
	}
	elsewhere := w.wanting(9)
	elsewhere.Namespace = w.ns + "-new"
	elsewhere.Manifests = []render.Manifest{machine(elsewhere.Ref, elsewhere.Namespace)}
	kept := w.having(10)
	kept = typed(kept, "", none, 1, "4Gi")
	kept.Previous = kept.Manifests
	tests := []struct {
		name    string
		request render.PreviewRequest
		want    string // outline begins so
		note    string
	}{
		{"as the size says", typed(w.wanting(1), "", wide, 1, "4Gi"), "VirtualMachine created", ""},
		{"as the size says in another unit", typed(w.wanting(2), "", wide, 1, "4096Mi"), "VirtualMachine created", ""},
		{"other cores", typed(w.wanting(3), "", wide, 2, "4Gi"), "VirtualMachine created",
			"size shop-size says 2 cores and 4Gi, instance type " + wide + " of cluster prod-1 has 1 core and 4Gi: limits count what the size says"},
		{"other memory", typed(w.wanting(4), "", wide, 1, "2Gi"), "VirtualMachine created", "says 1 core and 2Gi"},
		{"not there", typed(w.wanting(5), "", none, 1, "4Gi"),
			"refused: CLUSTER_REFUSED cluster prod-1 has no instance type " + none + ", which size shop-size names: the VM would never start", ""},
		{"the namespace's", typed(w.wanting(6), ofNamespace, own, 2, "8Gi"), "VirtualMachine created", ""},
		{"the namespace's otherwise", typed(w.wanting(7), ofNamespace, own, 1, "8Gi"), "VirtualMachine created", "of namespace " + w.ns + " of cluster prod-1 has 2 cores and 8Gi"},
		{"the cluster's, looked for in the namespace", typed(w.wanting(8), ofNamespace, wide, 1, "4Gi"), "refused: CLUSTER_REFUSED namespace " + w.ns, ""},
		{"in a namespace that is made first", typed(elsewhere, ofNamespace, own, 2, "8Gi"), "refused: CLUSTER_REFUSED namespace " + w.ns + "-new", ""},
		{"a machine that has had it", kept, "VirtualMachine configured", ""},
		{"a machine that gets another", typed(w.having(11), "", none, 1, "4Gi"), "refused: CLUSTER_REFUSED", ""},
		{"a trial of the size", trial(12, "", wide, 1, "4Gi"), "VirtualMachine created", ""},
		{"a trial of a size that says otherwise", trial(13, "", wide, 2, "4Gi"),
			"refused: PLAN_INVALID size shop-size says 2 cores and 4Gi, instance type " + wide + " of cluster prod-1 has 1 core and 4Gi: limits would count wrongly", ""},
		{"a trial of what is not there", trial(14, "", none, 1, "4Gi"), "refused: CLUSTER_REFUSED", ""},
		{"a trial of a namespace's", trial(15, ofNamespace, own, 1, "1Gi"), "VirtualMachine created", "is each namespace's own"},
	}
	var requests []render.PreviewRequest
	for _, tt := range tests {
		requests = append(requests, tt.request)
	}
	for i, got := range w.previewed(w.previewer(nil), requests...) {
		if text := outline(got); !strings.HasPrefix(text, tests[i].want) {
			t.Errorf("%s: %s\nwant %s", tests[i].name, text, tests[i].want)
		}
		if notes := strings.Join(got.Notes, "\n"); !strings.Contains(notes, tests[i].note) || tests[i].note == "" && strings.Contains(notes, "instance type") {
			t.Errorf("%s: notes %q", tests[i].name, notes)
		}
		if got.Refused != nil && got.Refused.Hint == "" {
			t.Errorf("%s: nobody is told what to do", tests[i].name)
		}
	}
}

// An instance type that may not be read stops nothing, and is said to be unknown.
func TestPreviewOfAnInstancetypeThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t).alone()
	wide, _ := w.instancetypes()
	all := func(group, plural string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{plural}, Verbs: []string{"get", "list", "create", "patch", "delete"}}
	}
	w.kubeconfig = w.kube.Restricted(t, all(corev1.GroupName, "namespaces"), all("kubevirt.io", "virtualmachines"))
	w.add("prod-1")
	r := typed(w.wanting(1), "", wide, 2, "4Gi")
	got := w.previewed(w.previewer(nil), r)[0]
	want := "cluster prod-1 does not let instance type " + wide + " be read: whether it is what size shop-size says is not known"
	if got.Refused != nil || got.Unanswered != "" || strings.Join(got.Notes, "\n") != want {
		t.Errorf("%s, notes %q", outline(got), got.Notes)
	}
}
