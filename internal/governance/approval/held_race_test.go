package approval

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
)

// A report is not written down once what it says of other pull requests' reservations has passed, and
// otherwise whoever moves them finds it: one of both, however close they come.
func TestHeldRaces(t *testing.T) {
	t.Parallel()
	pending := func(holder int) judge.Claim {
		return judge.Claim{PullRequest: holder, Status: domain.TicketPending}
	}
	for name, tt := range map[string]struct {
		held func(holder int) judge.Claim
		move func(w *world, holder, index int) func() error
	}{
		"it is approved": {pending, func(w *world, holder, index int) func() error {
			d := w.decided(newVM(index).Path, approval(approves(int64(holder), alice)))
			return func() error { return w.g.Decide(w.Context(), holder, d) }
		}},
		"it is rejected": {pending, func(w *world, holder, index int) func() error {
			d := w.decided(newVM(index).Path, refusal(refuses(int64(holder), bob)))
			return func() error { return w.g.Decide(w.Context(), holder, d) }
		}},
		"it is closed": {pending, func(w *world, holder, _ int) func() error {
			return func() error { return w.g.Cancel(w.Context(), pullOf(holder), 2, "closed") }
		}},
		"it is carried out": {func(holder int) judge.Claim {
			return judge.Claim{PullRequest: holder, Status: domain.TicketApproved, Running: true}
		}, func(w *world, holder, index int) func() error {
			w.decide(newVM(index).Path, approval(approves(int64(holder), alice)))
			w.ok(w.g.Merge(w.Context(), w.span(holder, fmt.Sprint("c", index-1), fmt.Sprint("c", index), newVM(index))))
			work := w.started(newVM(index).Path)
			return func() error { return w.g.Finish(w.Context(), work, answer) }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			refused := 0
			const rounds = 25
			for i := 1; i <= rounds; i++ {
				holder, number := 100+i, 200+i
				w.pull(holder)
				w.pull(number)
				w.submit(holder, newVM(i))
				s := submission(number, newVM(i, contested(holder), digest(fmt.Sprint("of-the-other-", i))))
				move := tt.move(w, holder, i)
				s.Held = map[string]judge.Claim{}
				for _, key := range newVM(i).Claims {
					s.Held[key] = tt.held(holder)
				}
				errs := together(func() error { return w.g.Submit(t.Context(), s) }, func() error {
					time.Sleep(time.Duration(i%6) * time.Millisecond) // before, amid and after the submission
					return move()
				})
				w.ok(errs[1])
				woken := w.texts(`select (wanted > judged)::text from pull_requests where id = $1`, number)[0] == "true"
				switch {
				case errors.Is(errs[0], ErrMoved):
					refused++
				case errs[0] != nil:
					t.Fatalf("round %d: %v", i, errs[0])
				case !woken:
					t.Fatalf("round %d: #%d was submitted as waiting for #%d as it was, and nobody wakes it", i, number, holder)
				}
				if n := len(w.states(number)); n != 0 {
					t.Fatalf("round %d: %d tickets of what another pull request holds", i, n)
				}
			}
			t.Logf("%d of %d were judged again", refused, rounds)
		})
	}
}

// What a judging saw of others is compared with what is true when it is written down.
func TestHeldMoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.submit(7, vm1)
	s := submission(8, twin)
	key := vm1.Claims[0]
	for what, seen := range map[string]judge.Claim{
		"another pull request": {PullRequest: 9, Status: domain.TicketPending},
		"another state":        {PullRequest: 7, Status: domain.TicketApproved},
		"being carried out":    {PullRequest: 7, Status: domain.TicketPending, Running: true},
	} {
		before := w.dump()
		s.Held = map[string]judge.Claim{key: seen}
		if err := w.g.Submit(t.Context(), s); !errors.Is(err, ErrMoved) {
			t.Errorf("%s: got %v", what, err)
		}
		w.same(what, before, w.dump())
	}
	s.Held = map[string]judge.Claim{key: {PullRequest: 7, Status: domain.TicketPending}}
	w.ok(w.g.Submit(t.Context(), s))
	w.decide(vm1.Path, refusal(refuses(12, bob)))
	if err := w.g.Submit(t.Context(), s); !errors.Is(err, ErrMoved) {
		t.Errorf("what nobody holds any more: got %v", err)
	}
}
