package approval

import (
	"context"
	"errors"
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/store"
)

func (w *world) platform() string {
	w.Helper()
	return w.texts("select platform_commit from repository")[0]
}

// judgings are the judge jobs with their priorities.
func (w *world) judgings() []string {
	w.Helper()
	return w.texts("select (args->>'number') || ' at ' || priority from river_job where kind = 'judge_pull_request' order by id")
}

// The rules in force move with the merge that changes them, and with no other; every other open pull request
// is judged again, behind what people wait for.
func TestMergePlatform(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, number := range []int{9, 10, 11} {
		w.pull(number)
	}
	w.sql("update pull_requests set state = 'closed' where id = 11")
	w.merged(7, "c0", "c1", newSystem(0))
	w.same("another merge", []any{"", []string(nil)}, []any{w.platform(), w.judgings()})
	w.approved(8, ofPlatform("medium"))
	w.merge(8, "c1", "c2", ofPlatform("medium"))
	w.same("the rules", "c2", w.platform())
	w.same("tickets", []string{"medium COMPLETED COMPLETED"}, w.states(8))
	w.same("judged again", []string{"9 at 4", "10 at 4"}, w.judgings())
	w.same("wanted", []string{"9 2 true", "10 2 true"}, w.texts("select id || ' ' || wanted || ' ' || queued from pull_requests where id in (9, 10) order by id"))
	w.same("rules are accepted as a commit", []string{systemRef.Path()}, w.texts("select id from accepted"))
	w.noEventJobs()

	// What people ask for meanwhile does not wait with it.
	w.sql("insert into river_job (kind, args, max_attempts, priority, state, finalized_at) select kind, args, max_attempts, priority, 'completed', now() from river_job where kind = 'judge_pull_request'")
	for range 2 {
		w.ok(w.db.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return Want(ctx, tx, w.queue, 9) }))
	}
	waits := "select (args->>'number') || ' at ' || priority from river_job where kind = 'judge_pull_request' and state = 'available' order by id"
	w.same("judged soon", []string{"9 at 3", "10 at 4"}, w.texts(waits))
	w.same("what is over stays as it was", []string{"4 4"}, w.texts("select string_agg(priority::text, ' ') from river_job where kind = 'judge_pull_request' and state = 'completed'"))
	// One that failed, and waits to be tried again, is tried at once; one that was told when to come back waits.
	w.sql("update river_job set state = case args->>'number' when '9' then 'retryable' else 'scheduled' end::river_job_state, scheduled_at = now() + interval '1 hour' where state = 'available'")
	for _, number := range []int{9, 10} {
		w.ok(w.db.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return Want(ctx, tx, w.queue, number) }))
	}
	w.same("tried again", []string{"9 available true", "10 scheduled false"}, w.texts(
		"select (args->>'number') || ' ' || state || ' ' || (scheduled_at <= now()) from river_job where kind = 'judge_pull_request' and finalized_at is null order by id"))
	w.sql("update river_job set state = 'available', scheduled_at = now() where state = 'scheduled'")
	w.sql("update pull_requests set wanted = wanted - 1 where id in (9, 10)")
	// One that waits is enough for the next rules, and goes as soon as it did.
	w.merged(10, "c2", "c3", ofPlatform("large"))
	w.same("judged once", []string{"9 at 3", "10 at 4"}, w.texts(waits))
	w.same("wanted", []string{"5"}, w.texts("select wanted::text from pull_requests where id = 9"))
}

// Rules move as a whole: one file that did not pass keeps the span from being written down.
func TestMergePlatformWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.approved(7, ofPlatform("medium"), ofPlatform("large"))
	large := ofPlatform("large")
	bad := []Quarantined{{Path: large.Path, Subject: large.Subject, Operation: large.Operation, Code: domain.ApprovalBypassed, Message: "nobody approved it"}}
	s := w.span(7, "c0", "c1", ofPlatform("medium"))
	s.Quarantined = bad
	before := w.dump()
	if err := w.g.Merge(t.Context(), s); err == nil || !strings.Contains(err.Error(), large.Path+" did not pass") {
		t.Errorf("got %v", err)
	}
	w.same("database", before, w.dump())

	s = w.span(7, "c0", "c1")
	s.Quarantined = bad
	w.ok(w.g.Merge(t.Context(), s))
	w.same("all of it in quarantine", []any{"", []string{"medium CANCELLED CANCELLED", "large CANCELLED CANCELLED APPROVAL_BYPASSED"}}, []any{w.platform(), w.states(7)})
}

// Two spans that move the rules at the same moment: one moves them, the other finds the cursor elsewhere.
func TestMergePlatformRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a, b := ofPlatform("medium"), ofPlatform("large")
	w.approved(7, a)
	w.approved(8, b)
	left, right := w.span(7, "c0", "cA", a), w.span(8, "c0", "cB", b)
	errs := together(func() error { return w.g.Merge(t.Context(), left) }, func() error { return w.g.Merge(t.Context(), right) })
	won := "cA"
	if errs[0] != nil {
		won = "cB"
	}
	if (errs[0] == nil) == (errs[1] == nil) || errs[0] != nil && !errors.Is(errs[0], ErrMoved) || errs[1] != nil && !errors.Is(errs[1], ErrMoved) {
		t.Fatal(errs)
	}
	w.same("rules and cursor", []string{won + " " + won}, w.texts("select platform_commit || ' ' || cursor from repository"))
}

