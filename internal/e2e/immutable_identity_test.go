package e2e

import (
	"slices"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// No push moves a VM to another namespace, service or system: neither one that lives nor one that was asked for.
func TestIdentityInGit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.running("shop", "redis", "test-shop/01")
	w.structure("crm", "mail")
	w.recorded("systems/shop/mongo/service.yaml", stage.Service("a store"), "mongo")
	const name = "test-shop-shop-redis-01"
	from := vmPath("shop", "redis", "test-shop/01")
	content := stage.VM("small", "a machine of redis")
	for _, c := range []struct {
		branch, to, code, words string
		content                 []byte
	}{
		{"namespace", vmPath("shop", "redis", "prod-shop/01"), "NAMESPACE_IMMUTABLE", "from test-shop to prod-shop", content},
		{"namespace-anew", vmPath("shop", "redis", "prod-shop/01"), "NAMESPACE_IMMUTABLE", "from test-shop to prod-shop", stage.VM("medium", "another text")},
		{"service", vmPath("shop", "mongo", "test-shop/01"), "SERVICE_IMMUTABLE", "from shop/redis to shop/mongo", content},
		{"system", vmPath("crm", "mail", "test-shop/01"), "SERVICE_IMMUTABLE", "from shop/redis to crm/mail", content},
		{"both", vmPath("crm", "mail", "prod-shop/07"), "SERVICE_IMMUTABLE", "from shop/redis to crm/mail", content},
	} {
		pr := w.ask(c.branch, forgetest.Files{from: nil, c.to: c.content})
		check := w.problem(pr, c.code, c.to, 1)
		for _, words := range []string{c.words, "put " + from + " back", "create it in another pull request"} {
			if !strings.Contains(check.Summary, words) {
				t.Errorf("%s: no %q in\n%s", c.branch, words, check.Summary)
			}
		}
		w.quiet()
		w.untouched(pr)
	}

	// After submission a push does not do it either, until it is undone or the pull request is closed.
	asked, moved := vmPath("shop", "redis", "test-shop/05"), vmPath("shop", "redis", "prod-shop/05")
	pr := w.approved("asked", one(asked, "small", "asked for in test"))
	w.push("asked", forgetest.Files{asked: nil, moved: stage.VM("small", "asked for in test")})
	c := w.problem(pr, "NAMESPACE_IMMUTABLE", moved, 1)
	if !strings.Contains(c.Summary, "put "+asked+" back") {
		t.Errorf("no way out in\n%s", c.Summary)
	}
	w.show(pr, "moved after submission")
	w.quiet()
	w.push("asked", forgetest.Files{"README.md": []byte("another push\n")})
	w.quiet()
	w.problem(pr, "NAMESPACE_IMMUTABLE", moved, 1)
	w.push("asked", forgetest.Files{asked: stage.VM("small", "asked for in test"), moved: nil})
	w.check(pr, "shepherd/validate", "success")
	w.push("asked", forgetest.Files{asked: nil, moved: stage.VM("small", "asked for in test")})
	w.problem(pr, "NAMESPACE_IMMUTABLE", moved, 1)
	commit := w.bypass(pr) // an administrator merges it all the same
	w.quarantined("NAMESPACE_IMMUTABLE", "prod-shop-shop-redis-05")
	w.undo(commit)
	w.absent("prod-shop-shop-redis-05", "test-shop-shop-redis-05")
	w.once(name)
}

// A ticket for what is asked for no more lets nothing through.
func TestStaleTicket(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.structure("shop", "redis")
	path := vmPath("shop", "redis", "test-shop/01")
	pr := w.approved("stale", one(path, "small", "approved"))
	w.quiet()
	w.Forge.PauseDeliveries()
	w.push("stale", one(path, "medium", "never seen"))
	w.bypass(pr)
	w.Forge.ResumeDeliveries()
	w.eventually("it to be quarantined", func() bool {
		return w.count(`select count(*) from audit_log where action_code in ('CHANGE_QUARANTINED', 'APPROVAL_BYPASSED') and subject = 'test-shop-shop-redis-01'`) == 1
	})
	w.quiet()
	w.absent("test-shop-shop-redis-01")
	if n := w.count(`select count(*) from events where path = $1 and status not in ('CANCELLED', 'PENDING')`, path); n != 0 {
		t.Errorf("%d events were carried out", n)
	}
}

