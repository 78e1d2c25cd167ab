package provider

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/domain"
)

// everything is what a namespace holds of the kinds that previews are about, each with its resourceVersion.
func (b bench) everything(namespace string) map[string]string {
	b.t.Helper()
	out := map[string]string{}
	for _, kind := range []schema.GroupVersionKind{secretKind, claimKind, dataVolumeKind, vmKind} {
		var found unstructured.UnstructuredList
		found.SetGroupVersionKind(kind)
		if err := b.admin.List(b.t.Context(), &found, client.InNamespace(namespace)); err != nil {
			b.t.Fatal(err)
		}
		for _, u := range found.Items {
			out[kind.Kind+"/"+u.GetName()] = u.GetResourceVersion()
		}
	}
	return out
}

// unwritten fails when what a namespace holds changes until the test ends.
func (b bench) unwritten(namespace string) (check func()) {
	b.t.Helper()
	before := b.everything(namespace)
	return func() {
		b.t.Helper()
		if diff := cmp.Diff(before, b.everything(namespace)); diff != "" {
			b.t.Errorf("a preview wrote into %s:\n%s", namespace, diff)
		}
	}
}

// preview previews and expects success, and that nothing was written.
func (b bench) preview(t Target, m machine) ChangeSet {
	b.t.Helper()
	defer b.unwritten(b.ns)()
	set, err := b.Preview(b.t.Context(), t, m.manifests())
	if err != nil {
		b.t.Fatalf("preview: %v (%v)", err, cause(err))
	}
	return set
}

func TestPreviewHasTheValues(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	set(m.vm.Object, int64(4), coresPath...)
	unstructured.RemoveNestedField(m.vm.Object, "spec", "template", "spec", "domain", "cpu", "sockets")
	set(m.vm.Object, "kept", "metadata", "annotations", "example.com/a.b")
	set(m.secret.Object, "#cloud-config\nhostname: other", "stringData", "userdata")
	got := b.preview(target, m)
	if actions(got) != "Secret configured, DataVolume unchanged, VirtualMachine configured" {
		t.Fatal(actions(got))
	}
	cpu := coresPath[:5]
	want := []FieldDiff{
		{[]string{"metadata", "annotations"}, nil, map[string]any{"example.com/a.b": "kept"}},
		{coresPath, int64(1), int64(4)},
		{append(cpu[:5:5], "sockets"), int64(2), nil},
	}
	if diff := cmp.Diff(want, got[2].Diffs); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]FieldDiff{{Path: []string{"data", "userdata"}}}, got[0].Diffs); diff != "" {
		t.Errorf("of the Secret:\n%s", diff)
	}
	applied := b.apply(target, m)
	for i := range got {
		if diff := cmp.Diff(got[i].Diffs, applied[i].Diffs); diff != "" {
			t.Errorf("%s: what was applied is not what was previewed:\n%s", got[i].Kind, diff)
		}
	}
}

func TestKeptMarksAreNoDifference(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m := b.machine("vm")
	const ticket = "kubevirt-shepherd.io/ticket-id"
	sealed := m.copy()
	for _, u := range []*unstructured.Unstructured{sealed.vm, sealed.disk, sealed.secret} {
		set(u.Object, "t1", "metadata", "annotations", ticket)
		set(u.Object, "t1", "metadata", "labels", ticket)
	}
	done := b.apply(m.creating(), sealed)
	vm, _ := done.VM()
	target := m.target()
	target.UID = vm.UID
	if got := b.preview(target, m); !got.Changed() {
		t.Error("a mark that nobody keeps is to be removed, and that is no difference")
	}
	target.Kept = []string{ticket, "kubevirt-shepherd.io/never-said"}
	if got := b.preview(target, m); got.Changed() {
		t.Errorf("%v %v", got, got[2].Fields)
	}
	set(m.vm.Object, int64(4), coresPath...)
	if got := b.preview(target, m); strings.Join(got[2].Fields, " ") != strings.Join(coresPath, ".") {
		t.Errorf("%v", got[2].Fields)
	}
	set(m.vm.Object, "t2", "metadata", "annotations", ticket)
	if got := b.preview(target, m); len(got[2].Diffs) != 2 || got[2].Diffs[0].From != "t1" || got[2].Diffs[0].To != "t2" {
		t.Errorf("what the manifest says is not kept: %v", got[2].Diffs)
	}
}

