package approval

import (
	"errors"
	"fmt"
	"testing"

	"kv-shepherd.io/shepherd/ent/vm"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/judge"
)

// A merged removal takes the accepted spec away; the index stays used, and the machine stays known.
func TestMergeRemoval(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.running(7, "c0", "c1", newSystem(0), newService(0), vm1, vm2)
	plan := w.vm(vm1.Path).AcceptedPlan
	w.removed(8, "c1", "c2", goneVM, goneService)
	w.same("accepted", []string{vm2.Path, systemRef.Path()}, w.texts("select id from accepted order by 1"))
	w.same("indexes", []string{"redis 1 prod-shop-shop-redis-01", "redis 2 prod-shop-shop-redis-02"}, w.texts(`select service || ' ' || number || ' ' || vm from indexes order by 1`))
	w.same("tickets", []string{"prod-shop-shop-redis-01 APPROVED PROCESSING", "shop/redis APPROVED PROCESSING"}, w.states(8))
	w.same("claims until it is done", []string{"service:redis #8", "vm:prod-shop-shop-redis-01 #8"}, w.claims())
	got := w.vm(vm1.Path)
	w.same("vm", []any{int64(2), int64(1), plan, vm.StatusCREATING}, []any{got.Sequence, got.AppliedSequence, got.AcceptedPlan, got.Status})

	work := w.started(vm1.Path)
	w.same("there is nothing to apply", 0, len(work.Manifests))
	w.ok(w.g.Finish(t.Context(), work, Applied{Summary: "deleted"}))
	got = w.vm(vm1.Path)
	w.same("vm", []any{int64(2), "uid-1", vm.StatusDELETING}, []any{got.AppliedSequence, got.UID, got.Status})
	w.same("revisions are of what was applied", []string{"1"}, w.texts("select number::text from vm_revisions where vm_id = $1", got.ID))
	w.ok(w.g.Observe(t.Context(), work.Event.ID, domain.VMDeleted, ""))
	w.same("claims", []string{"service:redis #8"}, w.claims())
	if _, err := w.pool.Exec(t.Context(), "delete from indexes"); err == nil {
		t.Error("an index is free again")
	}
}

// The removal of a service waits for what is under way below it, is refused while a machine is left, with
// the count, and frees the names when none is.
func TestRemove(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var machines, ends []judge.Change
	for i := 1; i <= 7; i++ {
		machines, ends = append(machines, newVM(i)), append(ends, onVM(domain.DeleteVM, i))
	}
	w.running(7, "c0", "c1", machines...)
	other := newVM(8, func(c *judge.Change) {
		c.Ref.Service = "redis-too"
		c.Path, c.Subject, c.Claims = c.Ref.Path(), c.Ref.VMName(), []string{"vm:" + c.Ref.VMName()}
	})
	w.pull(9)
	w.merged(9, "c1", "c2", other) // a neighbour whose name begins the same
	w.removed(8, "c2", "c3", append(ends, goneService)...)
	id := w.ticket(goneService.Path).EventID
	for i, end := range ends {
		if err := w.g.Remove(t.Context(), id); !jobs.IsLater(err) {
			t.Fatalf("with %d under way: got %v", len(ends)-i, err)
		}
		w.ok(w.g.Fail(t.Context(), w.started(end.Path).Event.ID, outOfQuota))
	}
	var p domain.Problem
	err := w.g.Remove(t.Context(), id)
	if !jobs.IsTerminal(err) || !errors.As(err, &p) || p.Code != domain.DeleteRestricted {
		t.Fatalf("with machines left: got %v", err)
	}
	w.same("the count", "7 of its virtual machines are still there: prod-shop-shop-redis-01, prod-shop-shop-redis-02, prod-shop-shop-redis-03, prod-shop-shop-redis-04, prod-shop-shop-redis-05, ...", p.Message)
	w.same("claims", true, len(w.claims()) > 0)

	for i := range ends {
		w.sql("update vms set status = $2 where path = $1", ends[i].Path, []string{"DELETING", "DELETED"}[i%2])
	}
	w.ok(w.g.Remove(t.Context(), id))
	w.same("claims", []string{"vm:" + other.Subject + " #9"}, w.claims())
	w.same("ticket", []string{"COMPLETED COMPLETED"}, w.texts("select t.status || ' ' || e.status from tickets t join events e on e.id = t.event_id where e.id = $1", id))
	if err := w.g.Remove(t.Context(), id); !errors.Is(err, ErrDone) {
		t.Errorf("again: got %v", err)
	}
}

