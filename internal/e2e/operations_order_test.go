package e2e

import (
	"fmt"
	"strings"
	"testing"

	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// What is under way comes first: a later request for the same machine waits for it, and goes on by itself.
func TestDeletionWhileAStopIsUnderWay(t *testing.T) {
	t.Parallel()
	w := newPlant(t)
	const name = "test-shop-shop-redis-01"
	path := vmPath("shop", "redis", "test-shop/01")
	w.told(w.runningMachine(path, name), "Applied and running")

	w.gate.close()
	stop := w.ask("stop", forgetest.Files{path: machine("size: small", "power: stopped")})
	w.merged(stop)
	w.eventually("the stop to be on its way", func() bool { return w.gate.waiting() > 0 })
	w.comment(stop, "⏳ applying…")
	end := w.ask("delete", forgetest.Files{path: nil})
	check := w.problem(end, "DUPLICATE_PENDING_REQUEST", path, 1)
	t.Log(check.Summary)
	w.gate.letThrough()
	w.eventually("the order to stop", func() bool { return w.strategy(name) == kubevirtv1.RunStrategyHalted })
	w.published(end) // nobody had to ask again; the guest is still on its way down
	w.comment(stop, "applied, stopping")
	w.approve(w.Bob, end)
	w.obeys(w.Alice, end, w.toConfirm(end)[0])
	w.check(end, "shepherd/approval", "success")
	w.merge(end, "merge")
	w.told(end, "Deleted")
	_, closing := w.told(stop, "Applied", "✅ applied")
	if !strings.Contains(closing, "a later change came after it") {
		t.Errorf("the stop's end is\n%s", closing)
	}
	w.absent(name)
	w.wantActs(name, "CREATE_VM COMPLETED/COMPLETED", "STOP_VM COMPLETED/COMPLETED", "DELETE_VM COMPLETED/COMPLETED")
}

// runningMachine creates a machine that runs.
func (w *plant) runningMachine(path, name string) *forgetest.Pull {
	w.t.Helper()
	files := machines("shop", "redis")
	files[path] = machine("size: small", "power: running")
	pr := w.decided("create", files)
	w.vm(name)
	w.boots(name)
	return pr
}

// A change after a creation that failed creates the machine as it is wanted by then; the failed one is
// history.
func TestChangeAfterAFailedCreation(t *testing.T) {
	t.Parallel()
	w := newPlant(t)
	const name = "test-shop-shop-redis-01"
	path := vmPath("shop", "redis", "test-shop/01")
	files := machines("shop", "redis")
	files[path] = machine("size: small", "power: running")
	create := w.approved("create", files)
	foreign := w.foreign(name) // nobody could have seen it before
	w.merge(create, "merge")
	w.told(create, "Partly applied: 2 of 3", "❌ failed: FOREIGN_VM")
	w.status(name, "FAILED")

	// While it is there, a change of the machine is stopped too: it would create it.
	change := w.ask("change", forgetest.Files{path: machine("size: medium", "power: running")})
	w.refused(change, "FOREIGN_VM", path, "have the other one removed")
	w.unchanged(foreign)
	w.do(w.kube.Client().Delete(t.Context(), foreign))
	w.askedAgain(change)
	w.approve(w.Bob, change)
	w.check(change, "shepherd/approval", "success")
	w.refuses(w.Alice, create, "/retry", fmt.Sprintf("#%d", change.Number()), "asks for it by now")
	w.merge(change, "squash")
	w.eventually("the machine", func() bool { return w.acts(name)[len(w.acts(name))-1] == "MODIFY_VM COMPLETED/COMPLETED" })
	w.boots(name)
	w.told(change, "Applied and running", "✅ changed, running")
	w.status(name, "RUNNING")
	if got := w.vm(name).Spec.Template.Spec.Domain.Memory.Guest.String(); got != "4Gi" {
		t.Errorf("memory %s", got)
	}
	w.refuses(w.Alice, create, "/retry", "a later change of this VM was merged", "new pull request")
	w.wantActs(name, "CREATE_VM FAILED/FAILED FOREIGN_VM", "MODIFY_VM COMPLETED/COMPLETED")
}

// Who stops a machine by hand has it stopped: a change of something else keeps that and says so; what is
// about power sets it.
func TestPowerDrift(t *testing.T) {
	t.Parallel()
	w := newPlant(t)
	const name = "test-shop-shop-redis-01"
	path := vmPath("shop", "redis", "test-shop/01")
	w.told(w.runningMachine(path, name), "Applied and running")
	halted := kubevirtv1.RunStrategyHalted
	w.byHand(name, func(vm *kubevirtv1.VirtualMachine) { vm.Spec.RunStrategy = &halted })
	w.halts(name)

	change := w.decided("change", forgetest.Files{path: machine("size: medium", "power: running")})
	w.told(change, "Applied, 0 of 1 running", "✅ changed, stopped", "power drift: runStrategy is Halted on the cluster and Always in git; kept")
	w.status(name, "STOPPED")
	if got := w.strategy(name); got != halted {
		t.Errorf("a change of the size sets %s", got)
	}

	stop := w.ask("stop", forgetest.Files{path: machine("size: medium", "power: stopped")})
	w.merged(stop)
	w.told(stop, "Stopped")
	start := w.ask("start", forgetest.Files{path: machine("size: medium", "power: running")})
	w.merged(start)
	w.eventually("the order to start", func() bool { return w.strategy(name) == kubevirtv1.RunStrategyAlways })
	w.boots(name)
	w.told(start, "Started")
	w.status(name, "RUNNING")
}
