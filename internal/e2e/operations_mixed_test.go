package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// forbids has the API server refuse changes of machines by a CEL expression, until lift.
func (w *plant) forbids(expression, message string) (lift func()) {
	w.t.Helper()
	name, fail, deny := w.prefix+"-forbids", admissionv1.Fail, admissionv1.Deny
	policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.ValidatingAdmissionPolicySpec{
		FailurePolicy: &fail,
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update},
			Rule:       admissionv1.Rule{APIGroups: []string{"kubevirt.io"}, APIVersions: []string{"v1"}, Resources: []string{"virtualmachines"}},
		}}}},
		MatchConditions: []admissionv1.MatchCondition{{Name: "ours", Expression: `object.metadata.namespace.startsWith("` + w.prefix + `")`}},
		Validations:     []admissionv1.Validation{{Expression: expression, Message: message}},
	}}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: name, ValidationActions: []admissionv1.ValidationAction{deny},
	}}
	w.do(w.kube.Client().Create(w.t.Context(), policy))
	w.do(w.kube.Client().Create(w.t.Context(), binding))
	lift = func() {
		_ = w.kube.Client().Delete(context.Background(), binding)
		_ = w.kube.Client().Delete(context.Background(), policy)
	}
	w.t.Cleanup(lift)
	return lift
}

// forbidsNow reports whether the API server refuses to set an annotation on a machine.
func (w *plant) forbidsNow(name string) bool {
	vm := w.vm(name)
	metav1.SetMetaDataAnnotation(&vm.ObjectMeta, "probe", "probe")
	return w.kube.Client().Update(w.t.Context(), vm) != nil
}

// Everything at once: each change has its own row, ticket and outcome. What fails on the cluster fails
// alone, and is carried out again with the plan that was approved.
func TestMixedPullRequest(t *testing.T) {
	t.Parallel()
	w := newPlant(t)
	vm := func(index int) (name, path string) {
		return fmt.Sprintf("test-shop-shop-redis-%02d", index), vmPath("shop", "redis", fmt.Sprintf("test-shop/%02d", index))
	}
	changed, changedPath := vm(1)
	stopped, stoppedPath := vm(2)
	deleted, deletedPath := vm(3)
	files := machines("shop", "redis", "test-shop/01", "test-shop/02", "test-shop/03")
	created := files[changedPath]
	first := w.decided("create", files)
	w.boots(changed, stopped, deleted)
	w.told(first, "Applied and running")

	w.refusesRetry(first, "nothing here has failed")
	notLarger := func() (lift func()) {
		lift = w.forbids(`object.metadata.name != "`+changed+`" || object.spec.template.spec.domain.memory.guest == "2Gi" && !("probe" in object.metadata.annotations)`, "no larger machines here this week")
		w.eventually("the policy to be in force", func() bool { return w.forbidsNow(changed) })
		return lift
	}
	lift := notLarger()
	const fresh = "test-shop-shop-mongo-01"
	pr := w.ask("mixed", forgetest.Files{
		"systems/shop/mongo/service.yaml":       []byte("apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: Service\nspec:\n  description: a store\n"),
		vmPath("shop", "mongo", "test-shop/01"): machine("size: small", "power: running"),
		changedPath:                             w.replace(created, "size: small", "size: medium"),
		stoppedPath:                             w.replace(created, "power: running", "power: stopped"),
		deletedPath:                             nil,
	})
	// One machine that the cluster refuses stops them all, for they are asked for together.
	w.refused(pr, "CLUSTER_REFUSED", changedPath, "no larger machines here this week")
	lift()
	w.eventually("the policy to be gone", func() bool { return !w.forbidsNow(changed) })
	w.askedAgain(pr)
	body := w.comment(pr, "Waiting for 1 approval")
	t.Log(unfolded(body))
	for _, row := range []string{"| `shop/mongo` | create service |", "| `" + fresh + "` | create VM |", "| `" + changed + "` | change VM |", "| `" + stopped + "` | stop VM |", "| `" + deleted + "` | delete VM |"} {
		if strings.Count(body, row) != 1 {
			t.Errorf("the comment has no row %q", row)
		}
	}
	w.refuses(w.Bob, pr, "/retry", "nothing was carried out yet")
	w.obeys(w.Alice, pr, w.toConfirm(pr)[0])
	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")
	lift = notLarger()
	w.merge(pr, "merge")
	w.vm(fresh)
	w.boots(fresh)
	w.eventually("the order to stop", func() bool { return w.strategy(stopped) == kubevirtv1.RunStrategyHalted })
	w.halts(stopped)
	_, closing := w.told(pr, "Partly applied: 4 of 5.", "❌ failed: CLUSTER_REFUSED", "no larger machines here this week", "then comment `/retry` here",
		"✅ stopped", "✅ deleted", "✅ running", "✅ recorded")
	if !strings.Contains(closing, "no larger machines here this week") {
		t.Errorf("the closing remark is\n%s", closing)
	}
	for subject, op := range map[string]string{"shop/mongo": "CREATE_SERVICE", fresh: "CREATE_VM", stopped: "STOP_VM", deleted: "DELETE_VM"} {
		w.booked(pr, subject, op)
	}
	w.wantActs(changed, "CREATE_VM COMPLETED/COMPLETED", "MODIFY_VM FAILED/FAILED CLUSTER_REFUSED")
	w.status(changed, "RUNNING") // as it was

	w.retried(pr, changed, lift)
	next := w.ask("later", forgetest.Files{changedPath: w.replace(created, "size: small", "size: medium\n  disk: 120Gi")})
	w.published(next)
}

