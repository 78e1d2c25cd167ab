package approval

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
)

// offers are the plans that a pull request has on show for changes, with their heads.
func (w *world) offers(number int, changes ...judge.Change) (out []*ent.Plan) {
	w.Helper()
	all, err := w.g.Offers(w.Context(), number, submission(number, changes...).Report)
	w.ok(err)
	for _, o := range all {
		w.same("path", o.Plan.Path, o.Path)
		out = append(out, o.Plan)
	}
	return out
}

func (w *world) offer(number int, changes ...judge.Change) *ent.Plan {
	w.Helper()
	all := w.offers(number, changes...)
	if len(all) != 1 {
		w.Fatalf("%d plans are on show", len(all))
	}
	return all[0]
}

func (w *world) plans(number int) string {
	w.Helper()
	return w.texts("select count(*)::text from plans where pull_request = $1", number)[0]
}

// What another pull request holds is on show all the same: a plan without ticket and claims, kept while
// nothing about it moves.
func TestOffer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rivals(w)
	first := w.offer(8, twin)
	w.same("tickets", []string(nil), w.states(8))
	w.same("claims", []string{"index:redis/01 #7", "vm:prod-shop-shop-redis-01 #7"}, w.claims())
	s := submission(8, twin)
	s.Report.Head = "head2"
	w.ok(w.g.Submit(t.Context(), s))
	again := w.offer(8, twin)
	w.same("the plan at another head", first.ID, again.ID)
	var heads []string
	for _, h := range again.Edges.Heads {
		heads = append(heads, h.Sha)
	}
	w.same("heads", []string{"head1", "head2"}, heads)
	w.ok(w.g.Publish(t.Context(), 8, planIDsOf(again), published))
	if got := w.offer(8, twin).PublishedAt; got == nil || !got.Equal(published) {
		t.Errorf("published at %v", got)
	}

	// Another plan takes its place, and what was said of the first does not come back with it.
	west := newVM(1, contested(7), digest("digest-twin"), cluster("west"))
	w.submit(8, west)
	w.same("nothing of what moved on", 0, len(w.offers(8, twin)))
	w.submit(8, twin)
	back := w.offer(8, twin)
	if back.ID == first.ID || back.PublishedAt != nil {
		t.Errorf("the plan that had moved on is back: %v", back)
	}
	w.same("plans", "3", w.plans(8))
}

// What cannot be taken is not on show: drafts, forks, what is wrong in itself, what was approved elsewhere.
func TestOfferNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asked(w)
	wrong := newVM(2, func(c *judge.Change) {
		c.Problems = domain.Problems{{Code: domain.SizeUnknown, Severity: domain.Error}}
	})
	for what, edit := range map[string]func(*judge.Report){
		"a draft": func(r *judge.Report) { r.Draft = true },
		"a fork":  func(r *judge.Report) { r.Fork = true },
		"the batch": func(r *judge.Report) {
			r.Problems = domain.Problems{{Code: domain.BatchTooLarge, Severity: domain.Error}}
		},
		"another change":             func(r *judge.Report) { r.Changes = append(r.Changes, wrong) },
		"approved elsewhere":         func(r *judge.Report) { r.Changes = []judge.Change{newVM(1, taken)} },
		"one taken and one approved": func(r *judge.Report) { r.Changes = append(r.Changes, newVM(2, taken)) },
		"no approval needed":         func(r *judge.Report) { r.Changes[0].Requirement.Approvals = 0 },
		"nothing":                    func(r *judge.Report) { r.Changes = nil },
	} {
		s := submission(8, twin)
		edit(&s.Report)
		w.ok(w.g.Submit(t.Context(), s))
		w.same(what, "0", w.plans(8))
		got, err := w.g.Offers(t.Context(), 8, s.Report)
		w.ok(err)
		w.same(what, 0, len(got))
	}
	// Beside what is contested, everything of the pull request that needs an approval is on show.
	w.submit(8, twin, vm2, newSystem(0))
	w.same("the whole batch", 2, len(w.offers(8, twin, vm2, newSystem(0))))
}

// The plan that was approved while it was on offer is the ticket's after the takeover, so that the approval
// counts; and only that.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.submit(7, vm1, vm2)
	w.submit(8, twin)
	offered := w.offer(8, twin)
	w.ok(w.g.Publish(t.Context(), 8, planIDsOf(offered), published))
	w.ok(w.g.TakeOver(t.Context(), 8, Taking{twin, byAlice}))

	w.same("the loser", []string{"prod-shop-shop-redis-01 CANCELLED CANCELLED SUPERSEDED", "prod-shop-shop-redis-02 PENDING_APPROVAL PENDING"}, w.states(7))
	lost := w.ticket(vm1.Path)
	w.same("what it is told", fmt.Sprintf(TakenOverBy, 8)+", which was approved first", lost.Decision)
	w.same("by whom", []any{alice.ID, "alice"}, []any{lost.DecidedBy, lost.DecidedByLogin})
	w.same("claims", []string{"index:redis/01 #8", "index:redis/02 #7", "vm:prod-shop-shop-redis-01 #8", "vm:prod-shop-shop-redis-02 #7"}, w.claims())
	w.same("judged again", []string{"7 2 true"}, w.texts("select id || ' ' || wanted || ' ' || queued from pull_requests where id = 7"))

	now := newVM(1, digest(twin.Digest))
	w.submit(8, now)
	got := w.ticket(vm1.Path)
	w.same("ticket", []any{8, offered.ID, "PENDING_APPROVAL"}, []any{got.PullRequest, got.PlanID, string(got.Status)})
	w.same("plans", "1", w.plans(8))
	w.same("claims are the ticket's", 2, len(got.Edges.Claims))
	weighed := Weigh(caseFor(got), []Review{approves(11, alice, at(time.Minute))})
	w.same("an approval of what was on offer", domain.TicketApproved, weighed.Status)
	w.decide(vm1.Path, weighed)
	w.merge(8, "c0", "c1", now)
	w.same("merged", []string{"prod-shop-shop-redis-01 APPROVED PROCESSING"}, w.states(8))
}

