package service

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/render"
)

// strategy is the live VM's runStrategy.
func (w *world) strategy(id uuid.UUID) kubevirtv1.VirtualMachineRunStrategy {
	w.Helper()
	live := w.live(id)
	if live == nil || live.Spec.RunStrategy == nil {
		w.Fatal("there is no VM with a runStrategy")
	}
	return *live.Spec.RunStrategy
}

// The life of a VM, each operation from its event to the object, the states and back.
func TestALifetime(t *testing.T) {
	t.Parallel()
	w, virt := withVirtAPI(t)
	ref := newRef()
	name, m := ref.VMName(), machine(ref, w.ns)
	larger := memory(m, "2Gi")
	var run string
	for _, step := range []struct {
		what     judge.Change
		applied  domain.VMStatus // right after
		report   func(id uuid.UUID)
		settled  domain.VMStatus
		says     string
		strategy kubevirtv1.VirtualMachineRunStrategy
		guest    string
	}{
		{w.creation(ref), domain.VMCreating, func(id uuid.UUID) { run = w.boots(name); w.report(id, kubevirtv1.VirtualMachineStatusRunning) },
			domain.VMRunning, "running", kubevirtv1.RunStrategyAlways, "1Gi"},
		{w.change(domain.ModifyVM, ref, runs, runs, larger), domain.VMRunning, func(id uuid.UUID) {
			w.report(id, kubevirtv1.VirtualMachineStatusRunning, condition(kubevirtv1.VirtualMachineRestartRequired, "memory"))
		}, domain.VMRunning, "applied, pending restart: memory", kubevirtv1.RunStrategyAlways, "2Gi"},
		{w.change(domain.RestartVM, ref, runs, anew, larger), domain.VMStopping, func(id uuid.UUID) {
			if !w.watch(id) || w.vm(id).Status != "STOPPING" {
				t.Error("restarted before its instance was another")
			}
			w.halts(name)
			if again := w.boots(name); again == run {
				t.Error("the instance is the same")
			}
			w.report(id, kubevirtv1.VirtualMachineStatusRunning)
		}, domain.VMRunning, "running", kubevirtv1.RunStrategyAlways, "2Gi"},
		{w.change(domain.StopVM, ref, anew, rests, halted(larger)), domain.VMStopping, func(id uuid.UUID) {
			w.report(id, kubevirtv1.VirtualMachineStatusStopping)
			if !w.watch(id) {
				t.Error("stopping is taken for stopped")
			}
			w.halts(name)
			w.report(id, kubevirtv1.VirtualMachineStatusStopped)
		}, domain.VMStopped, "stopped", kubevirtv1.RunStrategyHalted, "2Gi"},
		{w.change(domain.StartVM, ref, rests, runs, larger), domain.VMStopped, func(id uuid.UUID) {
			w.report(id, kubevirtv1.VirtualMachineStatusStarting)
			if !w.watch(id) {
				t.Error("starting is taken for running")
			}
			w.boots(name)
			w.report(id, kubevirtv1.VirtualMachineStatusRunning)
		}, domain.VMRunning, "running", kubevirtv1.RunStrategyAlways, "2Gi"},
		{w.deletion(ref, runs), domain.VMDeleting, func(uuid.UUID) {}, domain.VMDeleted, "the VM is gone", "", ""},
	} {
		op := step.what.Operation
		id := w.ask(step.what)[0]
		w.done(id)
		w.states(id, event.StatusCOMPLETED, step.applied)
		if live := w.live(id); (live == nil) != (step.guest == "") {
			t.Fatalf("%s: vm %v", op, live)
		} else if live != nil {
			if got := live.Spec.Template.Spec.Domain.Memory.Guest.String(); got != step.guest || *live.Spec.RunStrategy != step.strategy ||
				live.Annotations[render.AnnotationEvent] != id.String() {
				t.Errorf("%s: guest %s, runStrategy %s, event %s", op, got, *live.Spec.RunStrategy, live.Annotations[render.AnnotationEvent])
			}
		}
		before := w.lines(`select v::text from vms v union all select e::text from events e order by 1`)
		w.ok(w.vms.Execute(t.Context(), id)) // a second time
		if diff := cmp.Diff(before, w.lines(`select v::text from vms v union all select e::text from events e order by 1`)); diff != "" {
			t.Errorf("%s a second time:\n%s", op, diff)
		}
		step.report(id)
		if w.watch(id) {
			t.Errorf("%s has not settled", op)
		}
		w.states(id, event.StatusCOMPLETED, step.settled)
		if got := w.vm(id).StatusMessage; !strings.Contains(got, step.says) {
			t.Errorf("%s: %q, want %q", op, got, step.says)
		}
	}
	if virt.restarts.Load() != 1 {
		t.Errorf("restarted %d times", virt.restarts.Load())
	}
	trail := w.lines(`select action_code || ' ' || count(*) from audit_log where action_code like 'EXECUTION%' group by action_code order by 1`)
	if diff := cmp.Diff([]string{"EXECUTION_COMPLETED 6", "EXECUTION_STARTED 6"}, trail); diff != "" {
		t.Errorf("trail:\n%s", diff)
	}
	if got := w.lines(`select number::text from vm_revisions order by number`); len(got) != 5 {
		t.Errorf("revisions %v", got)
	}
}

