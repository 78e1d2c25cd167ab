package approval

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent/pullrequest"
	"kv-shepherd.io/shepherd/internal/domain"
)

func (w *world) decisions() []string {
	w.Helper()
	return w.texts(`select t.subject || ' ' || d.reviewer_login || ' ' || d.verdict || ' ' || d.review_id || coalesce(nullif(' ' || d.text, ' '), '')
from decisions d join tickets t on t.id = d.ticket_id order by d.id`)
}

func TestDecideApprove(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.submit(7, vm1)
	payload := string(w.ticket(vm1.Path).Edges.Event.Payload)
	half := Outcome{Status: domain.TicketPending, Votes: []Vote{
		{Review: approves(11, alice, saying("fine")), Counts: true}, {Review: approves(12, dave), Why: "it needs somebody else"},
	}}
	for range 2 { // the same outcome twice is one decision
		w.decide(vm1.Path, half)
	}
	w.same("one of two", []string{"prod-shop-shop-redis-01 PENDING_APPROVAL PENDING"}, w.states(7))
	w.same("decisions", []string{"prod-shop-shop-redis-01 alice approve 11 fine"}, w.decisions())

	w.decide(vm1.Path, approval(approves(11, alice, saying("fine")), approves(13, bob)))
	w.same("tickets", []string{"prod-shop-shop-redis-01 APPROVED PENDING"}, w.states(7))
	w.same("decisions", []string{"prod-shop-shop-redis-01 alice approve 11 fine", "prod-shop-shop-redis-01 bob approve 13"}, w.decisions())
	got := w.ticket(vm1.Path)
	w.same("decided", []any{bob.ID, "bob"}, []any{got.DecidedBy, got.DecidedByLogin})
	if got.DecidedAt == nil || !got.DecidedAt.Equal(clock) {
		t.Errorf("decided at %v", got.DecidedAt)
	}
	w.same("payload", payload, string(got.Edges.Event.Payload))
	w.same("claims", 2, len(got.Edges.Claims))
	w.noClusterJobs()
	row, err := w.db.PullRequest.Get(t.Context(), 7)
	w.ok(err)
	if len(row.Outcomes) == 0 {
		t.Error("the outcomes are not kept for telling")
	}

	w.decide(vm1.Path, Outcome{Status: domain.TicketPending})
	got = w.ticket(vm1.Path)
	w.same("withdrawn", []any{"PENDING_APPROVAL", "an approval no longer counts", int64(0), ""}, []any{string(got.Status), got.Decision, got.DecidedBy, got.DecidedByLogin})
	w.decide(vm1.Path, approval(approves(11, alice, saying("fine")), approves(13, bob)))
	w.same("approved again", []string{"prod-shop-shop-redis-01 APPROVED PENDING"}, w.states(7))
	w.same("decisions are kept once", 2, len(w.decisions()))
}

func TestDecideReject(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(*world){"waiting": asked, "approved": agreed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			before(w)
			w.decide(vm1.Path, refusal(refuses(12, bob, saying("too big"))))
			w.same("tickets", []string{"prod-shop-shop-redis-01 REJECTED CANCELLED"}, w.states(7))
			w.same("claims", []string(nil), w.claims())
			got := w.ticket(vm1.Path)
			w.same("text", []string{"too big", "bob", "too big"}, []string{got.Decision, got.DecidedByLogin, got.Edges.Event.ErrorMessage})
			decisions := w.decisions()
			w.same("decision", "prod-shop-shop-redis-01 bob reject 12 too big", decisions[len(decisions)-1])
			// What is final stays final.
			w.decide(vm1.Path, approval(approves(13, alice)))
			w.same("tickets", []string{"prod-shop-shop-redis-01 REJECTED CANCELLED"}, w.states(7))
			w.same("decisions", decisions, w.decisions())
		})
	}
}

// What is not there, merged, or of another plan is left alone.
func TestDecideLeavesAlone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.merged(7, "c0", "c1", vm1)
	w.submit(8, vm2)
	waiting := w.ticket(vm2.Path)
	for what, d := range map[string]Decided{
		"gone":         {Ticket: uuid.New(), Path: vm1.Path, Plan: uuid.New(), Outcome: approval(approves(11, alice))},
		"merged":       w.decided(vm1.Path, Outcome{Status: domain.TicketPending})[0],
		"refused late": w.decided(vm1.Path, refusal(refuses(14, bob)))[0],
		"another plan": {Ticket: waiting.ID, Path: vm2.Path, Plan: uuid.New(), Outcome: approval(approves(11, alice))},
	} {
		trail, decisions := w.last("audit_log"), len(w.decisions())
		w.ok(w.g.Decide(t.Context(), 7, []Decided{d}))
		w.same(what, "", w.trail(trail))
		w.same(what, decisions, len(w.decisions()))
	}
	w.same("tickets", []string{"prod-shop-shop-redis-01 APPROVED PROCESSING"}, w.states(7))
	w.same("tickets", []string{"prod-shop-shop-redis-02 PENDING_APPROVAL PENDING"}, w.states(8))
}

