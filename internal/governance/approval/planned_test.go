package approval

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/internal/judge"
)

// A planned spec keeps the request as it was, byte for byte, and the ticket; the approval is lost.
func TestChoose(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*world){"waiting": asked, "approved": agreed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			before(w)
			was := w.ticket(vm1.Path)
			w.ok(w.g.Choose(t.Context(), 7, w.chosen(vm1.Path), byAlice))
			got := w.ticket(vm1.Path)
			w.same("ticket, event, plan", []any{was.ID, was.EventID, was.PlanID, ticket.StatusPENDING_APPROVAL}, []any{got.ID, got.EventID, got.PlanID, got.Status})
			w.same("payload", string(was.Edges.Event.Payload), string(got.Edges.Event.Payload))
			w.same("nobody has decided", []any{int64(0), ""}, []any{got.DecidedBy, got.DecidedByLogin})
			w.same("spec and reason", []any{map[string]any{"disk": "200Gi", "size": "large", "template": "ubuntu"}, "medium is phased out"}, []any{got.ModifiedSpec, got.ModificationReason})
			var planned judge.Planned
			w.ok(json.Unmarshal(got.Planned, &planned))
			planned.ModifiedSpec = nil // jsonb has its own spelling
			w.same("planned", judge.Planned{For: vm1.Digest, Reason: "medium is phased out", By: "alice"}, planned)
			w.same("claims", []string{"index:redis/01 #7", "vm:prod-shop-shop-redis-01 #7"}, w.claims())
			w.noEventJobs()

			// Another choice takes its place as a whole.
			w.ok(w.g.Choose(t.Context(), 7, w.chosen(vm1.Path, func(c *Choice) {
				c.Planned = judge.Planned{For: vm1.Digest, Cluster: "west", StorageClass: "slow", TemplateVersion: 2, Reason: "east is full", By: "bob"}
			}), byAlice))
			got = w.ticket(vm1.Path)
			w.same("another choice", []any{map[string]any(nil), "east is full"}, []any{got.ModifiedSpec, got.ModificationReason})
			w.same("sql null", []string{"true"}, w.texts("select (modified_spec is null)::text from tickets"))
		})
	}
}

// noEventJobs holds that nothing which changes a cluster is queued.
func (w *world) noEventJobs() {
	w.Helper()
	w.same("queued before its time", []string(nil), w.texts(`select kind from river_job where kind in ('event_job', 'verify_vm', 'offer_undo', 'prepare_redo')`))
}

// What is chosen is chosen for one ticket that waits, as it was asked for.
func TestChooseRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.submit(7, vm1, vm2, vm3)
	w.decide(vm2.Path, refusal(refuses(12, bob)))
	w.submit(8, newVM(4))
	for what, edit := range map[string]func(*Choice){
		"no such ticket":    func(c *Choice) { c.Ticket = uuid.New() },
		"another one's":     func(c *Choice) { c.Ticket = w.ticket(newVM(4).Path).ID; c.Planned.For = "digest-04" },
		"decided":           func(c *Choice) { c.Ticket = w.ticket(vm2.Path).ID; c.Planned.For = vm2.Digest },
		"for another wish":  func(c *Choice) { c.Planned.For = "digest-other" },
		"unreadable as map": func(c *Choice) { c.Planned.ModifiedSpec = json.RawMessage(`[1]`) },
	} {
		before := w.dump()
		err := w.g.Choose(t.Context(), 7, append(w.chosen(vm3.Path), w.chosen(vm1.Path, edit)...), byAlice)
		if err == nil || what != "unreadable as map" && !errors.Is(err, ErrMoved) {
			t.Errorf("%s: got %v", what, err)
		}
		w.same(what+": all of it or nothing", before, w.dump())
	}
}