// The loser cannot win with what was said before it lost: what it asks for now is another plan.
func TestTakeOverNoPingPong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asked(w)
	w.publish(7, vm1.Path)
	old := w.ticket(vm1.Path)
	w.submit(8, twin)
	w.ok(w.g.TakeOver(t.Context(), 8, Taking{twin, byAlice}))
	w.submit(8, newVM(1, digest(twin.Digest)))
	back := newVM(1, contested(8))
	w.submit(7, back)
	offered := w.offer(7, back)
	if offered.ID == old.PlanID || offered.PublishedAt != nil {
		t.Fatalf("the plan from before is on show: %v", offered)
	}
	early := approves(11, alice, at(time.Minute))
	c := caseOfPlan(offered, published.Add(time.Hour), old.PlanID)
	w.same("an approval from before", domain.TicketPending, Weigh(c, []Review{early}).Status)
	late := approves(12, alice, at(2*time.Hour))
	w.same("a new one", domain.TicketApproved, Weigh(c, []Review{early, late}).Status)

	w.ok(w.g.TakeOver(t.Context(), 7, Taking{back, byAlice})) // approved anew, while the other only waits
	w.submit(7, vm1)
	got := w.ticket(vm1.Path)
	w.same("ticket", []any{7, offered.ID, "PENDING_APPROVAL"}, []any{got.PullRequest, got.PlanID, string(got.Status)})
	w.same("tickets", []string{"prod-shop-shop-redis-01 CANCELLED CANCELLED SUPERSEDED"}, w.states(8))
	// Approved, it stays.
	w.decide(vm1.Path, approval(approves(13, alice)))
	w.submit(8, newVM(1, taken, digest(twin.Digest)))
	if err := w.g.TakeOver(t.Context(), 8, Taking{twin, byAlice}); !errors.Is(err, ErrMoved) {
		t.Errorf("taken from an approved one: %v", err)
	}
}

// A plan on offer is no more once the pull request was closed: what was said of it before does not count.
func TestOfferAfterClosing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rivals(w)
	was := w.offer(8, twin)
	w.ok(w.g.Publish(t.Context(), 8, planIDsOf(was), published))
	closed := pullOf(8)
	closed.State = "closed"
	w.ok(w.g.Cancel(t.Context(), closed, 2, "closed"))
	w.sql("update pull_requests set epoch = now() where id = 8")
	w.same("closed", 0, len(w.offers(8, twin)))
	w.submit(8, twin)
	if now := w.offer(8, twin); now.ID == was.ID || now.PublishedAt != nil {
		t.Errorf("the plan from before is on show: %v", now)
	}
}

// Of two that take over at the same moment one does, and the other finds that the world has moved.
func TestTakeOverRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const rounds = 15
	for i := 1; i <= rounds; i++ {
		first, left, right := 100*i, 100*i+1, 100*i+2
		for _, n := range []int{first, left, right} {
			w.pull(n)
		}
		mine := func(n int) judge.Change { return newVM(i, contested(first), digest(fmt.Sprint("digest-", n))) }
		w.submit(first, newVM(i))
		w.submit(left, mine(left))
		w.submit(right, mine(right))
		take := func(n int) func() error {
			return func() error { return w.g.TakeOver(t.Context(), n, Taking{mine(n), byAlice}) }
		}
		won := 0
		for _, err := range together(take(left), take(right), take(left)) {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, ErrMoved):
				t.Fatal(err)
			}
		}
		w.same("won", 1, won)
	}
	w.same("trail", []string{fmt.Sprint(rounds)}, w.texts("select count(*)::text from audit_log where action_code = 'CLAIM_TAKEN_OVER'"))
	w.same("claims of one change have one owner", []string(nil),
		w.texts("select path from claims group by path having count(distinct pull_request) > 1 or min(pull_request) % 100 = 0"))
	w.same("losers", []string{fmt.Sprint("CANCELLED ", rounds)}, w.texts("select status || ' ' || count(*) from tickets group by status"))
}

// Approving what is taken over at the same moment: it is approved, or taken over, never both.
func TestTakeOverWhileApproved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := 1; i <= 20; i++ {
		first, second := 100*i, 100*i+1
		w.pull(first)
		w.pull(second)
		rival := newVM(i, contested(first), digest(fmt.Sprint("digest-", second)))
		w.submit(first, newVM(i))
		w.submit(second, rival)
		d := w.decided(newVM(i).Path, approval(approves(int64(i), bob)))
		errs := together(
			func() error { return w.g.Decide(t.Context(), first, d) },
			func() error {
				time.Sleep(time.Duration(i%4) * time.Millisecond)
				return w.g.TakeOver(t.Context(), second, Taking{rival, byAlice})
			})
		if errs[0] != nil || errs[1] != nil && !errors.Is(errs[1], ErrMoved) {
			t.Fatal(errs)
		}
		status, owner := "APPROVED", first
		if errs[1] == nil {
			status, owner = "CANCELLED", second
		}
		w.same("ticket", []string{status}, w.texts("select status from tickets where pull_request = $1", first))
		w.same("owner", []string{fmt.Sprint(owner)}, w.texts("select distinct pull_request::text from claims where path = $1", rival.Path))
	}
}