// The tickets of a batch are decided together; a change of mind about one leaves the others.
func TestDecideBatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.submit(7, vm1, vm2, vm3)
	all := append(w.decided(vm1.Path, approval(approves(11, alice))), w.decided(vm2.Path, refusal(refuses(12, bob)))...)
	all = append(all, w.decided(vm3.Path, Outcome{Status: domain.TicketPending})...)
	w.ok(w.g.Decide(t.Context(), 7, all))
	w.same("tickets", []string{
		"prod-shop-shop-redis-01 APPROVED PENDING", "prod-shop-shop-redis-02 REJECTED CANCELLED", "prod-shop-shop-redis-03 PENDING_APPROVAL PENDING",
	}, w.states(7))
	w.same("claims", []string{"index:redis/01 #7", "index:redis/03 #7", "vm:prod-shop-shop-redis-01 #7", "vm:prod-shop-shop-redis-03 #7"}, w.claims())
}

func TestCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.approved(7, newSystem(0), vm1, vm2)
	w.submit(8, vm3)
	closed := pullOf(7)
	closed.State = "closed"
	// The forge's time counts, also where this server's clock is ahead of it; a late look moves nothing back.
	closed.UpdatedAt = clock.Add(-time.Minute)
	for judged := range int64(2) {
		w.ok(w.g.Cancel(t.Context(), closed, judged+2, "the pull request was closed"))
		w.same("tickets", []string{"prod-shop-shop-redis-01 CANCELLED CANCELLED", "prod-shop-shop-redis-02 CANCELLED CANCELLED"}, w.states(7))
		w.same("claims", []string{"index:redis/03 #8", "vm:prod-shop-shop-redis-03 #8"}, w.claims())
		row, err := w.db.PullRequest.Get(t.Context(), 7)
		w.ok(err)
		w.same("pull request", []any{pullrequest.StateClosed, judged + 2, 0}, []any{row.State, row.Judged, len(row.Report)})
		if row.Epoch == nil || !row.Epoch.Equal(clock.Add(-time.Minute)) {
			t.Errorf("the epoch is %v: decisions from before would count, or some from after would not", row.Epoch)
		}
		closed.UpdatedAt = closed.UpdatedAt.Add(-time.Hour)
	}
	w.same("the reason", "the pull request was closed", w.ticket(vm1.Path).Decision)
	w.submit(7, newSystem(0), vm1, vm2) // reopened
	w.same("reopened", []string{"prod-shop-shop-redis-01 PENDING_APPROVAL PENDING", "prod-shop-shop-redis-02 PENDING_APPROVAL PENDING"}, w.states(7)[2:])
	w.noClusterJobs()
	if err := w.g.Cancel(t.Context(), pullOf(999), 1, "never heard of"); err == nil {
		t.Error("a pull request without a row was closed")
	}
}

// Two approvals at the same moment: one outcome, a decision of each, one line in the trail.
func TestDecideRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const rounds = 40
	var changes = map[int]string{}
	for i := range rounds {
		number, c := 100+i, newVM(i+1)
		w.pull(number)
		w.submit(number, c)
		changes[number] = c.Path
	}
	for number, path := range changes {
		var runs []func() error
		for i, who := range []Reviewer{alice, bob, alice} {
			d := w.decided(path, approval(approves(int64(number*10+i%2), who)))
			runs = append(runs, func() error { return w.g.Decide(t.Context(), number, d) })
		}
		for _, err := range together(runs...) {
			if err != nil {
				t.Errorf("#%d: %v", number, err)
			}
		}
	}
	w.same("tickets", []string{fmt.Sprint("APPROVED ", rounds)}, w.texts("select status || ' ' || count(*) from tickets group by status"))
	w.same("decisions", []string{fmt.Sprint("alice ", rounds), fmt.Sprint("bob ", rounds)},
		w.texts("select reviewer_login || ' ' || count(*) from decisions group by reviewer_login order by 1"))
	w.same("trail", []string{fmt.Sprint(rounds, " ", rounds)},
		w.texts("select count(*) || ' ' || count(distinct ticket_id) from audit_log where action_code = 'APPROVAL_APPROVED'"))
}
