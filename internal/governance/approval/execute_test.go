package approval

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent/effect"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/vm"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/jobs"
)

func TestStartAndFinish(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.merged(7, "c0", "c1", vm1)
	id := w.ticket(vm1.Path).EventID
	payload := string(w.ticket(vm1.Path).Edges.Event.Payload)
	work, err := w.g.Start(t.Context(), id)
	w.ok(err)
	w.same("manifests are the plan's bytes", vm1.Plan.Manifests, work.Manifests)
	w.same("work", []any{id, pullOf(7).URL, "east", w.ticket(vm1.Path).PlanID}, []any{work.Event.ID, work.PullURL, work.VM.Cluster, work.Plan.ID})
	intent := func() *effectRow { return w.effect(id) }
	w.same("intent", effectRow{effect.StatusIntended, "", false}, *intent())

	// A crash: the same again, from the start.
	again, err := w.g.Start(t.Context(), id)
	w.ok(err)
	w.same("manifests again", work.Manifests, again.Manifests)

	for range 2 {
		w.ok(w.g.Finish(t.Context(), again, answer))
	}
	w.same("tickets", []string{"prod-shop-shop-redis-01 COMPLETED COMPLETED"}, w.states(7))
	w.same("claims", []string(nil), w.claims())
	w.same("effect", effectRow{effect.StatusDone, "VirtualMachine: created", true}, *intent())
	machine := w.vm(vm1.Path)
	w.same("vm", []any{"uid-1", int64(1), again.Plan.ID, vm.StatusCREATING}, []any{machine.UID, machine.AppliedSequence, *machine.AppliedPlan, machine.Status})
	w.same("revisions", []string{"1 101"}, w.texts("select number || ' ' || resource_version from vm_revisions"))
	w.same("watch", []string{`cluster_east {"event_id": "` + id.String() + `"}`}, w.texts("select queue || ' ' || args::text from river_job where kind = 'verify_vm'"))
	w.same("payload", payload, string(w.ticket(vm1.Path).Edges.Event.Payload))

	before := w.dump()
	if _, err := w.g.Start(t.Context(), id); !errors.Is(err, ErrDone) {
		t.Errorf("a finished event: got %v", err)
	}
	w.ok(w.g.Fail(t.Context(), id, outOfQuota))
	w.same("a finished event is a no-op", before, w.dump())
}

type effectRow struct {
	Status effect.Status
	Result string
	Done   bool
}

func (w *world) effect(id uuid.UUID) *effectRow {
	w.Helper()
	e, err := w.db.Effect.Get(w.Context(), applyEffect(id))
	w.ok(err)
	return &effectRow{e.Status, e.Result, e.DoneAt != nil}
}

func TestFail(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.merged(7, "c0", "c1", vm1)
	id := w.started(vm1.Path).Event.ID
	for range 2 {
		w.ok(w.g.Fail(t.Context(), id, outOfQuota))
	}
	w.same("tickets", []string{"prod-shop-shop-redis-01 FAILED FAILED NAMESPACE_QUOTA_EXCEEDED"}, w.states(7))
	w.same("claims", []string(nil), w.claims())
	got := w.vm(vm1.Path)
	w.same("vm", []any{vm.StatusFAILED, "the quota is used up", int64(0)}, []any{got.Status, got.StatusMessage, got.AppliedSequence})
	e := w.ticket(vm1.Path).Edges.Event
	w.same("message", "the quota is used up — ask for more", e.ErrorMessage)
	if e.FinishedAt == nil {
		t.Error("it did not end")
	}
	w.same("effect", effectRow{effect.StatusFailed, "the quota is used up — ask for more", true}, *w.effect(id))
	if _, err := w.g.Start(t.Context(), id); !errors.Is(err, ErrDone) {
		t.Errorf("a failed event: got %v", err)
	}
}

// An event that nobody knows: no retry helps, and there is nothing to write down.
func TestEventGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.dump()
	id := uuid.New()
	if _, err := w.g.Start(t.Context(), id); !jobs.IsTerminal(err) || !strings.Contains(err.Error(), "is gone") {
		t.Errorf("start: got %v", err)
	}
	if err := w.g.Observe(t.Context(), id, domain.VMRunning, ""); !jobs.IsTerminal(err) {
		t.Errorf("observe: got %v", err)
	}
	if err := w.g.Fail(t.Context(), id, outOfQuota); err != nil {
		t.Errorf("fail: got %v", err)
	}
	w.same("database", before, w.dump())
}

