package e2e

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// allowDeletes lets Alice delete, in prod too.
func allowDeletes(o *stage.Options) {
	o.Files["platform/roles/admins.yaml"] = platformFile("RoleBinding",
		"  role: system-admin\n  people: [{login: alice, id: 101}]\n  allowedEnvironments: [test, prod]\n")
}

// The life of a machine on clusters where KubeVirt runs: its webhooks give their verdict before anybody
// decides, its controller starts, stops, restarts and removes the machine. Nothing here plays KubeVirt but
// the node.
func TestLifeByKubeVirt(t *testing.T) {
	t.Parallel()
	w := setup{kubeVirt: true, stage: []func(*stage.Options){allowDeletes}}.world(t)
	const name = "test-shop-shop-redis-01"
	path := vmPath("shop", "redis", "test-shop/01")

	pr := w.ask("shop", machines("shop", "redis", "test-shop/01"))
	w.comment(pr, "Tried on cluster `test-1` by a dry-run: accepted")
	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")
	w.merge(pr, "merge")
	w.comment(pr, "✅ running")
	first := w.instance(name)

	// A larger size: KubeVirt says that it waits for a restart, as the plan has said before.
	pr = w.ask("larger", forgetest.Files{path: w.replace(w.onMain(path), "size: small", "size: medium")})
	w.comment(pr, "| restart |")
	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")
	w.merge(pr, "merge")
	w.comment(pr, "pending restart")

	pr = w.ask("restart", forgetest.Files{path: append(w.onMain(path), "  restartedAt: 2026-01-01T00:00:00Z\n"...)})
	w.merged(pr)
	w.comment(pr, "✅ restarted")
	second := w.instance(name)
	if first.UID == second.UID {
		t.Error("the machine runs as it did before the restart")
	}
	if got := second.Spec.Domain.CPU.Sockets; got != 2 {
		t.Errorf("%d sockets after the restart", got)
	}

	pr = w.ask("stop", forgetest.Files{path: w.replace(w.onMain(path), "power: running", "power: stopped")})
	w.merged(pr)
	w.comment(pr, "✅ stopped")
	w.noInstance(name)
	pr = w.ask("start", forgetest.Files{path: w.replace(w.onMain(path), "power: stopped", "power: running")})
	w.merged(pr)
	w.comment(pr, "✅ running")

	pr = w.ask("delete", forgetest.Files{path: nil})
	w.approve(w.Bob, pr)
	must(w.Alice.Comment(pr, strings.Join(w.toConfirm(pr), "\n")))(w)
	w.check(pr, "shepherd/approval", "success")
	w.merge(pr, "merge")
	w.comment(pr, "✅ deleted")
	w.absent(name)
	w.noInstance(name)
}

// What only the cluster's KubeVirt knows stops the pull request, in its words.
func TestRefusedByKubeVirt(t *testing.T) {
	t.Parallel()
	w := setup{kubeVirt: true, stage: []func(*stage.Options){func(o *stage.Options) {
		o.Files["platform/sizes/odd.yaml"] = platformFile("InstanceSize",
			"  cores: 1\n  memory: 2Gi\n  specOverrides:\n    spec.template.spec.domain.machine.type: abacus\n")
	}}}.world(t)
	files := machines("shop", "redis", "test-shop/01")
	path := vmPath("shop", "redis", "test-shop/01")
	files[path] = stage.VM("odd", "a machine of another kind")
	pr := w.ask("odd", files)
	check := w.problem(pr, "CLUSTER_REFUSED", path, 1)
	if !strings.Contains(check.Summary, "abacus") {
		t.Errorf("the check does not say what is wrong:\n%s", check.Summary)
	}
}

// instance waits for the machine's running instance.
func (w *world) instance(name string) *kubevirtv1.VirtualMachineInstance {
	w.t.Helper()
	vmi := &kubevirtv1.VirtualMachineInstance{}
	w.eventually("the instance of "+name, func() bool {
		return w.kube.Client().Get(w.t.Context(), w.key(name), vmi) == nil && vmi.Status.Phase == kubevirtv1.Running && vmi.DeletionTimestamp == nil
	})
	return vmi
}

func (w *world) noInstance(name string) {
	w.t.Helper()
	w.eventually("no instance of "+name, func() bool {
		return apierrors.IsNotFound(w.kube.Client().Get(w.t.Context(), w.key(name), &kubevirtv1.VirtualMachineInstance{}))
	})
}