// Whoever was refused because of a name, or because there was no room, is judged again when it is free, for each way
// in which that happens, in the same transaction; whoever waits for nothing is left alone.
func TestWake(t *testing.T) {
	t.Parallel()
	closed := pullOf(7)
	closed.State = "closed"
	for name, tt := range map[string]struct {
		before func(*world)
		end    func(*world) error
	}{
		"cancelled": {asked, func(w *world) error { return w.g.Cancel(w.Context(), closed, 2, "closed") }},
		"rejected": {agreed, func(w *world) error {
			return w.g.Decide(w.Context(), 7, w.decided(vm1.Path, refusal(refuses(12, bob))))
		}},
		"asked for otherwise": {agreed, func(w *world) error {
			return w.g.Submit(w.Context(), submission(7, vm2))
		}},
		"a draft": {asked, func(w *world) error { return w.g.Submit(w.Context(), drafted()) }},
		"no longer claimed, without a ticket": {func(w *world) { w.submit(7, newVM(1, free)) }, func(w *world) error {
			return w.g.Submit(w.Context(), submission(7))
		}},
		"no longer valid, without a ticket": {func(w *world) { w.submit(7, newVM(1, free)) }, func(w *world) error {
			return w.g.Submit(w.Context(), submission(7, newVM(1, free, invalid)))
		}},
		"merged":   {agreed, func(w *world) error { return w.g.Merge(w.Context(), w.span(7, "c0", "c1", vm1)) }},
		"absorbed": {agreed, func(w *world) error { return w.g.Absorb(w.Context(), pullOf(7), "c1") }},
		"completed": {func(w *world) { gone(w); w.started(vm1.Path) }, func(w *world) error {
			return w.g.Finish(w.Context(), w.started(vm1.Path), answer)
		}},
		"failed": {gone, func(w *world) error { return w.g.Fail(w.Context(), w.ticket(vm1.Path).EventID, outOfQuota) }},
		"superseded": {func(w *world) { gone(w); w.sql("update vms set applied_sequence = 2") }, func(w *world) error {
			_, err := w.g.Start(w.Context(), w.ticket(vm1.Path).EventID)
			return expected(err, func(err error) bool { return errors.Is(err, ErrDone) })
		}},
		"removed":         {func(w *world) { w.removed(7, "c0", "c1", goneService) }, func(w *world) error { return removesService(w, w.g) }},
		"taken over":      {asked, func(w *world) error { return w.g.TakeOver(w.Context(), 8, Taking{twin, byAlice}) }},
		"planned smaller": {asked, func(w *world) error { return w.g.Submit(w.Context(), submission(7, replanned(vm1, true))) }},
		"gone from its cluster": {func(w *world) {
			w.running(7, "c0", "c1", vm1)
			w.removed(8, "c1", "c2", goneVM)
			w.ok(w.g.Finish(w.Context(), w.started(vm1.Path), Applied{Summary: "deleted"}))
		}, func(w *world) error {
			return w.g.Observe(w.Context(), w.ticket(vm1.Path).EventID, domain.VMDeleted, "")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			tt.before(w)
			for number, c := range map[int]judge.Change{9: newVM(1, taken), 10: newVM(1, taken, free), 11: newVM(5), 12: newVM(1, taken), 13: newVM(6, crowded)} {
				w.pull(number)
				w.submit(number, c)
			}
			w.sql("update pull_requests set state = 'closed' where id = 12")
			w.judged()
			since := w.last("river_job")
			w.ok(tt.end(w))
			var got []string
			for _, line := range strings.Split(w.queued(since), "\n") {
				if strings.HasPrefix(line, "judge_pull_request") {
					got = append(got, line)
				}
			}
			want := []string{`judge_pull_request default {"number": 9}`, `judge_pull_request default {"number": 10}`, `judge_pull_request default {"number": 13}`}
			if name == "taken over" {
				want = append([]string{judgeSeven}, want...)
			}
			w.same("woken", want, got)
		})
	}
}

// What frees nothing, and opens nothing to a takeover, wakes nobody.
func TestWakeNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.submit(7, vm1)
	waiting8(w)
	w.pull(9)
	w.submit(9, newVM(6, crowded))
	w.judged()
	since := w.last("river_job")
	w.submit(9, newVM(6, crowded))
	w.submit(7, vm1)
	w.submit(7, newVM(1, cluster("west")))
	w.submit(7, newVM(1, invalid))
	w.submit(7, vm1, vm2)
	waiting8(w) // nor does who waits wake itself
	for _, line := range strings.Split(w.queued(since), "\n") {
		if strings.HasPrefix(line, "judge_pull_request") {
			t.Errorf("woken: %s", line)
		}
	}
}

// Whether what somebody waits for can be taken over is news to them.
func TestWakeWhoMayTakeOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	agreed(w)
	waiting8(w)
	for _, o := range []Outcome{{Status: domain.TicketPending}, approval(approves(11, alice))} {
		w.judged()
		since := w.last("river_job")
		w.decide(vm1.Path, o)
		if got := w.queued(since); !strings.Contains(got, judgeEight) {
			t.Errorf("%s: who waits is not woken: %s", o.Status, got)
		}
	}
}