// From the choice to the merge: git before it says so, git when it does, and the merge of just that.
func TestPlannedDigest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agreed(w)
	was := w.ticket(vm1.Path)
	w.ok(w.g.Choose(t.Context(), 7, w.chosen(vm1.Path), byAlice))
	w.submit(7, replanned(vm1, true))
	ahead := w.ticket(vm1.Path)
	w.same("git is not there yet", []any{was.ID, was.EventID, vm1.Digest, "digest-01-planned", ticket.StatusPENDING_APPROVAL},
		[]any{ahead.ID, ahead.EventID, ahead.ChangeDigest, ahead.PlannedDigest, ahead.Status})
	if ahead.PlanID == was.PlanID || ahead.Edges.Plan.Size != "large" {
		t.Errorf("the plan is not what was chosen: %v", ahead.Edges.Plan)
	}
	w.agreedAsPlanned(7)

	there := submission(7, replanned(vm1, false))
	there.Report.Head = "head2"
	w.ok(w.g.Submit(t.Context(), there))
	got := w.ticket(vm1.Path)
	w.same("git is there", []any{was.ID, was.EventID, ahead.PlanID, ticket.StatusAPPROVED, "bob"}, []any{got.ID, got.EventID, got.PlanID, got.Status, got.DecidedByLogin})
	w.same("payload", string(was.Edges.Event.Payload), string(got.Edges.Event.Payload))
	w.same("heads", 2, len(got.Edges.Plan.Edges.Heads))

	for what, c := range map[string]judge.Change{"as asked for": vm1, "as something else": newVM(1, digest("digest-other"))} {
		before := w.dump()
		if err := w.g.Merge(t.Context(), w.span(7, "c0", "c1", c)); !errors.Is(err, ErrMoved) {
			t.Errorf("merged %s: %v", what, err)
		}
		w.same(what, before, w.dump())
	}
	w.merge(7, "c0", "c1", replanned(vm1, false))
	w.same("tickets", []string{"prod-shop-shop-redis-01 APPROVED PROCESSING"}, w.states(7))
	row, err := w.db.Accepted.Get(t.Context(), vm1.Path)
	w.ok(err)
	w.same("accepted is what git says", modified, string(row.Spec))
	w.same("the VM's plan", ahead.PlanID, w.vm(vm1.Path).AcceptedPlan)
}

// Git that says something else than both the request and the plan ends the ticket.
func TestPlannedThenPushed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.planned(7)
	w.agreedAsPlanned(7)
	w.submit(7, newVM(1, digest("digest-other")))
	w.same("tickets", []string{"prod-shop-shop-redis-01 CANCELLED CANCELLED SUPERSEDED", "prod-shop-shop-redis-01 PENDING_APPROVAL PENDING"}, w.states(7))
	got := w.ticket(vm1.Path)
	w.same("the new one has no plan of anybody", []any{0, "", map[string]any(nil), ""}, []any{len(got.Planned), got.PlannedDigest, got.ModifiedSpec, got.ModificationReason})
}

// A planned change that was refused is not asked for again, whichever way git says it.
func TestPlannedRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.planned(7)
	w.submit(7, replanned(vm1, false))
	w.decide(vm1.Path, refusal(refuses(12, bob)))
	rest := []string{"prod-shop-shop-redis-01 REJECTED CANCELLED"}
	for _, c := range []judge.Change{vm1, newVM(1, digest("digest-01-planned"))} {
		w.ok(w.g.Submit(t.Context(), refused(submission(7, c))))
		w.same(fmt.Sprint("refused as ", c.Digest), rest, w.states(7))
	}
	w.submit(7, newVM(1, digest("digest-01-planned"))) // the veto is gone
	w.same("asked for again", append(rest, "prod-shop-shop-redis-01 PENDING_APPROVAL PENDING"), w.states(7))
}

// A choice and a refusal at the same moment: the refusal stands, and the choice comes before it or to nothing.
func TestChooseRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := 1; i <= 20; i++ {
		number, c := 100+i, newVM(i)
		w.pull(number)
		w.submit(number, c)
		choice, d := w.chosen(c.Path), w.decided(c.Path, refusal(refuses(int64(i), bob)))
		errs := together(
			func() error { return w.g.Choose(t.Context(), number, choice, byAlice) },
			func() error { return w.g.Decide(t.Context(), number, d) })
		if errs[1] != nil || errs[0] != nil && !errors.Is(errs[0], ErrMoved) {
			t.Fatal(errs)
		}
		got := w.ticket(c.Path)
		w.same("ticket", ticket.StatusREJECTED, got.Status)
		w.same("chosen before, or not at all", errs[0] == nil, len(got.Planned) > 0)
	}
	w.same("events", []string{"CANCELLED 20"}, w.texts("select status || ' ' || count(*) from events group by status"))
}
