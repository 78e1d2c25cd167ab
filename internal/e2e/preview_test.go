package e2e

import (
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/kubetest"
)

// Before anybody decides, the cluster was asked: of a new VM in a namespace that is not there yet, and of a
// change of one that runs, field by field and in a word. Asking leaves nothing behind.
func TestPreview(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pr := w.ask("shop", machines("shop", "redis", "test-shop/01"))
	// The namespace, the Secrets with the first password and the cloud-init that sets it, the disk and the VM.
	w.comment(pr, "Tried on cluster `test-1` by a dry-run: accepted, 5 objects would be created")
	w.absent("test-shop-shop-redis-01")
	err := w.kube.Client().Get(t.Context(), client.ObjectKey{Name: w.kubeNamespace("test")}, &corev1.Namespace{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("asking has made the namespace: %v", err)
	}
	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")
	w.merge(pr, "merge")
	w.once("test-shop-shop-redis-01")
	if err := kubetest.SetVMStatus(t.Context(), w.kube.Client(), w.key("test-shop-shop-redis-01"), kubevirtv1.VirtualMachineStatusRunning); err != nil {
		t.Fatal(err)
	}
	w.eventually("the VM to be known as running", func() bool { return w.count("select count(*) from vms where status = 'RUNNING'") == 1 })
	before := w.vm("test-shop-shop-redis-01").ResourceVersion

	path := vmPath("shop", "redis", "test-shop/01")
	grow := w.ask("grow", forgetest.Files{path: w.replace(w.onMain(path), "size: small", "size: medium")})
	body := w.comment(grow, "Tried on cluster `test-1` by a dry-run: accepted")
	for _, part := range []string{"| Impact |", "| restart |", "spec.template.spec.domain.cpu.sockets", "spec.template.spec.domain.memory.guest"} {
		if !strings.Contains(body, part) {
			t.Errorf("the comment lacks %q:\n%s", part, body)
		}
	}
	if after := w.vm("test-shop-shop-redis-01").ResourceVersion; after != before {
		t.Errorf("asking has touched the VM: %s, was %s", after, before)
	}
}

// What the cluster does not let pass stops the pull request with the cluster's words. When it lets it pass, the
// next sweep finds that out.
func TestPreviewRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	lift := w.forbidden("object.metadata.labels['kubevirt-shepherd.io/system'] == 'refused'", func(vm *kubevirtv1.VirtualMachine) {
		vm.Labels = map[string]string{"kubevirt-shepherd.io/system": "refused"}
	})
	pr := w.ask("refused", machines("refused", "redis", "test-shop/01"))
	w.refused(pr, "CLUSTER_REFUSED", vmPath("refused", "redis", "test-shop/01"), "not in this house")
	lift()
	w.askedAgain(pr)
}

// A cluster that does not answer makes the plan say so; it can be approved all the same.
func TestPreviewOfASilentCluster(t *testing.T) {
	t.Parallel()
	w, way := newWorldByRoad(t)
	way.close()
	pr := w.ask("shop", machines("shop", "redis", "test-shop/01"))
	w.comment(pr, "Not tried on cluster `test-1`: cluster test-1 does not answer")
	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")
}

// A template is tried before anybody builds on it, in each environment.
func TestPreviewOfATemplate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withErin)
	pr := w.asks(w.Dave, "template", forgetest.Files{
		"platform/templates/debian-13/v1.yaml": platformFile("Template", "  status: active\n  image:\n    containerDisk:\n      image: quay.io/containerdisks/debian:13"),
	})
	w.comment(pr, "Tried in test with size small, by a dry-run on cluster `test-1`: accepted")
	w.comment(pr, "Tried in prod with size small, by a dry-run on cluster `prod-1`: accepted")
	const mark = "a template that nobody likes"
	defer w.forbidden("object.spec.template.spec.volumes.exists(v, has(v.cloudInitNoCloud) && has(v.cloudInitNoCloud.userData) && v.cloudInitNoCloud.userData.contains('"+mark+"'))",
		func(vm *kubevirtv1.VirtualMachine) {
			vm.Spec.Template.Spec.Volumes = []kubevirtv1.Volume{{Name: "c", VolumeSource: kubevirtv1.VolumeSource{
				CloudInitNoCloud: &kubevirtv1.CloudInitNoCloudSource{UserData: mark}}}}
		})()
	other := w.asks(w.Dave, "other", forgetest.Files{
		"platform/templates/debian-14/v1.yaml": platformFile("Template", "  status: active\n  image:\n    containerDisk:\n      image: quay.io/containerdisks/debian:14\n  cloudInit: |\n    #cloud-config\n    # "+mark+"\n"),
	})
	w.problem(other, "CLUSTER_REFUSED", "platform/templates/debian-14/v1.yaml", 1)
	w.comment(other, "**refused**")
}

// forbidden lets the cluster refuse the VMs for which a CEL expression is true, until it is lifted. such makes
// one of them.
func (w *world) forbidden(expression string, such func(*kubevirtv1.VirtualMachine)) (lift func()) {
	w.t.Helper()
	name, fail := w.prefix, admissionv1.Fail
	policy := &admissionv1.ValidatingAdmissionPolicy{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: &fail,
			MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
				Operations: []admissionv1.OperationType{admissionv1.Create},
				Rule:       admissionv1.Rule{APIGroups: []string{"kubevirt.io"}, APIVersions: []string{"*"}, Resources: []string{"virtualmachines"}},
			}}}},
			MatchConditions: []admissionv1.MatchCondition{{Name: "complete", Expression: "has(object.metadata.labels) && has(object.spec.template.spec.volumes) || object.metadata.name == 'probe'"}},
			Validations: []admissionv1.Validation{{
				Expression: "!(" + expression + ")", Message: "not in this house",
			}},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny}},
	}
	for _, o := range []client.Object{policy, binding} {
		w.do(w.kube.Client().Create(w.t.Context(), o))
	}
	probe := &kubevirtv1.VirtualMachine{
		ObjectMeta: metav1.ObjectMeta{Name: "probe", Namespace: "default"},
		Spec:       kubevirtv1.VirtualMachineSpec{Template: &kubevirtv1.VirtualMachineInstanceTemplateSpec{}},
	}
	such(probe)
	refused := func() bool {
		err := w.kube.Client().Create(w.t.Context(), probe.DeepCopy(), client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "not in this house")
	}
	w.eventually("the cluster's policy to be in force", refused)
	return func() {
		w.do(w.kube.Client().Delete(w.t.Context(), binding))
		w.do(w.kube.Client().Delete(w.t.Context(), policy))
		w.eventually("the cluster's policy to be lifted", func() bool { return !refused() })
	}
}