// What somebody hot-plugged is kept when a change is about something else.
func TestHotPluggedDisksSurvive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	ref := newRef()
	with := func(m render.Manifest, names ...string) render.Manifest {
		return edited(m, func(spec map[string]any) {
			guest := spec["template"].(map[string]any)["spec"].(map[string]any)
			var volumes, disks []any
			for _, n := range names {
				volumes = append(volumes, map[string]any{"name": n, "persistentVolumeClaim": map[string]any{"claimName": n}})
				disks = append(disks, map[string]any{"name": n, "disk": map[string]any{"bus": "virtio"}})
			}
			guest["volumes"] = volumes
			guest["domain"].(map[string]any)["devices"] = map[string]any{"disks": disks}
		})
	}
	m := with(machine(ref, w.ns), "root")
	id := w.ask(w.creation(ref, m))[0]
	w.done(id)
	live := w.live(id)
	guest := &live.Spec.Template.Spec
	guest.Volumes = append(guest.Volumes, kubevirtv1.Volume{Name: "hot", VolumeSource: kubevirtv1.VolumeSource{
		PersistentVolumeClaim: &kubevirtv1.PersistentVolumeClaimVolumeSource{
			PersistentVolumeClaimVolumeSource: corev1.PersistentVolumeClaimVolumeSource{ClaimName: "hot"}, Hotpluggable: true,
		},
	}})
	guest.Domain.Devices.Disks = append(guest.Domain.Devices.Disks, kubevirtv1.Disk{Name: "hot", DiskDevice: kubevirtv1.DiskDevice{Disk: &kubevirtv1.DiskTarget{Bus: "scsi"}}})
	w.ok(w.kube.Client().Update(t.Context(), live, client.FieldOwner("virt-api")))

	for _, size := range []string{"2Gi", "3Gi"} {
		id = w.ask(w.change(domain.ModifyVM, ref, runs, runs, memory(m, size)))[0]
		w.done(id)
		guest := w.live(id).Spec.Template.Spec
		if len(guest.Volumes) != 2 || len(guest.Domain.Devices.Disks) != 2 || guest.Domain.Memory.Guest.String() != size {
			t.Errorf("%s: %d volumes, %d disks, %s", size, len(guest.Volumes), len(guest.Domain.Devices.Disks), guest.Domain.Memory.Guest)
		}
		if got := w.lines(`select result from effects where id = $1`, "apply:"+id.String()); !strings.Contains(got[0], "kept") {
			t.Errorf("nobody is told: %q", got)
		}
	}
	// A change that is about the disks does not win silently.
	w.failed(w.ask(w.change(domain.ModifyVM, ref, runs, runs, with(m, "root", "more")))[0], domain.FieldConflict)
	w.states(id, event.StatusCOMPLETED, domain.VMCreating)
}

