package service

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
)

// The accepted spec, not the plan and not today's wishes, says what becomes of the disks.
func TestDisksOfADeletedVM(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	for accepted, stays := range map[string]bool{runs: false, retains: true} {
		ref := newRef()
		w.done(w.ask(w.creation(ref, w.pair(ref, "1Gi")...))[0])
		if w.volume(ref) == nil {
			t.Fatal("there is no disk")
		}
		id := w.ask(w.deletion(ref, accepted))[0]
		w.done(id)
		if w.watch(id) {
			t.Error("it is watched on")
		}
		w.states(id, event.StatusCOMPLETED, domain.VMDeleted)
		if got := w.volume(ref) != nil; got != stays {
			t.Errorf("%s: disk %v, want %v", accepted, got, stays)
		}
		if got := w.lines(`select result from effects where id = $1`, "apply:"+id.String())[0]; strings.Contains(got, "retained") != stays || !strings.Contains(got, "VirtualMachine") {
			t.Errorf("%s: %q", accepted, got)
		}
	}
	if diff := cmp.Diff([]string{"apply", "delete", "apply", "delete"}, w.steps); diff != "" {
		t.Errorf("measured:\n%s", diff)
	}
}

// A deletion whose event does not say what was accepted touches nothing.
func TestDeletionWithoutAnAcceptedSpec(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	for _, accepted := range []string{"", `["none"]`} {
		ref, created := w.created()
		c := w.deletion(ref, accepted)
		if accepted == "" {
			c.Accepted = nil
		}
		id := w.ask(c)[0]
		err := w.try(w.vms, id)
		if !jobs.IsTerminal(err) {
			t.Errorf("%q: %v", accepted, err)
		}
		w.ok(w.vms.Fail(t.Context(), id, err))
		w.states(id, event.StatusFAILED, domain.VMCreating)
		if live := w.live(created); live == nil || live.DeletionTimestamp != nil {
			t.Errorf("%q: it was deleted", accepted)
		}
	}
}

// A VM is watched until it is gone, however long that takes, and people are told what it waits for.
func TestADeletionIsWatched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	ref, created := w.created()
	live := w.live(created)
	live.Finalizers = []string{"kubevirt.io/virtualMachineControllerFinalize"}
	w.ok(w.kube.Client().Update(t.Context(), live))
	id := w.ask(w.deletion(ref, runs))[0]
	w.done(id)
	for _, c := range []struct {
		ahead time.Duration
		says  string
	}{{0, ""}, {time.Minute, "waits for kubevirt.io/virtualMachineControllerFinalize"}, {5 * time.Hour, "waits for kubevirt.io/"}} {
		w.ahead = c.ahead
		if !w.watch(id) {
			t.Errorf("after %s nobody watches", c.ahead)
		}
		w.states(id, event.StatusCOMPLETED, domain.VMDeleting)
		if got := w.vm(id).StatusMessage; !strings.Contains(got, c.says) || c.says == "" && got != "" {
			t.Errorf("after %s: %q", c.ahead, got)
		}
	}
	live = w.live(id)
	live.Finalizers = nil
	w.ok(w.kube.Client().Update(t.Context(), live))
	for range 2 {
		if w.watch(id) {
			t.Error("it is watched on")
		}
		w.states(id, event.StatusCOMPLETED, domain.VMDeleted)
	}
	if got := w.lines(`select params->>'status' from audit_log where action_code = 'VM_OBSERVED' order by id`); !cmp.Equal(got, []string{"DELETING", "DELETED"}) {
		t.Errorf("trail %v", got)
	}
}

