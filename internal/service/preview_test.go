package service

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/kubetest"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/render"
)

// previewer asks the world's clusters over connections of its own.
func (w *world) previewer(change func(*PreviewerDeps)) *Previewer {
	w.Helper()
	d := PreviewerDeps{DB: w.db, Clusters: provider.New(w.clusters, provider.Options{}), Log: slog.New(slog.DiscardHandler), Now: w.now}
	if change != nil {
		change(&d)
	}
	return NewPreviewer(d)
}

// wanting is the request for a new VM with an index.
func (w *world) wanting(index int) render.PreviewRequest {
	ref := spec.Ref{Kind: spec.KindVirtualMachine, System: "shop", Service: "redis", Namespace: "prod-shop", Index: index}
	return render.PreviewRequest{
		Cluster: "prod-1", Ref: ref, Environment: domain.Prod, Namespace: w.ns, Operation: domain.CreateVM,
		Manifests: []render.Manifest{machine(ref, w.ns)}, EffectiveDigest: "effective-" + ref.Instance(),
	}
}

// having applies a request's manifests as a merge does, and gives the request for a change of what is there then.
func (w *world) having(index int) render.PreviewRequest {
	w.Helper()
	r := w.wanting(index)
	connection, err := w.clusters.Registry().Cluster(w.Context(), "prod-1")
	w.ok(err)
	var ms []render.Manifest
	for _, m := range r.Manifests {
		m, err = render.WithEnvelope(m, render.Envelope{Ticket: "t1", Creator: "alice", PullRequest: "https://forge.test/1", MergeCommit: "c1", EffectiveDigest: "e1", Event: "1", Sequence: 1})
		w.ok(err)
		ms = append(ms, m)
	}
	changes, err := connection.Apply(w.Context(), provider.Target{Identity: render.Labels(render.Input{Ref: r.Ref, Environment: r.Environment}), Creating: true}, provided(ms))
	w.ok(err)
	vm, _ := changes.VM()
	r.UID, r.Previous, r.Operation, r.Running = vm.UID, r.Manifests, domain.ModifyVM, true
	return r
}

// with replaces a part of a request's VM.
func with(r render.PreviewRequest, old, replacement string) render.PreviewRequest {
	m := r.Manifests[0]
	m.JSON = []byte(strings.Replace(string(m.JSON), old, replacement, 1))
	r.Manifests = []render.Manifest{m}
	return r
}

// held is what a namespace holds, each object with its resourceVersion.
func (w *world) held(namespace string) map[string]string {
	w.Helper()
	out := map[string]string{}
	for _, kind := range []schema.GroupVersionKind{
		{Version: "v1", Kind: "SecretList"}, {Version: "v1", Kind: "PersistentVolumeClaimList"},
		{Group: "cdi.kubevirt.io", Version: "v1beta1", Kind: "DataVolumeList"}, {Group: "kubevirt.io", Version: "v1", Kind: "VirtualMachineList"},
	} {
		var found unstructured.UnstructuredList
		found.SetGroupVersionKind(kind)
		w.ok(w.kube.Client().List(w.Context(), &found, client.InNamespace(namespace)))
		for _, u := range found.Items {
			out[u.GetKind()+"/"+u.GetName()] = u.GetResourceVersion()
		}
	}
	return out
}

// previewed asks, and fails when anything was written.
func (w *world) previewed(p *Previewer, requests ...render.PreviewRequest) []render.Preview {
	w.Helper()
	before := w.held(w.ns)
	out := p.Preview(w.Context(), requests)
	if diff := cmp.Diff(before, w.held(w.ns)); diff != "" {
		w.Errorf("a preview wrote:\n%s", diff)
	}
	if left := w.held(provider.PreviewNamespace); len(left) != 0 {
		w.Errorf("left behind: %v", left)
	}
	for i, got := range out {
		if got.Cluster != requests[i].Cluster || got.For != requests[i].EffectiveDigest || got.At.IsZero() {
			w.Errorf("preview %d is %s on %s at %s", i, got.For, got.Cluster, got.At)
		}
	}
	return out
}

// outline is a preview in a line.
func outline(p render.Preview) string {
	switch {
	case p.Unanswered != "":
		return "unanswered: " + p.Unanswered
	case p.Refused != nil:
		return "refused: " + string(p.Refused.Code) + " " + p.Refused.Message
	}
	var parts []string
	for _, o := range p.Objects {
		text := o.Kind + " " + o.Action
		for _, f := range o.Fields {
			text += fmt.Sprintf(" %s %q->%q (%s)", f.Path, f.From, f.To, f.Impact)
		}
		parts = append(parts, text)
	}
	return strings.Join(append(parts, "impact "+string(p.Impact)), ", ")
}

func TestPreviewsSayWhatTheClusterSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	deleted := func(r render.PreviewRequest, policy spec.DeletionPolicy) render.PreviewRequest {
		r.Operation, r.Manifests, r.DeletionPolicy = domain.DeleteVM, nil, policy
		return r
	}
	power := func(r render.PreviewRequest, op domain.Operation) render.PreviewRequest {
		r = with(r, "Always", "Halted")
		r.Operation = op
		return r
	}
	foreign := w.wanting(4)
	w.foreign(foreign.Ref, nil)
	replaced := w.having(5)
	replaced.UID = "11111111-2222-3333-4444-555555555555"
	elsewhere := w.wanting(9)
	elsewhere.Namespace = w.ns + "-new"
	elsewhere.Manifests = []render.Manifest{machine(elsewhere.Ref, elsewhere.Namespace)}
	unknown := w.wanting(13)
	unknown.Cluster = "prod-9"
	never := deleted(foreign, spec.DeleteDisks)
	restart := w.having(14)
	restart.Operation = domain.RestartVM
	tests := []struct {
		name    string
		request render.PreviewRequest
		want    string // outline begins so
		note    string
	}{
		{"creation", w.wanting(1), "VirtualMachine created, impact ", ""},
		{"no difference but the envelope", w.having(2), "VirtualMachine unchanged, impact no-op", ""},
		{"modification", with(w.having(3), "1Gi", "2Gi"), `VirtualMachine configured spec.template.spec.domain.memory.guest "1Gi"->"2Gi" (`, ""},
		{"somebody else's", foreign, "refused: FOREIGN_VM VirtualMachine " + w.ns + "/" + foreign.Ref.VMName() + " exists", ""},
		{"replaced", replaced, "refused: FOREIGN_VM", ""},
		{"not a quantity", with(w.wanting(6), "1Gi", "1Gb"), "refused: CLUSTER_REFUSED", ""},
		{"not in the schema", with(w.wanting(7), `"memory":`, `"memroy":`), "refused: CLUSTER_REFUSED", ""},
		{"in a new namespace", elsewhere, "Namespace created, VirtualMachine created, impact ", "does not exist yet and is made first"},
		{"stop", power(w.having(10), domain.StopVM), `VirtualMachine configured spec.runStrategy "Always"->"Halted"`, ""},
		{"power that nobody asked for", func() render.PreviewRequest {
			r := power(w.having(11), domain.ModifyVM)
			r.Previous = r.Manifests
			return r
		}(), "VirtualMachine unchanged", "power drift"},
		{"deletion", deleted(w.having(12), spec.DeleteDisks), "VirtualMachine deleted, impact ", ""},
		{"deletion of what was never applied", never, "impact ", "nothing is deleted"},
		{"restart of what does not run", restart, "VirtualMachine unchanged, impact no-op", "does not run"},
		{"a cluster that is not there", unknown, "unanswered: cluster prod-9 is not registered", ""},
	}
	var requests []render.PreviewRequest
	for _, tt := range tests {
		requests = append(requests, tt.request)
	}
	for i, got := range w.previewed(w.previewer(nil), requests...) {
		if text := outline(got); !strings.HasPrefix(text, tests[i].want) {
			t.Errorf("%s: %s\nwant %s", tests[i].name, text, tests[i].want)
		}
		if notes := strings.Join(got.Notes, "\n"); !strings.Contains(notes, tests[i].note) || tests[i].note == "" && notes != "" {
			t.Errorf("%s: notes %q", tests[i].name, notes)
		}
	}
}

func TestPreviewOfDisksThatGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	r := w.wanting(1)
	r.Manifests = w.pair(r.Ref, "50Gi")
	connection, err := w.clusters.Registry().Cluster(t.Context(), "prod-1")
	w.ok(err)
	target, err := targetOf(r)
	w.ok(err)
	changes, err := connection.Apply(t.Context(), target, provided(r.Manifests))
	w.ok(err)
	vm, _ := changes.VM()
	r.UID, r.Operation, r.Manifests = vm.UID, domain.DeleteVM, nil
	kept := r
	r.DeletionPolicy, kept.DeletionPolicy = spec.DeleteDisks, spec.RetainDisks
	got := w.previewed(w.previewer(nil), r, kept)
	if text := outline(got[0]); text != "VirtualMachine deleted, DataVolume deleted, impact destroys disk" {
		t.Error(text)
	}
	if text := outline(got[1]); text != "DataVolume unchanged, VirtualMachine deleted, impact " || !strings.Contains(strings.Join(got[1].Notes, "\n"), "kept: it is retained") {
		t.Error(text, got[1].Notes)
	}
}

