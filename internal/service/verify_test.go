package service

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/vm"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/kubetest"
	"kv-shepherd.io/shepherd/internal/provider"
)

// applied is a VM that was created a while ago.
func applied(t *testing.T) (*world, uuid.UUID) {
	t.Helper()
	w := newWorld(t)
	w.add("prod-1")
	id := w.merged()
	w.ok(w.vms.Execute(t.Context(), id))
	return w, id
}

func (w *world) report(id uuid.UUID, state kubevirtv1.VirtualMachinePrintableStatus, further ...kubevirtv1.VirtualMachineCondition) {
	w.Helper()
	key := client.ObjectKey{Namespace: w.ns, Name: w.event(id).Subject}
	w.ok(kubetest.SetVMStatus(w.Context(), w.kube.Client(), key, state, further...))
}

func condition(kind kubevirtv1.VirtualMachineConditionType, message string) kubevirtv1.VirtualMachineCondition {
	return kubevirtv1.VirtualMachineCondition{Type: kind, Status: corev1.ConditionTrue, Message: message, Reason: "Test"}
}

// What KubeVirt says becomes the VM's state, and whether it is looked at again.
func TestVerify(t *testing.T) {
	t.Parallel()
	w, id := applied(t)
	for i, step := range []struct {
		name   string
		do     func()
		later  bool
		status domain.VMStatus
		says   string
	}{
		{"a moment after", func() {}, true, domain.VMCreating, ""},
		{"nothing reported", func() { w.ahead = worthTelling + time.Second }, true, domain.VMCreating, "KubeVirt has not reported yet"},
		{"starting", func() { w.report(id, kubevirtv1.VirtualMachineStatusStarting) }, true, domain.VMCreating, "Starting"},
		{"an error that may pass", func() { w.report(id, kubevirtv1.VirtualMachineStatusErrImagePull) }, true, domain.VMCreating, ""},
		{"an error that stays", func() { w.ahead = 3 * time.Minute }, false, domain.VMFailed, ""},
		{"running after all", func() { w.report(id, kubevirtv1.VirtualMachineStatusRunning) }, false, domain.VMRunning, "the VM is running"},
		{"restart required", func() {
			w.report(id, kubevirtv1.VirtualMachineStatusRunning, condition(kubevirtv1.VirtualMachineRestartRequired, "a new CPU"))
		}, false, domain.VMRunning, "applied, pending restart"},
		{"unsettled for more than an hour", func() {
			w.ahead = 2 * time.Hour
			w.report(id, kubevirtv1.VirtualMachineStatusStarting)
		}, false, domain.VMUnknown, "KubeVirt has not finished within an hour"},
	} {
		step.do()
		err := w.vms.Verify(t.Context(), jobs.VerifyVM{EventID: id})
		if jobs.IsLater(err) != step.later || err != nil && !step.later {
			t.Errorf("%s: %v", step.name, err)
		}
		row := w.vm(id)
		if i == 0 && row.StatusMessage != "" {
			t.Errorf("%s: %q is told already", step.name, row.StatusMessage)
		}
		if row.Status != vm.Status(step.status) || !strings.Contains(row.StatusMessage, step.says) {
			t.Errorf("%s: %s %q, want %s %q", step.name, row.Status, row.StatusMessage, step.status, step.says)
		}
	}
	trail := w.lines(`select count(*)::text from audit_log where action_code = 'VM_OBSERVED'`)
	w.ok(w.vms.Verify(t.Context(), jobs.VerifyVM{EventID: id}))
	if again := w.lines(`select count(*)::text from audit_log where action_code = 'VM_OBSERVED'`); again[0] != trail[0] {
		t.Error("what was known was noted again")
	}
}