// Power is set where it was asked for, also later, and else left as it is on the cluster.
func TestPowerOfAModification(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	for _, c := range []struct {
		name    string
		prepare func(ref spec.Ref, id uuid.UUID)
		change  func(ref spec.Ref, m render.Manifest) judge.Change
		want    kubevirtv1.VirtualMachineRunStrategy
	}{
		{"drift is kept", func(ref spec.Ref, id uuid.UUID) {
			live, halted := w.live(id), kubevirtv1.RunStrategyHalted
			live.Spec.RunStrategy = &halted
			w.ok(w.kube.Client().Update(t.Context(), live, client.FieldOwner("somebody")))
		}, func(ref spec.Ref, m render.Manifest) judge.Change {
			return w.change(domain.ModifyVM, ref, runs, runs, m)
		}, kubevirtv1.RunStrategyHalted},
		{"asked for together with something else", func(spec.Ref, uuid.UUID) {}, func(ref spec.Ref, m render.Manifest) judge.Change {
			return w.change(domain.ModifyVM, ref, runs, rests, halted(m))
		}, kubevirtv1.RunStrategyHalted},
		{"asked for before, and failed", func(ref spec.Ref, _ uuid.UUID) {
			w.environment = domain.Test
			w.failed(w.ask(w.change(domain.StopVM, ref, runs, rests, halted(machine(ref, w.ns))))[0], domain.EnvironmentMismatch)
			w.environment = domain.Prod
		}, func(ref spec.Ref, m render.Manifest) judge.Change {
			return w.change(domain.ModifyVM, ref, rests, rests, halted(m))
		}, kubevirtv1.RunStrategyHalted},
		{"asked for again after it failed, while somebody did it by hand", func(ref spec.Ref, id uuid.UUID) {
			w.environment = domain.Test
			w.failed(w.ask(w.change(domain.StopVM, ref, runs, rests, halted(machine(ref, w.ns))))[0], domain.EnvironmentMismatch)
			w.environment = domain.Prod
			live, halted := w.live(id), kubevirtv1.RunStrategyHalted
			live.Spec.RunStrategy = &halted
			w.ok(w.kube.Client().Update(t.Context(), live, client.FieldOwner("somebody")))
		}, func(ref spec.Ref, m render.Manifest) judge.Change {
			return w.change(domain.ModifyVM, ref, rests, runs, m)
		}, kubevirtv1.RunStrategyAlways},
		{"an approver's plan decides, not what was asked for", func(spec.Ref, uuid.UUID) {}, func(ref spec.Ref, m render.Manifest) judge.Change {
			return w.change(domain.ModifyVM, ref, runs, runs, halted(m))
		}, kubevirtv1.RunStrategyHalted},
	} {
		ref, id := w.created()
		c.prepare(ref, id)
		next := w.ask(c.change(ref, memory(machine(ref, w.ns), "2Gi")))[0]
		w.done(next)
		if got := w.strategy(next); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// After a creation that failed, whatever follows creates.
func TestAfterAFailedCreation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	w.ns += "-missing" // its namespace was not made either
	for op, change := range map[domain.Operation]func(spec.Ref) judge.Change{
		domain.ModifyVM: func(r spec.Ref) judge.Change {
			return w.change(domain.ModifyVM, r, runs, runs, memory(machine(r, w.ns), "2Gi"))
		},
		domain.StopVM: func(r spec.Ref) judge.Change {
			return w.change(domain.StopVM, r, runs, rests, halted(machine(r, w.ns)))
		},
		domain.RestartVM: func(r spec.Ref) judge.Change { return w.change(domain.RestartVM, r, runs, anew, machine(r, w.ns)) },
	} {
		ref := newRef()
		w.environment = domain.Test
		id := w.ask(w.creation(ref))[0]
		w.failed(id, domain.EnvironmentMismatch)
		w.states(id, event.StatusFAILED, domain.VMFailed)
		w.environment = domain.Prod
		id = w.ask(change(ref))[0]
		w.done(id)
		if live := w.live(id); live == nil || string(live.UID) != w.vm(id).UID {
			t.Errorf("%s created nothing: %v", op, live)
		}
		if got := w.vm(id); got.Status == "FAILED" || got.StatusMessage != "" {
			t.Errorf("%s: vm %s %q", op, got.Status, got.StatusMessage)
		}
	}
}

// Events of a VM are carried out in the order of their merges, whichever comes first.
func TestOrderOfOperations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	ref, first := w.created()
	stop := w.ask(w.change(domain.StopVM, ref, runs, rests, halted(machine(ref, w.ns))))[0]
	end := w.ask(w.deletion(ref, rests))[0]
	if err := w.vms.Execute(t.Context(), end); !jobs.IsLater(err) || w.live(end).DeletionTimestamp != nil {
		t.Fatalf("the deletion before the stop: %v", err)
	}
	w.done(stop)
	if got := w.strategy(stop); got != kubevirtv1.RunStrategyHalted {
		t.Errorf("runStrategy %s", got)
	}
	w.done(end)
	for _, earlier := range []uuid.UUID{first, stop} {
		if w.watch(earlier) {
			t.Error("an earlier event's watcher goes on")
		}
	}
	w.ok(w.gateway.Observe(t.Context(), stop, domain.VMUnknown, "what its watcher saw before"))
	w.states(end, event.StatusCOMPLETED, domain.VMDeleting)
	if w.watch(end) {
		t.Error("it is not gone")
	}
	w.states(end, event.StatusCOMPLETED, domain.VMDeleted)

	// One that comes back late is cancelled, and changes nothing.
	_, err := w.pool.Exec(t.Context(), `update events set status = 'PROCESSING', finished_at = null where id = $1`, stop)
	w.ok(err)
	_, err = w.pool.Exec(t.Context(), `update tickets set status = 'APPROVED' where event_id = $1`, stop)
	w.ok(err)
	w.done(stop)
	if e := w.event(stop); e.Status != event.StatusCANCELLED || e.ErrorCode != string(domain.Superseded) {
		t.Errorf("event %s %s", e.Status, e.ErrorCode)
	}
	w.states(end, event.StatusCOMPLETED, domain.VMDeleted)
	if w.live(end) != nil {
		t.Error("it is back")
	}
}