// What the cluster says of the VM as it is counts more than what was known of it.
func TestImpactGoesByTheVMAsItIs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	r := w.having(1)
	key := client.ObjectKey{Namespace: w.ns, Name: r.Ref.VMName()}
	changed := with(r, `"devices":{}`, `"devices":{"rng":{}}`)
	report := func(state kubevirtv1.VirtualMachinePrintableStatus, further ...kubevirtv1.VirtualMachineCondition) render.Impact {
		w.ok(kubetest.SetVMStatus(t.Context(), w.kube.Client(), key, state, further...))
		return w.previewed(w.previewer(nil), changed)[0].Impact
	}
	if got := report(kubevirtv1.VirtualMachineStatusRunning); got != render.ImpactRestart {
		t.Errorf("of a VM that runs: %q", got)
	}
	if got := report(kubevirtv1.VirtualMachineStatusStopped); got != render.ImpactNone {
		t.Errorf("of a VM that was said to run and is stopped: %q", got)
	}
	changed = with(r, "1Gi", "2Gi")
	fixed := condition(kubevirtv1.VirtualMachineConditionType(kubevirtv1.VirtualMachineInstanceIsMigratable), "a disk of the node")
	fixed.Status = corev1.ConditionFalse
	for name, c := range map[string]struct {
		further []kubevirtv1.VirtualMachineCondition
		want    render.Impact
	}{
		"more memory":                              {nil, render.ImpactMigrates},
		"more memory, and it cannot be migrated":   {[]kubevirtv1.VirtualMachineCondition{fixed}, render.ImpactRestart},
		"more memory, and a restart is waited for": {[]kubevirtv1.VirtualMachineCondition{condition(kubevirtv1.VirtualMachineRestartRequired, "cpu")}, render.ImpactRestart},
	} {
		if got := report(kubevirtv1.VirtualMachineStatusRunning, c.further...); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestPreviewWithoutPermission(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	may := func(group, resource string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
	}
	w.kubeconfig = w.kube.Restricted(t, may("", "namespaces", "get"), may("kubevirt.io", "virtualmachines", "get"))
	w.add("prod-1")
	got := w.previewed(w.previewer(nil), w.wanting(1))[0]
	if text := outline(got); !strings.HasPrefix(text, "refused: NAMESPACE_PERMISSION_DENIED Shepherd may not apply VirtualMachine") {
		t.Fatal(text)
	}
	if !strings.HasPrefix(got.Refused.Hint, "kubectl create role ") {
		t.Errorf("hint %q", got.Refused.Hint)
	}
}

func TestPreviewInANamespaceThatGoes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	hold := w.foreign(w.wanting(99).Ref, nil)
	finalizers := func(value string) error {
		patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":`+value+`}}`))
		return w.kube.Client().Patch(context.WithoutCancel(t.Context()), hold, patch)
	}
	w.ok(finalizers(`["example.com/hold"]`))
	t.Cleanup(func() {
		if err := finalizers("null"); client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
	})
	ns := &unstructured.Unstructured{}
	ns.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Namespace"})
	ns.SetName(w.ns)
	w.ok(w.kube.Client().Delete(t.Context(), ns))
	got := outline(w.previewer(nil).Preview(t.Context(), []render.PreviewRequest{w.wanting(1)})[0])
	if got != "unanswered: cluster prod-1 gives no answer to this: namespace "+w.ns+" is being deleted" {
		t.Error(got)
	}
}

// A Secret's field is named; what is in it is not, neither before nor after.
func TestPreviewsKeepSecrets(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	r := w.having(1)
	text := func(password string) render.PreviewRequest {
		out := r
		var head struct {
			Metadata struct{ Labels json.RawMessage }
		}
		w.ok(json.Unmarshal(r.Manifests[0].JSON, &head))
		out.Manifests = append(slices.Clone(r.Manifests), render.Manifest{
			APIVersion: "v1", Kind: render.KindSecret, Namespace: w.ns, Name: "vm-cloudinit",
			JSON: fmt.Appendf(nil, `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"vm-cloudinit","namespace":%q,"labels":%s},"stringData":{"userdata":%q}}`,
				w.ns, head.Metadata.Labels, password),
		})
		return out
	}
	connection, err := provider.New(w.clusters, provider.Options{}).Cluster(t.Context(), "prod-1")
	w.ok(err)
	before := text("hunter2hunter2")
	target, err := targetOf(before)
	w.ok(err)
	_, err = connection.Apply(t.Context(), target, provided(before.Manifests))
	w.ok(err)
	got := w.previewed(w.previewer(nil), text("hunter3hunter3"))[0]
	if text := outline(got); text != `Secret configured data.userdata ""->"" (ignored by KubeVirt), VirtualMachine unchanged, impact ignored by KubeVirt` {
		t.Error(text)
	}
	data, err := json.Marshal(got)
	w.ok(err)
	for _, password := range []string{"hunter", base64.StdEncoding.EncodeToString([]byte("hunter"))} {
		if strings.Contains(string(data), password) {
			t.Errorf("it shows the password: %s", data)
		}
	}
}
