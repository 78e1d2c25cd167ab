package provider

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/domain"
)

var (
	coresPath    = []string{"spec", "template", "spec", "domain", "cpu", "cores"}
	strategyPath = []string{"spec", "runStrategy"}
)

func TestApplyCreatesInOrderAndThenLeavesAlone(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m := b.machine("vm")
	first := b.apply(m.creating(), m)
	if got := actions(first); got != "Secret created, DataVolume created, VirtualMachine created" {
		t.Fatal(got)
	}
	vm, _ := first.VM()
	live := b.read(m.vm)
	if vm.UID != string(live.GetUID()) || vm.ResourceVersion != live.GetResourceVersion() {
		t.Errorf("change %+v is not the object's %s %s", vm, live.GetUID(), live.GetResourceVersion())
	}
	for _, entry := range live.GetManagedFields() {
		if entry.Manager != FieldManager || entry.Operation != metav1.ManagedFieldsOperationApply {
			t.Errorf("fields are managed by %s %s", entry.Manager, entry.Operation)
		}
	}
	target := m.target()
	target.UID = vm.UID
	second := b.apply(target, m)
	if got := actions(second); got != "Secret unchanged, DataVolume unchanged, VirtualMachine unchanged" || second.Changed() {
		t.Error(got)
	}
	for i := range first {
		if first[i].ResourceVersion != second[i].ResourceVersion {
			t.Errorf("%s: resourceVersion moved from %s to %s", first[i].Kind, first[i].ResourceVersion, second[i].ResourceVersion)
		}
	}
}

func TestPreviewWritesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m := b.machine("vm")
	preview, err := b.Preview(t.Context(), m.creating(), m.manifests())
	if err != nil || actions(preview) != "Secret created, DataVolume created, VirtualMachine created" {
		t.Fatalf("%v, %v", preview, err)
	}
	for _, u := range []client.Object{m.secret, m.disk, m.vm} {
		if b.read(u) != nil {
			t.Errorf("%s exists after a preview", u.GetName())
		}
	}

	m, target := b.created("vm")
	before := b.read(m.vm)
	set(m.vm.Object, int64(4), coresPath...)
	preview, err = b.Preview(t.Context(), target, m.manifests())
	if err != nil || actions(preview) != "Secret unchanged, DataVolume unchanged, VirtualMachine configured" {
		t.Fatalf("%v, %v", preview, err)
	}
	if got := preview[2].Fields; len(got) != 1 || got[0] != strings.Join(coresPath, ".") {
		t.Errorf("fields %v", got)
	}
	if after := b.read(m.vm); after.GetResourceVersion() != before.GetResourceVersion() {
		t.Error("a preview moved the resourceVersion")
	}
}

func TestApplyChangesAndRemovesPlainFields(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	set(m.vm.Object, int64(4), coresPath...)
	unstructured.RemoveNestedField(m.vm.Object, "spec", "template", "spec", "domain", "cpu", "sockets")
	set(m.secret.Object, "#cloud-config\nhostname: other", "stringData", "userdata")
	got := b.apply(target, m)
	if actions(got) != "Secret configured, DataVolume unchanged, VirtualMachine configured" {
		t.Error(actions(got))
	}
	if fields := fmt.Sprint(got[0].Fields, got[2].Fields); fields !=
		"[data.userdata] [spec.template.spec.domain.cpu.cores spec.template.spec.domain.cpu.sockets]" {
		t.Error(fields)
	}
	cpu, _, _ := unstructured.NestedMap(b.read(m.vm).Object, coresPath[:5]...)
	if fmt.Sprint(cpu) != "map[cores:4]" {
		t.Errorf("cpu is %v", cpu)
	}
	if again := b.apply(target, m); again.Changed() {
		t.Errorf("applied again: %v", again)
	}
}

func TestApplyTakesOverPlainFieldsAndSaysSo(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	b.edit("kubectl-edit", m.vm, func(vm map[string]any) { set(vm, int64(16), coresPath...) })
	got := b.apply(target, m)
	if actions(got[2:]) != "VirtualMachine configured" ||
		!strings.Contains(notes(got), "took over spec.template.spec.domain.cpu.cores") || !strings.Contains(notes(got), "kubectl-edit") {
		t.Errorf("%s\n%s", actions(got), notes(got))
	}
	if cores, _, _ := unstructured.NestedInt64(b.read(m.vm).Object, coresPath...); cores != 1 {
		t.Errorf("cores are %d", cores)
	}
}

func TestApplyKeepsWhatOthersAddedBesideIt(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	b.edit("kubevirt", m.vm, func(vm map[string]any) {
		set(vm, "uuid", "spec", "template", "spec", "domain", "firmware", "serial")
		set(vm, "note", "metadata", "annotations", "example.com/note")
	})
	if got := b.apply(target, m); got.Changed() {
		t.Errorf("defaults of others count as a difference: %v %v", got, got[2].Fields)
	}
}

func TestApplyOwnsWhatWasRestoredByOthers(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m := b.machine("vm")
	restored := m.vm.DeepCopy()
	dropNullTimestamps(restored.Object)
	b.create(restored)
	if got := b.apply(m.creating(), m); actions(got[2:]) != "VirtualMachine configured" {
		t.Error(actions(got))
	}
	if got := b.apply(m.creating(), m); got.Changed() {
		t.Error(actions(got))
	}
}