func TestPreviewWhereTheNamespaceIsMissing(t *testing.T) {
	t.Parallel()
	b := setup(t).missing()
	m := b.machine("vm")
	got := b.preview(m.creating(), m)
	if actions(got) != "Namespace created, Secret created, DataVolume created, VirtualMachine created" {
		t.Error(actions(got))
	}
	if !strings.Contains(notes(got), "does not exist yet and is made first") {
		t.Errorf("notes %q", notes(got))
	}
	for _, c := range got[1:] {
		if c.Namespace != b.ns || c.UID != "" {
			t.Errorf("%+v", c)
		}
	}
	if b.read(namespaceObject(b.ns)) != nil {
		t.Error("the preview made the namespace")
	}
	room := b.read(namespaceObject(PreviewNamespace))
	if room == nil || room.GetLabels()[LabelManagedBy] != ManagedBy {
		t.Errorf("where it was tried: %v", room)
	}
	if left := b.everything(PreviewNamespace); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := b.EnsureNamespace(t.Context(), b.ns, map[string]string{LabelEnvironment: "test"}); err != nil {
		t.Fatal(err)
	}
	for i, c := range b.apply(m.creating(), m) {
		if c.Action != got[i+1].Action {
			t.Errorf("%s: %s, previewed as %s", c.Kind, c.Action, got[i+1].Action)
		}
	}
}

// missing is the same bench with a namespace that is not there.
func (b bench) missing() bench {
	b.ns += "-missing"
	return b
}

func TestApplyWhereTheNamespaceIsMissing(t *testing.T) {
	t.Parallel()
	b := setup(t).missing()
	m := b.machine("vm")
	_, err := b.Apply(t.Context(), m.creating(), m.manifests())
	refusedAs(t, err, domain.NamespaceTerminating, Retry, b.ns)
}

// Whatever refuses objects in a namespace refuses them in the one where they are tried.
func TestPreviewIsRefusedWhereTheNamespaceIsMissing(t *testing.T) {
	t.Parallel()
	b := setup(t).missing()
	m := b.machine("vm")
	set(m.vm.Object, "1Gb", "spec", "template", "spec", "domain", "memory", "guest")
	_, err := b.Preview(t.Context(), m.creating(), m.manifests())
	e := refusedAs(t, err, domain.ClusterRefused, Never, `Invalid value: "1Gb"`, b.ns+"/vm")
	if strings.Contains(e.Problem.Message, PreviewNamespace) {
		t.Errorf("it names a namespace that nobody asked for: %s", e.Problem.Message)
	}

	name := b.ns + "-vm"
	b.policy("vms", `object.metadata.name == "`+name+`"`, "no VMs before the freeze ends", admissionv1.Deny, vmRule)
	m = b.machine(name)
	eventually(t, func() error {
		_, err := b.Preview(t.Context(), m.creating(), m.manifests())
		if err == nil {
			return errors.New("the policy is not in force yet")
		}
		refusedAs(t, err, domain.ClusterRefused, Never, "no VMs before the freeze ends")
		return nil
	})
}

// A namespace that could not be made is told before anybody approves.
func TestPreviewOfANamespaceThatMayNotBeMade(t *testing.T) {
	t.Parallel()
	b := setup(t).missing()
	m := b.machine("vm")
	limited := b.as(may("", "namespaces", "get"))
	_, err := limited.Preview(t.Context(), m.creating(), m.manifests())
	e := refusedAs(t, err, domain.NamespacePermissionDenied, Never, "may not create Namespace "+b.ns)
	if e.Problem.Hint != "kubectl create namespace "+b.ns {
		t.Errorf("hint %q", e.Problem.Hint)
	}
	rule := admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"namespaces"}}
	b.policy("namespaces", `object.metadata.name == "`+b.ns+`"`, "namespaces are made by the platform team", admissionv1.Deny, rule)
	eventually(t, func() error {
		_, err := b.Preview(t.Context(), m.creating(), m.manifests())
		if err == nil {
			return errors.New("the policy is not in force yet")
		}
		refusedAs(t, err, domain.ClusterRefused, Never, "namespaces are made by the platform team")
		return nil
	})
	_, err = b.EnsureNamespace(t.Context(), b.ns, nil)
	refusedAs(t, err, domain.ClusterRefused, Never, "the cluster refuses Namespace "+b.ns, "namespaces are made by the platform team")
}

