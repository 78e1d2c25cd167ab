package e2e

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/kubetest"
)

// A machine that somebody else made stops the request for one of its name, until it is gone. One that is made
// after the approval is not touched; the others of the pull request are applied.
func TestForeignMachine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const foreign, ours = "test-shop-shop-redis-01", "prod-shop-shop-redis-02"
	vm := w.foreign(foreign)
	pr := w.ask("shop", twoVMs())
	w.refused(pr, "FOREIGN_VM", vmPath("shop", "redis", "test-shop/01"), "exists and is not this VM's", "have the other one removed")
	w.unchanged(vm)
	w.do(w.kube.Client().Delete(t.Context(), vm))
	w.askedAgain(pr)

	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")
	vm = w.foreign(foreign)
	w.merge(pr, "merge")
	w.once(ours)
	w.do(kubetest.SetVMStatus(t.Context(), w.kube.Client(), w.key(ours), kubevirtv1.VirtualMachineStatusRunning))
	w.comment(pr, "FOREIGN_VM")
	w.eventually("the closing remark", func() bool { return len(w.remarks(pr)) == 2 })
	if body := w.remarks(pr)[1].Body; !strings.Contains(body, "Partly applied: 3 of 4") {
		t.Errorf("the closing remark is\n%s", body)
	}
	w.unchanged(vm)
	if got := w.strings(`select status || ' ' || error_code from events where subject = $1`, foreign); len(got) != 1 || got[0] != "FAILED FOREIGN_VM" {
		t.Errorf("the event is %v", got)
	}
	w.again(ours)
}

// again carries a finished event out once more, and then as if the server had died before it could write
// down that it had: nothing is done a second time.
func (w *world) again(name string) {
	w.t.Helper()
	before := w.vm(name)
	id := must(uuid.Parse(w.strings(`select id::text from events where subject = $1`, name)[0]))(w)
	cluster := w.strings(`select cluster from vms where name = $1`, name)[0]
	queue := must(jobs.NewQueue())(w)
	enqueue := func(forget string) {
		w.t.Helper()
		w.do(pgx.BeginFunc(w.t.Context(), w.pool, func(tx pgx.Tx) error {
			for _, statement := range strings.Split(forget, ";") {
				if _, err := tx.Exec(w.t.Context(), statement); err != nil {
					return err
				}
			}
			return queue.Add(w.t.Context(), tx, jobs.EventJob{EventID: id, Cluster: cluster})
		}))
		w.quiet()
	}
	enqueue("")
	w.standsAt(name, before.ResourceVersion, 1)
	enqueue(strings.ReplaceAll(`update events set status = 'PROCESSING' where id = '$id';
update tickets set status = 'APPROVED' where event_id = '$id';
update effects set status = 'intended' where id = 'apply:$id';
update vms set applied_sequence = 0, applied_plan = null where name = '`+name+`';
delete from vm_revisions where event_id = '$id'`, "$id", id.String()))
	w.standsAt(name, before.ResourceVersion, 2)
	if got := w.strings(`select result from effects where id = $1`, "apply:"+id.String())[0]; !strings.Contains(got, "unchanged") || strings.Contains(got, "created") {
		w.t.Errorf("the second apply says %q", got)
	}
}

// standsAt holds that a machine is as it was, however often its event was finished.
func (w *world) standsAt(name, version string, finished int) {
	w.t.Helper()
	if now := w.vm(name); now.ResourceVersion != version {
		w.t.Errorf("%s is at %s, was at %s", name, now.ResourceVersion, version)
	}
	if begun, ended := w.audited("EXECUTION_STARTED", name), w.audited("EXECUTION_COMPLETED", name); begun != 1 || ended != finished {
		w.t.Errorf("%s: begun %d times, finished %d times", name, begun, ended)
	}
}

// Where the credentials may not make namespaces, people are told the line that helps, before anybody approves;
// and where the namespaces go after that, with what became of the machines.
func TestNamespaceMayNotBeCreated(t *testing.T) {
	t.Parallel()
	may := func(group string, resources []string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources, Verbs: verbs}
	}
	w := setup{kubeconfig: func(w *world) []byte {
		return w.kube.Restricted(w.t,
			may("", []string{"namespaces"}, "get"),
			may("", []string{"secrets"}, "get", "create", "patch"),
			may("", []string{"persistentvolumeclaims"}, "get"),
			may("kubevirt.io", []string{"virtualmachines"}, "get", "list", "create", "patch"),
			may("cdi.kubevirt.io", []string{"datavolumes"}, "get", "list", "create", "patch"))
	}}.world(t)
	pr := w.ask("shop", twoVMs())
	for env, index := range map[string]string{"test": "01", "prod": "02"} {
		w.refused(pr, "NAMESPACE_PERMISSION_DENIED", vmPath("shop", "redis", env+"-shop/"+index), "kubectl create namespace "+w.kubeNamespace(env))
		w.do(w.kube.Client().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.kubeNamespace(env)}}))
	}
	w.askedAgain(pr)
	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")
	w.noNamespace("test", "prod")
	w.merge(pr, "merge")
	body := w.comment(pr, "NAMESPACE_PERMISSION_DENIED")
	if !strings.Contains(body, "kubectl create namespace "+w.kubeNamespace("test")) && !strings.Contains(body, "kubectl create namespace "+w.kubeNamespace("prod")) {
		t.Errorf("no line to copy:\n%s", body)
	}
	w.eventually("both events to fail", func() bool {
		return w.count(`select count(*) from events where status = 'FAILED' and error_code = 'NAMESPACE_PERMISSION_DENIED'`) == 2
	})
}