// The removal of a system waits for that of its services.
func TestRemoveSystem(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.running(7, "c0", "c1", newSystem(0), newService(0), vm1)
	goneSystem := removes(newSystem(0), domain.DeleteSystem)
	w.removed(8, "c1", "c2", goneVM, goneService, goneSystem)
	service, system := w.ticket(goneService.Path).EventID, w.ticket(goneSystem.Path).EventID
	for _, what := range []string{"the machine", "the service"} {
		if err := w.g.Remove(t.Context(), system); !jobs.IsLater(err) {
			t.Errorf("before %s is gone: got %v", what, err)
		}
		if what == "the machine" {
			w.ok(w.g.Finish(t.Context(), w.started(goneVM.Path), Applied{}))
		}
	}
	w.ok(w.g.Remove(t.Context(), service))
	w.ok(w.g.Remove(t.Context(), system))
	w.same("claims", []string(nil), w.claims())
	w.same("accepted", []string(nil), w.texts("select id from accepted"))
}

// What is done to a VM is done in the order of the merges, each with its number.
func TestSequences(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.running(7, "c0", "c1", vm1)
	w.ok(w.g.Observe(t.Context(), w.ticket(vm1.Path).EventID, domain.VMRunning, ""))
	ops := []struct {
		op     domain.Operation
		status vm.Status // when the cluster has accepted it
	}{
		{domain.ModifyVM, vm.StatusRUNNING}, {domain.StopVM, vm.StatusSTOPPING}, {domain.StartVM, vm.StatusSTOPPING},
		{domain.RestartVM, vm.StatusSTOPPING}, {domain.DeleteVM, vm.StatusDELETING},
	}
	for i, step := range ops {
		number := 100 + i
		w.pull(number)
		c := onVM(step.op, 1)
		from, to := fmt.Sprint("c", i+1), fmt.Sprint("c", i+2)
		w.removed(number, from, to, c)
		sequence := int64(i + 2)
		e := w.ticket(vm1.Path).Edges.Event
		w.same(string(step.op), []any{domain.EventType(step.op), sequence, to}, []any{e.Type, e.Sequence, e.MergeCommit})
		work := w.started(vm1.Path)
		w.ok(w.g.Finish(t.Context(), work, answer))
		got := w.vm(vm1.Path)
		w.same(string(step.op), []any{sequence, sequence, step.status}, []any{got.Sequence, got.AppliedSequence, got.Status})
		if last := step.op == domain.DeleteVM; last == (got.AcceptedPlan == w.ticket(vm1.Path).PlanID) {
			t.Errorf("%s: the accepted plan is %s", step.op, got.AcceptedPlan)
		}
	}
	w.same("revisions", []string{"1 2 3 4 5"}, w.texts("select string_agg(number::text, ' ' order by number) from vm_revisions"))
	w.same("accepted", []string(nil), w.texts("select id from accepted"))
}

// Whatever a cluster accepts leads to a state that can follow the one before.
func TestOnItsWay(t *testing.T) {
	t.Parallel()
	for _, op := range domain.Operations() {
		for _, was := range vmStates {
			now := onItsWay(op, was)
			if err := was.To(now); err != nil {
				t.Errorf("%s: %v", op, err)
			}
			if op == domain.DeleteVM && !ending(now) {
				t.Errorf("deleted from %s: it is %s", was, now)
			}
		}
	}
}

// A machine that was there stays what it was when a change of it fails; one that never was has failed.
func TestFailKeepsTheStatus(t *testing.T) {
	t.Parallel()
	for _, op := range []domain.Operation{domain.ModifyVM, domain.StartVM, domain.StopVM, domain.RestartVM, domain.DeleteVM} {
		t.Run(string(op), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.running(7, "c0", "c1", vm1)
			w.ok(w.g.Observe(t.Context(), w.ticket(vm1.Path).EventID, domain.VMRunning, "it runs"))
			w.removed(8, "c1", "c2", onVM(op, 1))
			w.ok(w.g.Fail(t.Context(), w.started(vm1.Path).Event.ID, outOfQuota))
			got := w.vm(vm1.Path)
			w.same("vm", []any{vm.StatusRUNNING, "it runs", int64(1), "uid-1"}, []any{got.Status, got.StatusMessage, got.AppliedSequence, got.UID})
			w.same("claims", []string(nil), w.claims())
		})
	}
}
