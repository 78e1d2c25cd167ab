package service

import (
	"testing"
	"time"

	"github.com/google/uuid"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/provider"
)

// restarting is a running VM and the event that restarts it.
func (w *world) restarting() (ref spec.Ref, id uuid.UUID, run string) {
	w.Helper()
	ref, _ = w.created()
	run = w.boots(ref.VMName())
	return ref, w.ask(w.change(domain.RestartVM, ref, runs, anew, machine(ref, w.ns)))[0], run
}

// A VM that does not run is not restarted; that is done, and said.
func TestRestartOfAStoppedVM(t *testing.T) {
	t.Parallel()
	w, virt := withVirtAPI(t)
	const note = "the VM does not run: there is nothing to restart"
	ref, _ := w.created()
	id := w.ask(w.change(domain.RestartVM, ref, runs, anew, machine(ref, w.ns)))[0]
	w.done(id)
	if got := w.event(id); got.Status != event.StatusCOMPLETED || got.ErrorMessage != note || virt.calls.Load() != 0 {
		t.Errorf("event %s %q, %d calls", got.Status, got.ErrorMessage, virt.calls.Load())
	}
	halted := kubevirtv1.RunStrategyHalted
	live := w.live(id)
	live.Spec.RunStrategy = &halted
	w.ok(w.kube.Client().Update(t.Context(), live))
	w.report(id, kubevirtv1.VirtualMachineStatusStopped)
	if w.watch(id) {
		t.Error("it is watched on")
	}
	w.states(id, event.StatusCOMPLETED, domain.VMStopped)
	if got := w.vm(id).StatusMessage; got != note {
		t.Errorf("%q", got)
	}
}

// A modification that moves restartedAt restarts after it has applied; another does not.
func TestModificationThatRestarts(t *testing.T) {
	t.Parallel()
	w, virt := withVirtAPI(t)
	ref, _ := w.created()
	w.boots(ref.VMName())
	for i, c := range []struct {
		before, wanted string
		restarts       int64
	}{{runs, runs, 0}, {runs, anew, 1}, {anew, anew, 1}} {
		id := w.ask(w.change(domain.ModifyVM, ref, c.before, c.wanted, memory(machine(ref, w.ns), []string{"2Gi", "3Gi", "4Gi"}[i])))[0]
		w.done(id)
		if got := virt.restarts.Load(); got != c.restarts {
			t.Errorf("step %d: %d restarts, want %d", i, got, c.restarts)
		}
	}
}

// Which run ends is decided once: one that began since is not ended, whoever began it.
func TestALaterRunIsNotRestarted(t *testing.T) {
	t.Parallel()
	w, virt := withVirtAPI(t)
	ref, id, run := w.restarting()
	noted, err := w.gateway.BeginRestart(t.Context(), id, run)
	w.ok(err)
	w.halts(ref.VMName())
	later := w.boots(ref.VMName())
	again, err := w.gateway.BeginRestart(t.Context(), id, later)
	w.ok(err)
	if again != noted || again.Run != run {
		t.Errorf("noted %+v, then %+v", noted, again)
	}
	w.done(id)
	if virt.calls.Load() != 0 {
		t.Error("the later run was ended")
	}
	w.report(id, kubevirtv1.VirtualMachineStatusRunning)
	if w.watch(id) {
		t.Error("it is watched on")
	}
	w.states(id, event.StatusCOMPLETED, domain.VMRunning)
}

// Until the instance is another one the VM has not restarted, ready or not; after an hour that is said.
func TestVerifyARestart(t *testing.T) {
	t.Parallel()
	w, _ := withVirtAPI(t)
	_, id, _ := w.restarting()
	w.done(id)
	w.report(id, kubevirtv1.VirtualMachineStatusRunning)
	for _, c := range []struct {
		ahead  time.Duration
		again  bool
		status domain.VMStatus
		says   string
	}{
		{0, true, domain.VMCreating, ""},
		{time.Minute, true, domain.VMCreating, "the VM has not restarted yet"},
		{2 * time.Hour, false, domain.VMUnknown, "KubeVirt has not finished within an hour: the VM has not restarted yet"},
	} {
		w.ahead = c.ahead
		if again := w.watch(id); again != c.again {
			t.Errorf("after %s: again %v", c.ahead, again)
		}
		w.states(id, event.StatusCOMPLETED, c.status)
		if got := w.vm(id).StatusMessage; got != c.says {
			t.Errorf("after %s: %q", c.ahead, got)
		}
	}
}

// KubeVirt's server may be away: the restart waits, is told, and happens once when it is back.
func TestRestartWithoutVirtAPI(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	_, id, _ := w.restarting()
	err := w.vms.Execute(t.Context(), id)
	if p := problemOf(err); p.Code != domain.ClusterUnreachable {
		t.Fatalf("%v", err)
	}
	w.states(id, event.StatusPROCESSING, domain.VMCreating)
	if got := w.event(id); got.ErrorCode != string(domain.ClusterUnreachable) {
		t.Errorf("nobody is told: %s %s", got.ErrorCode, got.ErrorMessage)
	}
	w.ok(w.vms.Fail(t.Context(), id, &provider.Error{Problem: domain.Problem{Code: domain.ClusterUnreachable, Message: "given up"}, Class: provider.Never}))
	if got := w.lines(`select status || ' ' || result from effects where id = $1`, "restart:"+id.String()); got[0] != "failed given up" {
		t.Errorf("%v", got)
	}
}
