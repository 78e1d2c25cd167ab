package provider

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kv-shepherd.io/shepherd/internal/domain"
)

func TestEnsureNamespaceCreatesWhatIsMissing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	name := b.ns + "-new"
	created, err := b.EnsureNamespace(t.Context(), name, map[string]string{LabelEnvironment: "test"})
	if err != nil || !created {
		t.Fatalf("%t, %v", created, err)
	}
	ns := b.read(namespaceObject(name))
	want := map[string]string{
		LabelManagedBy: ManagedBy, LabelEnvironment: "test", "kubernetes.io/metadata.name": name,
	}
	if diff := cmp.Diff(want, ns.GetLabels()); diff != "" {
		t.Error(diff)
	}
	at, err := time.Parse(time.RFC3339, ns.GetAnnotations()[AnnotationCreatedAt])
	if err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("created at %v, %v", at, err)
	}
	created, err = b.EnsureNamespace(t.Context(), name, map[string]string{LabelEnvironment: "test", "team": "x"})
	if err != nil || created {
		t.Fatalf("%t, %v", created, err)
	}
	if again := b.read(namespaceObject(name)); again.GetResourceVersion() != ns.GetResourceVersion() {
		t.Errorf("the second call wrote: %v", again.GetLabels())
	}
}

func TestEnsureNamespaceLeavesAnExistingOneAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	before := b.read(namespaceObject(b.ns))
	created, err := b.EnsureNamespace(t.Context(), b.ns, map[string]string{LabelEnvironment: "test"})
	if err != nil || created {
		t.Fatalf("%t, %v", created, err)
	}
	if after := b.read(namespaceObject(b.ns)); after.GetResourceVersion() != before.GetResourceVersion() {
		t.Errorf("written: %v", after.GetLabels())
	}
}

func TestEnsureNamespaceIsARace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	results := make([]bool, 8)
	errs := make([]error, len(results))
	var group sync.WaitGroup
	for i := range results {
		group.Go(func() { results[i], errs[i] = b.EnsureNamespace(t.Context(), b.ns+"-race", nil) })
	}
	group.Wait()
	winners := 0
	for i := range results {
		if errs[i] != nil {
			t.Errorf("racer %d: %v", i, errs[i])
		}
		if results[i] {
			winners++
		}
	}
	if winners != 1 {
		t.Errorf("%d racers created the namespace", winners)
	}
}

// kubectlCreate is the part of a hint that grants: what kubectl would create is created here from its
// own words.
var kubectlCreate = regexp.MustCompile(`^kubectl create (role|clusterrole) (\S+)(?: --namespace=(\S+))? --verb=(\S+) --resource=(\S+) ` +
	`&& kubectl create (?:role|clusterrole)binding \S+(?: --namespace=\S+)? --(?:role|clusterrole)=(\S+) --user=(\S+)$`)

func (b bench) follow(hint string) {
	b.t.Helper()
	m := kubectlCreate.FindStringSubmatch(hint)
	if m == nil || m[2] != m[6] || (m[1] == "role") != (m[3] != "") {
		b.t.Fatalf("not a kubectl line that grants: %q", hint)
	}
	resource, group, _ := strings.Cut(m[5], ".")
	b.grant(m[7], m[3], may(group, resource, strings.Split(m[4], ",")...))
}

func TestForbiddenNamespaceHintsHelp(t *testing.T) {
	t.Parallel()
	b := setup(t)
	name := b.ns + "-forbidden"
	blind := b.as()
	_, err := blind.EnsureNamespace(t.Context(), name, nil)
	e := refusedAs(t, err, domain.NamespacePermissionDenied, Never, "may not get Namespace "+name)
	b.follow(e.Problem.Hint)
	eventually(t, func() error {
		_, err := blind.EnsureNamespace(t.Context(), name, nil)
		return err
	})

	reader := b.as(may("", "namespaces", "get"))
	other := name + "-2"
	_, err = reader.EnsureNamespace(t.Context(), other, nil)
	e = refusedAs(t, err, domain.NamespacePermissionDenied, Never, "may not create Namespace "+other)
	if e.Problem.Hint != "kubectl create namespace "+other {
		t.Fatalf("hint %q", e.Problem.Hint)
	}
	b.create(namespaceObject(other))
	if created, err := reader.EnsureNamespace(t.Context(), other, nil); err != nil || created {
		t.Errorf("after the hint: %t, %v", created, err)
	}
}