// refusesRetry holds that there is nothing to carry out again.
func (w *plant) refusesRetry(pr *forgetest.Pull, why string) {
	w.t.Helper()
	w.refuses(w.Bob, pr, "/retry", why)
}

// ends waits until so many ends are told: that of the merge, and one of each retry. The comment is edited before.
func (w *plant) ends(pr *forgetest.Pull, n int) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%d ends to be told", n), func() bool {
		told := 0
		for _, c := range w.remarks(pr) {
			if strings.HasPrefix(c.Body, "<!-- shepherd: the end") {
				told++
			}
		}
		return told == n
	})
}

// retried carries out again what failed, by who may.
func (w *plant) retried(pr *forgetest.Pull, name string, lift func()) {
	w.t.Helper()
	others := w.count(`select count(*) from events where pull_request = $1`, pr.Number())
	w.refuses(w.Carol, pr, "/retry", "PERMISSION_DENIED", "you may not do this")
	w.obeys(w.Alice, pr, "/retry")
	w.eventually("the second attempt to fail", func() bool { return len(w.acts(name)) == 3 && strings.HasPrefix(w.acts(name)[2], "MODIFY_VM FAILED") })
	w.ends(pr, 2)
	w.told(pr, "Partly applied: 4 of 5.")
	w.quiet()
	lift()
	w.eventually("the policy to be gone", func() bool { return !w.forbidsNow(name) })
	w.obeys(w.Bob, pr, "/retry")
	w.eventually("the third attempt", func() bool { return w.acts(name)[len(w.acts(name))-1] == "MODIFY_VM COMPLETED/COMPLETED" })
	w.is(name, kubevirtv1.VirtualMachineStatusRunning)
	w.ends(pr, 3)
	body, _ := w.told(pr, "Applied.", "✅ changed, running")
	if strings.Contains(body, "CLUSTER_REFUSED") {
		w.t.Errorf("the comment still says\n%s", body)
	}
	w.wantActs(name, "CREATE_VM COMPLETED/COMPLETED", "MODIFY_VM FAILED/FAILED CLUSTER_REFUSED", "MODIFY_VM FAILED/FAILED CLUSTER_REFUSED", "MODIFY_VM COMPLETED/COMPLETED")
	if n := w.count(`select count(*) from events where pull_request = $1`, pr.Number()) - others; n != 2 {
		w.t.Errorf("two retries of one change wrote %d events", n)
	}
	chain := w.count(`select count(distinct t.plan_id) * 10 + count(e.retry_of) from events e join tickets t on t.event_id = e.id where e.pull_request = $1 and e.subject = $2`, pr.Number(), name)
	if chain != 12 {
		w.t.Errorf("plans and retries: %d, want one plan and two retries", chain)
	}
	if got := w.vm(name).Spec.Template.Spec.Domain.Memory.Guest.String(); got != "4Gi" {
		w.t.Errorf("memory %s", got)
	}
	w.refusesRetry(pr, "nothing here has failed")
}