// TestDefaultsOfWebhooksAreNotADifference has the API server itself do what KubeVirt's mutating
// webhook does to a new VM.
func TestDefaultsOfWebhooksAreNotADifference(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.defaulting(`Object{spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{` +
		`domain: Object.spec.template.spec.domain{firmware: Object.spec.template.spec.domain.firmware{serial: "made-up"}}}}}}`)
	round := 0
	eventually(t, func() error {
		round++
		m, target := b.created(fmt.Sprintf("vm-%d", round))
		live := b.read(m.vm)
		serial, _, _ := unstructured.NestedString(live.Object, "spec", "template", "spec", "domain", "firmware", "serial")
		if serial != "made-up" {
			return errors.New("the policy is not in force yet")
		}
		if got := b.apply(target, m); got.Changed() {
			t.Errorf("the default counts as a difference: %v %v", got, got[2].Fields)
		}
		set(m.vm.Object, int64(2), coresPath...)
		if got := b.apply(target, m); fmt.Sprint(got[2].Fields) != "["+strings.Join(coresPath, ".")+"]" {
			t.Errorf("changed %v", got[2].Fields)
		}
		serial, _, _ = unstructured.NestedString(b.read(m.vm).Object, "spec", "template", "spec", "domain", "firmware", "serial")
		if serial != "made-up" {
			t.Error("a change took the default away")
		}
		return nil
	})
}

// defaulting makes the API server apply a configuration to VMs of the namespace when they are created.
func (b bench) defaulting(configuration string) {
	b.t.Helper()
	fail := admissionv1.Fail
	policy := &admissionv1.MutatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: b.ns},
		Spec: admissionv1.MutatingAdmissionPolicySpec{
			FailurePolicy: &fail, ReinvocationPolicy: admissionv1.NeverReinvocationPolicy,
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"kubernetes.io/metadata.name": b.ns}},
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create}, Rule: vmRule,
				}}},
			},
			Mutations: []admissionv1.Mutation{{
				PatchType:          admissionv1.PatchTypeApplyConfiguration,
				ApplyConfiguration: &admissionv1.ApplyConfiguration{Expression: configuration},
			}},
		},
	}
	binding := &admissionv1.MutatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: b.ns}, Spec: admissionv1.MutatingAdmissionPolicyBindingSpec{PolicyName: b.ns},
	}
	b.create(policy)
	b.create(binding)
	b.t.Cleanup(func() { b.discard(binding); b.discard(policy) })
}

func TestNothingIsWrittenWhenAnythingIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m := b.machine("vm")
	set(m.vm.Object, "many", coresPath...)
	_, err := b.Apply(t.Context(), m.creating(), m.manifests())
	refusedAs(t, err, domain.ClusterRefused, Never, "cores")
	if b.read(m.secret) != nil || b.read(m.disk) != nil {
		t.Error("the VM was refused, and its Secret or disk was made")
	}
}

func TestApplyWithoutPermissionForOneKindWritesNothing(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m := b.machine("vm")
	limited := b.as(may("", "secrets", "get", "create", "patch"), may("", "persistentvolumeclaims", "get"),
		may("cdi.kubevirt.io", "datavolumes", "get", "create", "patch"), may("kubevirt.io", "virtualmachines", "get"))
	_, err := limited.Apply(t.Context(), m.creating(), m.manifests())
	refusedAs(t, err, domain.NamespacePermissionDenied, Never, "may not apply VirtualMachine",
		"kubectl create role", "--namespace="+b.ns, "--resource=virtualmachines.kubevirt.io", "--user=system:serviceaccount:default:")
	if b.read(m.secret) != nil {
		t.Error("the VM was refused, and its Secret was made")
	}
}

func TestSecretsStayOutOfErrors(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const secret = "hunter2hunter2"
	bad := map[string]func(m machine){
		"data that is no base64":    func(m machine) { set(m.secret.Object, secret+"!", "data", "password") },
		"data of a wrong type":      func(m machine) { set(m.secret.Object, []any{secret}, "data", "password") },
		"a key that is not allowed": func(m machine) { set(m.secret.Object, map[string]any{secret + "/x": "eA=="}, "data") },
		"cloud-init in a field of another type": func(m machine) {
			set(m.vm.Object, map[string]any{"userData": secret}, volumesPath...)
		},
		"cloud-init as a number's value": func(m machine) { set(m.vm.Object, map[string]any{"x": secret}, coresPath...) },
	}
	for name, spoil := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := b.machine("vm")
			spoil(m)
			_, err := b.Apply(t.Context(), m.creating(), m.manifests())
			e := refusedAs(t, err, domain.ClusterRefused, Never)
			if text := fmt.Sprintf("%v %+v %s", err, e.Problem, e.Error()); strings.Contains(text, secret) {
				t.Errorf("the error quotes the secret: %s", text)
			}
		})
	}
}

func TestApplyIsInterrupted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m := b.machine("vm")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Apply(ctx, m.creating(), m.manifests())
	refusedAs(t, err, domain.ClusterUnreachable, Retry)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not say that it was cancelled", err)
	}
}

func TestQuotaOfTheNamespace(t *testing.T) {
	t.Parallel()
	b := setup(t)
	hard := corev1.ResourceList{"count/virtualmachines.kubevirt.io": quantity("0")}
	quota := &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Name: "none", Namespace: b.ns}, Spec: corev1.ResourceQuotaSpec{Hard: hard},
	}
	b.create(quota)
	// No quota controller runs beside the API server: its part is done here.
	quota.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: hard}
	if err := b.admin.Status().Update(t.Context(), quota); err != nil {
		t.Fatal(err)
	}
	m := b.machine("vm")
	eventually(t, func() error {
		_, err := b.Preview(t.Context(), m.creating(), m.manifests())
		if err == nil {
			return errors.New("the API server does not know the quota yet")
		}
		refusedAs(t, err, domain.NamespaceQuotaExceeded, Never, "exceeded quota: none")
		return nil
	})
}
