package service

import (
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/render"
)

func namespaceObject(name string, labels map[string]string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

// denied makes the API server refuse new namespaces whose names begin so, and waits until it does.
func (w *world) denied(prefix, message string) {
	w.Helper()
	fail, reason := admissionv1.Fail, metav1.StatusReasonForbidden
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: prefix},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: &fail,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create},
					Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"namespaces"}},
				},
			}}},
			MatchConditions: []admissionv1.MatchCondition{{Name: "name", Expression: fmt.Sprintf("object.metadata.name.startsWith(%q)", prefix)}},
			Validations:     []admissionv1.Validation{{Expression: "false", Message: message, Reason: &reason}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: prefix},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: prefix, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	}
	for _, o := range []client.Object{policy, binding} {
		w.ok(w.kube.Client().Create(w.Context(), o))
	}
	w.eventually("the policy is in force", func() bool {
		return w.kube.Client().Create(w.Context(), namespaceObject(prefix+"-probe", nil), client.DryRunAll) != nil
	})
}

// Each way in which a namespace cannot be had has a name of its own, on the pull request before anybody
// approves and on the event after the merge. Nothing is applied.
func TestNamespacesThatCannotBeHad(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		given func(w *world)
		code  domain.Code
		texts []string
	}{
		{"permission", func(w *world) {
			w.kubeconfig = w.kube.Restricted(w, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"get"}})
		}, domain.NamespacePermissionDenied, []string{"may not create Namespace %s", "kubectl create namespace %s"}},
		{"quota", func(w *world) { w.denied(w.ns, "exceeded quota: 5 namespaces a tenant") },
			domain.NamespaceQuotaExceeded, []string{"Namespace %s", "exceeded quota: 5 namespaces a tenant"}},
		{"webhook", func(w *world) { w.denied(w.ns, "namespaces are made by the platform team") },
			domain.ClusterRefused, []string{"refuses Namespace %s", "namespaces are made by the platform team"}},
		{"environment", func(w *world) {
			w.ok(w.kube.Client().Create(w.Context(), namespaceObject(w.ns, map[string]string{provider.LabelEnvironment: "test"})))
		}, domain.EnvironmentMismatch, []string{"namespace %s on the cluster belongs to test, this VM to prod"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.ns += "-" + tt.name
			tt.given(w)
			w.add("prod-1")
			got := w.previewed(w.previewer(nil), w.wanting(1))[0]
			if got.Refused == nil || got.Refused.Code != tt.code {
				t.Fatalf("previewed: %s", outline(got))
			}
			id := w.ask(w.creation(newRef()))[0]
			w.failed(id, tt.code)
			for _, text := range tt.texts {
				text = strings.ReplaceAll(text, "%s", w.ns)
				if said := got.Refused.Error(); !strings.Contains(said, text) {
					t.Errorf("previewed: %q is not in %s", text, said)
				}
				if said := w.event(id).ErrorMessage; !strings.Contains(said, text) {
					t.Errorf("%q is not in %s", text, said)
				}
			}
			if left := w.held(w.ns); len(left) != 0 {
				t.Errorf("applied: %v", left)
			}
		})
	}
}

// A namespace that goes is waited for, and made again when it is gone.
func TestANamespaceThatGoesIsWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	hold := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "hold", Namespace: w.ns, Finalizers: []string{"example.com/hold"}}}
	w.ok(w.kube.Client().Create(t.Context(), hold))
	w.ok(w.kube.Client().Delete(t.Context(), namespaceObject(w.ns, nil)))
	id := w.ask(w.creation(newRef()))[0]
	err := w.vms.Execute(t.Context(), id)
	if !jobs.IsLater(err) || problemOf(err).Code != domain.NamespaceTerminating {
		t.Fatal(err)
	}
	if e := w.event(id); e.Status != event.StatusPROCESSING || e.ErrorCode != string(domain.NamespaceTerminating) {
		t.Errorf("event %s %s", e.Status, e.ErrorCode)
	}
	hold.Finalizers = nil
	w.ok(w.kube.Client().Update(t.Context(), hold))
}

// With the manifest's account everything is previewed as with an administrator's.
func TestManifestIsEnoughForPreviews(t *testing.T) {
	t.Parallel()
	w, _ := rbacWorld(t)
	w.eventually("nothing is missing", func() bool { return len(w.lookOr()) == 0 })
	elsewhere := w.wanting(1)
	elsewhere.Namespace = w.ns + "-new"
	elsewhere.Manifests = []render.Manifest{machine(elsewhere.Ref, elsewhere.Namespace)}
	trial := w.wanting(2)
	trial.Namespace = provider.PreviewNamespace
	trial.Manifests = []render.Manifest{machine(trial.Ref, trial.Namespace)}
	gone := w.having(3)
	gone.Operation, gone.DeletionPolicy = domain.DeleteVM, spec.DeleteDisks
	restart := w.having(4)
	restart.Operation = domain.RestartVM
	want := []string{
		"Namespace created, VirtualMachine created, impact ", "VirtualMachine created, impact ",
		"VirtualMachine deleted, impact ", "VirtualMachine unchanged, impact no-op",
	}
	for i, got := range w.previewed(w.previewer(nil), elsewhere, trial, gone, restart) {
		if text := outline(got); text != want[i] {
			t.Errorf("%s, want %s", text, want[i])
		}
	}
	if err := w.kube.Client().Get(t.Context(), client.ObjectKey{Name: elsewhere.Namespace}, &corev1.Namespace{}); client.IgnoreNotFound(err) != nil || err == nil {
		t.Errorf("the new namespace: %v", err)
	}
}

func TestOneNameForWhereThingsAreTried(t *testing.T) {
	t.Parallel()
	if render.PreviewNamespace != provider.PreviewNamespace {
		t.Error(render.PreviewNamespace, provider.PreviewNamespace)
	}
}