func TestForbiddenVMHintHelps(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m := b.machine("vm")
	limited := b.as()
	eventually(t, func() error {
		_, err := limited.Apply(t.Context(), m.creating(), m.manifests())
		if err == nil {
			return nil
		}
		b.follow(refusedAs(t, err, domain.NamespacePermissionDenied, Never).Problem.Hint)
		return errors.New("one more grant is needed")
	})
	if b.read(m.vm) == nil {
		t.Error("the VM is not there")
	}
}

func TestEnsureNamespaceOverQuota(t *testing.T) {
	t.Parallel()
	b := setup(t)
	name := b.ns + "-quota"
	b.policy("quota", `object.metadata.name.startsWith("`+name+`")`, "exceeded quota: 5 namespaces a tenant", admissionv1.Deny,
		admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"namespaces"}})
	try := 0
	eventually(t, func() error {
		try++
		_, err := b.EnsureNamespace(t.Context(), fmt.Sprintf("%s-%d", name, try), nil)
		if err == nil {
			return errors.New("the policy is not in force yet")
		}
		refusedAs(t, err, domain.NamespaceQuotaExceeded, Never, "exceeded quota: 5 namespaces a tenant")
		return nil
	})
}

func TestTerminatingNamespace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	hold := &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: "hold", Namespace: b.ns, Finalizers: []string{"example.com/hold"}},
	}
	b.create(hold.DeepCopy())
	t.Cleanup(func() { b.release(hold) })
	b.remove(namespaceObject(b.ns))

	m := b.machine("vm")
	_, err := b.EnsureNamespace(t.Context(), b.ns, nil)
	e := refusedAs(t, err, domain.NamespaceTerminating, Later, b.ns)
	if e.RetryAfter <= 0 {
		t.Error("no time to wait")
	}
	_, err = b.Apply(t.Context(), m.creating(), m.manifests())
	refusedAs(t, err, domain.NamespaceTerminating, Later, b.ns)
	_, err = b.Preview(t.Context(), m.creating(), m.manifests())
	refusedAs(t, err, domain.NamespaceTerminating, Later, b.ns)
}

func TestNamespaceOfAnotherEnvironment(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.edit("kubectl", namespaceObject(b.ns), func(ns map[string]any) { set(ns, "prod", "metadata", "labels", LabelEnvironment) })
	m := b.machine("vm")
	_, err := b.Preview(t.Context(), m.creating(), m.manifests())
	refusedAs(t, err, domain.EnvironmentMismatch, Never, "belongs to prod, this VM to test")
	_, err = b.EnsureNamespace(t.Context(), b.ns, map[string]string{LabelEnvironment: "test"})
	refusedAs(t, err, domain.EnvironmentMismatch, Never, "namespace "+b.ns+" on the cluster belongs to prod, this VM to test", LabelEnvironment)
	for _, same := range []map[string]string{{LabelEnvironment: "prod"}, nil} {
		if created, err := b.EnsureNamespace(t.Context(), b.ns, same); created || err != nil {
			t.Errorf("%v: %t, %v", same, created, err)
		}
	}
}

// policy makes the API server itself refuse, or warn of, what an expression matches.
func (b bench) policy(name, matches, message string, action admissionv1.ValidationAction, rule admissionv1.Rule) {
	b.t.Helper()
	name = b.ns + "-" + name
	fail := admissionv1.Fail
	forbidden := metav1.StatusReasonForbidden
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: &fail,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{
				RuleWithOperations: admissionv1.RuleWithOperations{Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update}, Rule: rule},
			}}},
			MatchConditions: []admissionv1.MatchCondition{{Name: "matches", Expression: matches}},
			Validations:     []admissionv1.Validation{{Expression: "false", Message: message, Reason: &forbidden}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName: name, ValidationActions: []admissionv1.ValidationAction{action},
		},
	}
	b.create(policy)
	b.create(binding)
	b.t.Cleanup(func() { b.discard(binding); b.discard(policy) })
}