// What KubeVirt said before it looked at a change says nothing of it: else nobody would hear of a restart
// that is needed.
func TestVerifyWaitsForKubeVirtToLook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	ref, id := w.created()
	w.report(id, kubevirtv1.VirtualMachineStatusRunning)
	w.watch(id)
	w.states(id, event.StatusCOMPLETED, domain.VMRunning)
	id = w.ask(w.change(domain.ModifyVM, ref, runs, runs, memory(machine(ref, w.ns), "2Gi")))[0]
	w.done(id)
	if !w.watch(id) {
		t.Error("what was said before the change counts")
	}
	w.states(id, event.StatusCOMPLETED, domain.VMRunning)
	if got := w.vm(id).StatusMessage; got != "" {
		t.Errorf("%q is from before the change", got)
	}
	w.ahead = time.Minute
	if !w.watch(id) || w.vm(id).StatusMessage != "the VM runs, and KubeVirt has not looked at the change yet" {
		t.Errorf("%q", w.vm(id).StatusMessage)
	}
	w.states(id, event.StatusCOMPLETED, domain.VMUnknown) // nobody takes it for done
	w.report(id, kubevirtv1.VirtualMachineStatusRunning, condition(kubevirtv1.VirtualMachineRestartRequired, "memory"))
	if w.watch(id) || w.vm(id).StatusMessage != "applied, pending restart: memory" {
		t.Errorf("%q", w.vm(id).StatusMessage)
	}
}

// A cluster that does not answer is waited for; the VM's state is left as it was.
func TestVerifyWithoutCluster(t *testing.T) {
	t.Parallel()
	w, id := applied(t)
	_, err := w.pool.Exec(t.Context(), `update clusters set uid = 'of-another-cluster', generation = 2`)
	w.ok(err)
	w.ahead = 5 * time.Hour
	if err := w.vms.Verify(t.Context(), jobs.VerifyVM{EventID: id}); !jobs.IsLater(err) {
		t.Errorf("%v", err)
	}
	if row := w.vm(id); row.Status != vm.Status(domain.VMCreating) {
		t.Errorf("status %s", row.Status)
	}
}

// A later event has its own watcher, an unfinished one none.
func TestVerifyLeavesToOthers(t *testing.T) {
	t.Parallel()
	w, id := applied(t)
	w.report(id, kubevirtv1.VirtualMachineStatusRunning)
	_, err := w.pool.Exec(t.Context(), `update vms set applied_sequence = 2`)
	w.ok(err)
	w.ok(w.vms.Verify(t.Context(), jobs.VerifyVM{EventID: id}))
	_, err = w.pool.Exec(t.Context(), `update vms set applied_sequence = 1`)
	w.ok(err)
	_, err = w.pool.Exec(t.Context(), `update events set finished_at = null`)
	w.ok(err)
	w.ok(w.vms.Verify(t.Context(), jobs.VerifyVM{EventID: id}))
	if row := w.vm(id); row.Status != vm.Status(domain.VMCreating) {
		t.Errorf("status %s", row.Status)
	}
}

func TestStatusOf(t *testing.T) {
	t.Parallel()
	for state, c := range map[provider.State]struct {
		want    domain.VMStatus
		settled bool
	}{
		provider.StateRunning: {domain.VMRunning, true}, provider.StateRestartRequired: {domain.VMRunning, true},
		provider.StateStopped: {domain.VMStopped, true}, provider.StateFailed: {domain.VMFailed, true},
		provider.StatePending: {domain.VMStopping, false}, provider.StateUnknown: {domain.VMStopping, false},
	} {
		if got, settled := statusOf(provider.Verdict{State: state}, domain.VMStopping); got != c.want || settled != c.settled {
			t.Errorf("%s: %s, %v; want %s, %v", state, got, settled, c.want, c.settled)
		}
	}
}

func TestPause(t *testing.T) {
	t.Parallel()
	for since, want := range map[time.Duration]time.Duration{
		0: time.Second, 5 * time.Second: time.Second, 30 * time.Second: 3 * time.Second, time.Hour: time.Minute, -time.Minute: time.Second,
	} {
		if got := pause(since); got != want {
			t.Errorf("after %s: %s, want %s", since, got, want)
		}
		if !jobs.IsLater(jobs.Later(pause(since), errors.New("x"))) {
			t.Errorf("after %s nobody comes back", since)
		}
	}
}