// The database refuses to make a VM, a ticket or an event into another's.
func TestIdentityInTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.running("shop", "redis", "test-shop/01")
	for _, statement := range []string{
		`update vms set namespace = 'prod-shop'`, `update vms set service = 'mongo'`, `update vms set system = 'crm'`, `update vms set instance = '02'`,
		`update vms set path = 'systems/shop/redis/prod-shop/01.yaml'`, `update vms set name = 'prod-shop-shop-redis-01'`,
		`update vms set environment = 'prod'`, `update vms set kubernetes_namespace = 'kube-system'`,
		`update tickets set namespace = 'prod-shop'`, `update tickets set service = 'mongo'`, `update tickets set system = 'crm'`,
		`update tickets set instance = '02'`, `update tickets set path = 'systems/shop/redis/prod-shop/01.yaml'`, `update tickets set environment = 'prod'`,
		`update tickets set change_digest = 'another'`,
		`update events set payload = '{}'`, `update events set path = 'systems/shop/redis/prod-shop/01.yaml'`,
		`update plans set manifests = '[]'`, `update indexes set number = 2`, `delete from indexes`,
		`update audit_log set subject = ''`, `delete from audit_log`, `delete from decisions`,
		`delete from events`, `delete from tickets`, `delete from plans`, `delete from commands`, `delete from confirmations`,
		`delete from reviews`, `delete from pushes`, `delete from grants`, `update deliveries set body = ''`,
	} {
		if _, err := w.pool.Exec(t.Context(), statement); err == nil || strings.Contains(err.Error(), "does not exist") {
			t.Errorf("%s: %v", statement, err)
		}
	}
}

// A live object that says that it is another VM, or that was put in the place of ours, is not touched: neither when
// it is so before anybody approves, which stops the request, nor when it becomes so after.
func TestIdentityOnTheCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.running("shop", "redis", "test-shop/01", "test-shop/02")
	labelled, replaced := "test-shop-shop-redis-01", "test-shop-shop-redis-02"
	w.labelled(labelled, "mongo")
	ours := w.vm(labelled)
	pr := w.ask("larger", one(vmPath("shop", "redis", "test-shop/01"), "medium", "a machine of redis"))
	w.refused(pr, "FOREIGN_VM", vmPath("shop", "redis", "test-shop/01"), `its label kubevirt-shepherd.io/service is "mongo", not "redis"`)
	w.unchanged(ours)
	w.labelled(labelled, "redis")
	w.askedAgain(pr)
	w.push("larger", one(vmPath("shop", "redis", "test-shop/02"), "medium", "a machine of redis"))
	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")

	w.labelled(labelled, "mongo")
	ours = w.vm(labelled)
	twin := w.twin(replaced)
	w.merge(pr, "squash")
	w.eventually("both to fail", func() bool {
		return w.count(`select count(*) from events where pull_request = $1 and status = 'FAILED' and error_code = 'FOREIGN_VM'`, pr.Number()) == 2
	})
	w.quiet()
	w.show(pr, "of objects that are no more ours")
	w.unchanged(ours)
	w.unchanged(twin)
	late := w.ask("late", one(vmPath("shop", "redis", "test-shop/02"), "small", "a machine of redis, again"))
	w.refused(late, "FOREIGN_VM", vmPath("shop", "redis", "test-shop/02"), "was replaced: its uid is "+string(twin.UID), "find out who replaced it")
	w.unchanged(twin)
	if got := w.strings(`select distinct service from vms`); !slices.Equal(got, []string{"redis"}) {
		t.Errorf("the database took the labels over: %v", got)
	}
}

// labelled makes a virtual machine say, past git, that it is of a service.
func (w *world) labelled(name, service string) {
	w.t.Helper()
	vm := w.vm(name)
	patch := client.MergeFrom(vm.DeepCopy())
	vm.Labels["kubevirt-shepherd.io/service"] = service
	w.do(w.kube.Client().Patch(w.t.Context(), vm, patch))
}

// twin puts another virtual machine, which looks the same, in the place of one.
func (w *world) twin(name string) *kubevirtv1.VirtualMachine {
	w.t.Helper()
	old := w.vm(name)
	w.do(w.kube.Client().Delete(w.t.Context(), old))
	w.eventually("it to be gone", func() bool {
		return apierrors.IsNotFound(w.kube.Client().Get(w.t.Context(), w.key(name), &kubevirtv1.VirtualMachine{}))
	})
	twin := &kubevirtv1.VirtualMachine{
		ObjectMeta: metav1.ObjectMeta{Namespace: old.Namespace, Name: old.Name, Labels: old.Labels, Annotations: old.Annotations}, Spec: old.Spec,
	}
	w.do(w.kube.Client().Create(w.t.Context(), twin))
	return twin
}