// The second event of a VM waits for the first; once a later one was applied, an earlier one is not.
func TestOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.merged(7, "c0", "c1", vm1)
	first := w.ticket(vm1.Path).EventID
	// A modification is not submitted while the first one holds its claims: the second comes by policy.
	w.sql("delete from claims")
	w.merged(8, "c1", "c2", newVM(1, digest("digest-again"), cluster("east")))
	second := w.ticket(vm1.Path).EventID
	_, err := w.g.Start(t.Context(), second)
	if !jobs.IsLater(err) {
		t.Fatalf("the second before the first: got %v", err)
	}
	w.same("no intent", []string(nil), w.texts("select id from effects"))

	work, err := w.g.Start(t.Context(), first)
	w.ok(err)
	w.ok(w.g.Fail(t.Context(), first, outOfQuota))
	next, err := w.g.Start(t.Context(), second)
	w.ok(err)
	w.ok(w.g.Finish(t.Context(), next, answer))
	w.same("vm", int64(2), w.vm(vm1.Path).AppliedSequence)

	// The first comes back from the dead: somebody set it to run once more.
	w.sql("update events set status = 'PROCESSING', finished_at = null where id = $1", first)
	w.sql("update tickets set status = 'APPROVED' where event_id = $1", first)
	w.sql("update pull_requests set telling = false")
	jobsBefore := w.last("river_job")
	if _, err := w.g.Start(t.Context(), first); !errors.Is(err, ErrDone) {
		t.Errorf("an event that came too late: got %v", err)
	}
	w.same("tickets", []string{"prod-shop-shop-redis-01 CANCELLED CANCELLED SUPERSEDED"}, w.states(7))
	w.same("jobs", tellSeven, w.queued(jobsBefore))
	before := w.dump()
	w.ok(w.g.Finish(t.Context(), work, answer))
	w.same("its late answer changes nothing", before, w.dump())
}

// Events of different machines do not wait for each other.
func TestOrderAcrossMachines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.merged(7, "c0", "c1", vm1, vm2)
	w.started(vm2.Path)
	w.started(vm1.Path)
	w.eventIs(vm1.Path, event.StatusPROCESSING)
	w.eventIs(vm2.Path, event.StatusPROCESSING)
}

func TestObserve(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.merged(7, "c0", "c1", vm1)
	id := w.ticket(vm1.Path).EventID
	observe := func(s domain.VMStatus, message string) error { return w.g.Observe(t.Context(), id, s, message) }
	w.ok(observe(domain.VMRunning, "it runs"))
	before := w.dump()
	time.Sleep(2 * time.Millisecond)
	w.ok(observe(domain.VMRunning, "it runs"))
	w.same("the same again", before, w.dump())
	w.ok(observe(domain.VMRunning, "restart required"))
	w.same("only words", []any{vm.StatusRUNNING, "restart required"}, []any{w.vm(vm1.Path).Status, w.vm(vm1.Path).StatusMessage})
	w.ok(observe(domain.VMUnknown, "the cluster does not answer"))
	w.ok(observe(domain.VMRunning, "it runs"))
	w.sql("update vms set status = 'DELETED'")
	var illegal domain.MoveError
	if err := observe(domain.VMRunning, "it runs"); !errors.As(err, &illegal) {
		t.Errorf("from the grave: got %v", err)
	}
	w.same("trail", []string{"4"}, w.texts("select count(*)::text from audit_log where action_code = 'VM_OBSERVED'"))
	w.same("the event does not move", []string{"prod-shop-shop-redis-01 APPROVED PROCESSING"}, w.states(7))
}

// What was pushed without a pull request is carried out as well; there is nobody to tell.
func TestExecuteWithoutPullRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.ok(w.g.Merge(t.Context(), w.span(0, "c0", "c1", newVM(1, free), newVM(2, free))))
	work := w.started(vm1.Path)
	w.same("url", "", work.PullURL)
	w.ok(w.g.Finish(t.Context(), work, answer))
	w.ok(w.g.Observe(t.Context(), work.Event.ID, domain.VMRunning, "it runs"))
	w.ok(w.g.Fail(t.Context(), w.started(vm2.Path).Event.ID, outOfQuota))
	w.same("tickets", []string{"prod-shop-shop-redis-01 COMPLETED COMPLETED", "prod-shop-shop-redis-02 FAILED FAILED NAMESPACE_QUOTA_EXCEEDED"}, w.states(0))
	w.same("jobs", []string{"event_job", "event_job", "verify_vm"}, w.texts("select kind from river_job order by id"))
}

func TestParsePayload(t *testing.T) {
	t.Parallel()
	if _, err := ParsePayload([]byte(`{"operation": `)); err == nil || !strings.Contains(err.Error(), "payload") {
		t.Errorf("got %v", err)
	}
}

// However much happens while a tell job waits, one is queued; once it has begun, the next news queue
// another.
func TestTellOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	told := func() string {
		return w.texts("select count(*)::text from river_job where kind = 'tell_pull_request'")[0]
	}
	w.approved(7, vm1)
	w.submit(7, vm1, vm2)
	w.same("while it waits", "1", told())
	w.sql("update pull_requests set telling = false") // it runs
	w.submit(7, vm1)
	w.submit(7, vm1, vm2)
	w.same("after it began", "2", told())
	w.submit(8, vm3)
	w.same("another pull request", "3", told())
}

// The checks of a commit are those of every open pull request that has it as its head.
func TestTellSharers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, number := range []int{9, 10, 11} {
		w.pull(number)
	}
	w.submit(7, vm1)
	w.sql("update pull_requests set head_sha = (select head_sha from pull_requests where id = 7) where id in (9, 10)")
	w.sql("update pull_requests set head_sha = '' where id in (8, 11)")
	w.sql("update pull_requests set state = 'closed' where id = 10")
	w.sql("update pull_requests set telling = false")
	since := w.last("river_job")
	w.decide(vm1.Path, approval(approves(11, alice)))
	w.same("told", tellSeven+"\n"+`tell_pull_request default {"number": 9}`, w.queued(since))
}