// Nothing is applied to a VM that is deleted; whatever asks for it fails and holds nothing up.
func TestNothingComesAfterADeletion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	ref := newRef()
	w.environment = domain.Test
	w.failed(w.ask(w.creation(ref))[0], domain.EnvironmentMismatch)
	w.environment = domain.Prod
	end := w.ask(w.deletion(ref, runs))[0]
	w.done(end)
	late := w.ask(w.change(domain.ModifyVM, ref, runs, runs, machine(ref, w.ns)))[0]
	w.failed(late, domain.PlanInvalid)
	if w.watch(end) || w.live(end) != nil {
		t.Error("it was applied")
	}
	w.states(late, event.StatusFAILED, domain.VMDeleted)
	again := w.ask(w.deletion(ref, runs))[0]
	w.done(again)
	w.states(again, event.StatusCOMPLETED, domain.VMDeleted)
}

// However many workers take an event, it is carried out once.
func TestTwoWorkersAtOnce(t *testing.T) {
	t.Parallel()
	w, virt := withVirtAPI(t)
	ref, id := w.created()
	w.boots(ref.VMName())
	m := memory(machine(ref, w.ns), "2Gi")
	for _, c := range []judge.Change{
		w.change(domain.ModifyVM, ref, runs, runs, m), w.change(domain.RestartVM, ref, runs, anew, m), w.deletion(ref, anew),
	} {
		id = w.ask(c)[0]
		var group sync.WaitGroup
		for range 4 {
			service := w.service(w.gateway) // of another process
			group.Go(func() {
				if err := w.try(service, id); err != nil {
					t.Errorf("%s: %v", c.Operation, err)
				}
			})
		}
		group.Wait()
	}
	w.states(id, event.StatusCOMPLETED, domain.VMDeleting)
	if virt.calls.Load() != 1 {
		t.Errorf("KubeVirt was asked %d times to restart", virt.calls.Load())
	}
	for _, action := range []string{"EXECUTION_STARTED", "EXECUTION_COMPLETED"} {
		if got := w.lines(`select 1::text from audit_log where action_code = $1`, action); len(got) != 4 {
			t.Errorf("%s %d times", action, len(got))
		}
	}
}

// No operation touches a cluster of another environment.
func TestEnvironmentOfEveryOperation(t *testing.T) {
	t.Parallel()
	w, virt := withVirtAPI(t)
	ref, first := w.created()
	w.boots(ref.VMName())
	m := halted(memory(machine(ref, w.ns), "2Gi"))
	w.environment = domain.Test
	before := w.live(first).ResourceVersion
	for _, c := range []judge.Change{
		w.change(domain.ModifyVM, ref, runs, rests, m), w.change(domain.StopVM, ref, runs, rests, m), w.change(domain.StartVM, ref, runs, rests, m),
		w.change(domain.RestartVM, ref, runs, anew, m), w.deletion(ref, runs),
	} {
		w.failed(w.ask(c)[0], domain.EnvironmentMismatch)
	}
	w.states(first, event.StatusCOMPLETED, domain.VMCreating)
	if live := w.live(first); live.ResourceVersion != before || live.DeletionTimestamp != nil || virt.calls.Load() != 0 {
		t.Error("it was touched")
	}
}