// Where nothing can be tried, that is what the preview says.
func TestPreviewWithoutARoom(t *testing.T) {
	t.Parallel()
	b := setup(t).missing()
	m := b.machine("vm")
	room := "/api/v1/namespaces/" + PreviewNamespace
	tests := []struct {
		name, method, path string
		code               int
		body, text         string
	}{
		{"forbidden", "GET", room, 403, status(403, "Forbidden", `User \"u\" cannot get resource \"namespaces\" in API group`), "may not get Namespace"},
		{"terminating", "GET", room, 200, `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"n"},"status":{"phase":"Terminating"}}`, "is being deleted"},
		{"full", "PATCH", "/datavolumes/", 403, status(403, "Forbidden", "exceeded quota: none"), "exceeded quota"},
		{"occupied", "PATCH", "/secrets/", 409, status(409, "Conflict", "the object has been modified"), "keeps changing"},
		{"closed", "PATCH", "/virtualmachines/", 403, status(403, "Forbidden", `User \"u\" cannot patch resource \"x\" in API group`), "may not apply VirtualMachine"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := b
			b.t = t
			b = b.answeringTo(func(r *http.Request) bool { return r.Method == tt.method && strings.Contains(r.URL.Path, tt.path) }, tt.code, tt.body)
			got := b.preview(m.creating(), m)
			if actions(got) != "Namespace created, Secret created, DataVolume created, VirtualMachine created" {
				t.Error(actions(got))
			}
			if text := notes(got); !strings.Contains(text, "cannot be tried") || !strings.Contains(text, tt.text) {
				t.Errorf("notes %q", text)
			}
			b.ns = PreviewNamespace
			trial := b.machine("vm")
			_, err := b.Preview(t.Context(), trial.creating(), trial.manifests())
			if e := refusedAs(t, err, code(err), Later, "cannot be tried", tt.text); e.RetryAfter <= 0 {
				t.Error("no time to wait")
			}
		})
	}
	t.Run("refused-by-a-webhook", func(t *testing.T) {
		t.Parallel()
		b := b
		b.t = t
		b = b.front(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			w.Header().Set("Content-Type", "application/json")
			switch {
			case strings.HasSuffix(r.URL.Path, room):
				w.WriteHeader(http.StatusNotFound)
				_, _ = w.Write([]byte(`{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","details":{"kind":"namespaces"},"code":404}`))
			case r.Method == http.MethodPost && !strings.Contains(r.URL.RawQuery, "dryRun"):
				w.WriteHeader(http.StatusForbidden)
				_, _ = w.Write([]byte(status(403, "Forbidden", "admission webhook denied the request: names start with a team")))
			default:
				pass.ServeHTTP(w, r)
			}
		})
		got := b.preview(m.creating(), m)
		if text := notes(got); !strings.Contains(text, "cannot be tried") || !strings.Contains(text, "names start with a team") {
			t.Errorf("notes %q", text)
		}
	})
}

func code(err error) domain.Code {
	var e *Error
	if errors.As(err, &e) {
		return e.Problem.Code
	}
	return ""
}

// What is made up, to see whether a cluster takes it, has no other namespace.
func TestPreviewOfATrial(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.ns = PreviewNamespace
	m := b.machine("vm")
	if got := b.preview(m.creating(), m); actions(got) != "Secret created, DataVolume created, VirtualMachine created" || notes(got) != "" {
		t.Errorf("%s\n%s", actions(got), notes(got))
	}
	set(m.vm.Object, "two", coresPath...)
	_, err := b.Preview(t.Context(), m.creating(), m.manifests())
	refusedAs(t, err, domain.ClusterRefused, Never, "cores: expected numeric", PreviewNamespace+"/vm")
}
