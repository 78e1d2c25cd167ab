package approval

import (
	"testing"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
)

func TestRetry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.planned(7)
	w.agreedAsPlanned(7)
	w.submit(7, replanned(vm1, false))
	w.merge(7, "c0", "c1", replanned(vm1, false))
	w.ok(w.g.Fail(t.Context(), w.started(vm1.Path).Event.ID, outOfQuota))
	was := w.ticket(vm1.Path)
	w.retry(7, Retried{Subject: vm1.Subject})
	got := w.ticket(vm1.Path)
	if got.ID == was.ID || got.EventID == was.EventID {
		t.Fatal("the failed one is done again")
	}
	w.same("tickets", []string{"prod-shop-shop-redis-01 FAILED FAILED NAMESPACE_QUOTA_EXCEEDED", "prod-shop-shop-redis-01 APPROVED PROCESSING"}, w.states(7))
	w.same("plan and approval", []any{was.PlanID, int64(2), "bob", was.DecidedAt.UTC(), "carried out again"},
		[]any{got.PlanID, got.DecidedBy, got.DecidedByLogin, got.DecidedAt.UTC(), got.Decision})
	type wish struct {
		Digest, Planned, Reason, Requester, Cluster, Class, Operation, Environment string
		Version, Required                                                          int
		Modified                                                                   map[string]any
	}
	wishOf := func(t *ent.Ticket) wish {
		return wish{t.ChangeDigest, t.PlannedDigest, t.ModificationReason, t.RequesterLogin, t.SelectedCluster, t.SelectedStorageClass, t.Operation, t.Environment,
			t.SelectedTemplateVersion, t.ApprovalsRequired, t.ModifiedSpec}
	}
	w.same("the wish", wishOf(was), wishOf(got))
	w.same("planned and verdict", []string{string(was.Planned), string(was.Verdict)}, []string{string(got.Planned), string(got.Verdict)})
	e, before := got.Edges.Event, was.Edges.Event
	w.same("event", []any{string(before.Payload), before.ID, int64(2), "c1", "ada", before.Type}, []any{string(e.Payload), *e.RetryOf, e.Sequence, e.MergeCommit, e.RequestedByLogin, e.Type})
	w.same("claims", []string{"vm:prod-shop-shop-redis-01 #7"}, w.claims())
	w.same("the claim is the ticket's", 1, len(got.Edges.Claims))
	w.same("vm", int64(2), w.vm(vm1.Path).Sequence)

	w.retry(7) // it was carried out again already
	w.ok(w.g.Finish(t.Context(), w.started(vm1.Path), answer))
	w.retry(7)
	w.same("events", []string{"2"}, w.texts("select count(*)::text from events"))
	w.same("claims", []string(nil), w.claims())

	// An event that was tried again and failed again is tried a third time: it is the latest.
	w.sql("update tickets set status = 'FAILED' where id = $1", got.ID)
	w.retry(7, Retried{Subject: vm1.Subject})
	w.same("third", got.EventID, *w.ticket(vm1.Path).Edges.Event.RetryOf)
}

// A chosen cluster without a modified spec stays just that.
func TestRetryOfAChoice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asked(w)
	w.ok(w.g.Choose(t.Context(), 7, w.chosen(vm1.Path, func(c *Choice) { c.Planned.ModifiedSpec, c.Planned.Cluster = nil, "west" }), byAlice))
	west := newVM(1, cluster("west"))
	w.submit(7, west)
	w.decide(vm1.Path, approval(approves(11, alice)))
	w.merge(7, "c0", "c1", west)
	w.ok(w.g.Fail(t.Context(), w.started(vm1.Path).Event.ID, outOfQuota))
	w.retry(7, Retried{Subject: vm1.Subject})
	w.same("tickets", []string{"west true true", "west true true"}, w.texts("select selected_cluster || ' ' || (modified_spec is null) || ' ' || (planned is not null) from tickets order by id"))
}

func TestRetryRefuses(t *testing.T) {
	t.Parallel()
	later := func(w *world) {
		w.failed(7, "c0", "c1", vm1)
		w.merged(8, "c1", "c2", onVM(domain.ModifyVM, 1))
	}
	for name, tt := range map[string]struct {
		before func(*world)
		may    string
		want   []Retried
	}{
		"not permitted":             {func(w *world) { w.failed(7, "c0", "c1", vm1) }, "you may not", []Retried{{vm1.Subject, "you may not"}}},
		"wanted by another one now": {func(w *world) { w.failed(7, "c0", "c1", vm1); w.submit(8, onVM(domain.ModifyVM, 1)) }, "", []Retried{{vm1.Subject, "#8 asks for it by now"}}},
		"a later change under way":  {later, "", []Retried{{vm1.Subject, "#8 asks for it by now"}}},
		"a later change was merged": {func(w *world) { later(w); w.ok(w.g.Finish(w.Context(), w.started(vm1.Path), answer)) }, "", []Retried{{vm1.Subject, "a later change of this VM was merged"}}},
		"nothing failed":            {gone, "", nil},
		"not merged":                {agreed, "", nil},
		"an unreadable path": {func(w *world) {
			c := newVM(1, func(c *judge.Change) { c.Path = "systems/shop/redis/prod-shop/1.yaml" })
			w.failed(7, "c0", "c1", c)
		}, "", []Retried{{vm1.Subject, "its path is not valid any more"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tt.before(w)
			w.sql("update pull_requests set telling = true")
			before := w.dump()
			got, err := w.g.Retry(t.Context(), 7, byAlice, func(*ent.Ticket) string { return tt.may })
			w.ok(err)
			w.same("retried", tt.want, got)
			w.same("database", before, w.dump())
		})
	}
}

// Of a batch only what failed is tried again, each once, however many ask at the same moment.
func TestRetryRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.merged(7, "c0", "c1", vm1, vm2, vm3)
	w.ok(w.g.Finish(t.Context(), w.started(vm2.Path), answer))
	for _, c := range []string{vm1.Path, vm3.Path} {
		w.ok(w.g.Fail(t.Context(), w.started(c).Event.ID, outOfQuota))
	}
	run := func() error {
		_, err := w.g.Retry(t.Context(), 7, byAlice, anybody)
		return err
	}
	for _, err := range together(run, run, run, run) {
		w.ok(err)
	}
	w.same("tickets", []string{
		"prod-shop-shop-redis-01 APPROVED", "prod-shop-shop-redis-01 FAILED", "prod-shop-shop-redis-02 COMPLETED", "prod-shop-shop-redis-03 APPROVED", "prod-shop-shop-redis-03 FAILED",
	}, w.texts("select subject || ' ' || status from tickets order by 1"))
	w.same("jobs", []string{"5"}, w.texts("select count(*)::text from river_job where kind = 'event_job'"))
	w.same("sequences", []string{"1 2", "1", "1 2"}, w.texts("select string_agg(sequence::text, ' ' order by sequence) from events group by subject order by subject"))
}