// What was never there is deleted all the same, and no namespace is made for that.
func TestDeletionOfWhatNeverWas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	for _, suffix := range []string{"", "-missing"} {
		w.ns += suffix
		ref := newRef()
		w.environment = domain.Test
		w.failed(w.ask(w.creation(ref))[0], domain.EnvironmentMismatch)
		w.environment = domain.Prod
		id := w.ask(w.deletion(ref, runs))[0]
		w.done(id)
		if w.watch(id) {
			t.Error("it is watched on")
		}
		w.states(id, event.StatusCOMPLETED, domain.VMDeleted)
	}
	if got := w.lines(`select action_code from audit_log where action_code = 'NAMESPACE_CREATED'`); len(got) != 0 {
		t.Error("a namespace was made")
	}
}

// foreign puts a VM of somebody else's under a VM's name.
func (w *world) foreign(ref spec.Ref, labels map[string]string) *kubevirtv1.VirtualMachine {
	w.Helper()
	vm := &kubevirtv1.VirtualMachine{}
	vm.Namespace, vm.Name, vm.Labels = w.ns, ref.VMName(), labels
	strategy := kubevirtv1.RunStrategyHalted
	vm.Spec.RunStrategy, vm.Spec.Template = &strategy, &kubevirtv1.VirtualMachineInstanceTemplateSpec{}
	w.ok(w.kube.Client().Create(w.Context(), vm))
	return vm
}

// A name that was somebody else's from the start can be given up.
func TestDeletionUnderAForeignName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	ref := newRef()
	foreign := w.foreign(ref, nil)
	w.failed(w.ask(w.creation(ref))[0], domain.ForeignVM)
	id := w.ask(w.deletion(ref, runs))[0]
	w.done(id)
	if w.watch(id) {
		t.Error("it is watched on")
	}
	w.states(id, event.StatusCOMPLETED, domain.VMDeleted)
	if live := w.live(id); live.ResourceVersion != foreign.ResourceVersion || live.DeletionTimestamp != nil {
		t.Error("the foreign VM was touched")
	}
}

// A VM that was replaced behind us is nobody's to delete. When somebody has settled that, a retry ends it.
func TestDeletionOfAReplacedVM(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	ref, created := w.created()
	live := w.live(created)
	w.ok(w.kube.Client().Delete(t.Context(), live))
	foreign := w.foreign(ref, live.Labels)
	id := w.ask(w.deletion(ref, runs))[0]
	w.failed(id, domain.ForeignVM)
	w.states(id, event.StatusFAILED, domain.VMCreating)
	if got := w.live(id); got == nil || got.UID != foreign.UID {
		t.Error("the other VM was deleted")
	}
	w.ok(w.kube.Client().Delete(t.Context(), foreign))
	again := w.retried(id)
	w.done(again)
	if w.watch(again) {
		t.Error("it is watched on")
	}
	w.states(again, event.StatusCOMPLETED, domain.VMDeleted)
}

// retried asks for what failed once more, and returns the event.
func (w *world) retried(id uuid.UUID) uuid.UUID {
	w.Helper()
	_, err := w.gateway.Retry(w.Context(), w.event(id).PullRequest, audit.Actor{ID: 1, Login: "dave"}, func(*ent.Ticket) string { return "" })
	w.ok(err)
	e, err := w.db.Event.Query().Where(event.RetryOf(id)).Only(w.Context())
	w.ok(err)
	return e.ID
}

// A deletion that a cluster cannot take now waits; the VM is not deleted in the books before it is.
func TestDeletionWithoutCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	ref, created := w.created()
	id := w.ask(w.deletion(ref, runs))[0]
	_, err := w.pool.Exec(t.Context(), `update clusters set uid = 'of-another-cluster', generation = 2`)
	w.ok(err)
	if err := w.service(w.gateway).Execute(t.Context(), id); err == nil || jobs.IsTerminal(err) {
		t.Errorf("%v", err)
	}
	w.states(id, event.StatusPROCESSING, domain.VMCreating)
	var vm kubevirtv1.VirtualMachine
	w.ok(w.kube.Client().Get(t.Context(), client.ObjectKeyFromObject(w.live(created)), &vm))
	if vm.DeletionTimestamp != nil {
		t.Error("another cluster's VM was deleted")
	}
}
