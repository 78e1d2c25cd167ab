package approval

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/domain"
)

// together runs all at the same moment and returns what each of them said.
func together(runs ...func() error) []error {
	start := make(chan struct{})
	errs := make([]error, len(runs))
	var wg sync.WaitGroup
	for i, run := range runs {
		wg.Go(func() {
			<-start
			errs[i] = run()
		})
	}
	close(start)
	wg.Wait()
	return errs
}

// Whatever is decided, judged or closed while a merge is written down: the merge either finds an approved
// ticket and the rest leaves it alone, or it finds none and nothing is merged.
func TestMergeRaces(t *testing.T) {
	t.Parallel()
	for name, other := range map[string]func(w *world, number int, index int) func() error{
		"an approval is withdrawn": func(w *world, number, index int) func() error {
			d := w.decided(newVM(index).Path, Outcome{Status: domain.TicketPending})
			return func() error { return w.g.Decide(w.Context(), number, d) }
		},
		"it is rejected": func(w *world, number, index int) func() error {
			d := w.decided(newVM(index).Path, refusal(refuses(int64(number), bob)))
			return func() error { return w.g.Decide(w.Context(), number, d) }
		},
		"the plan changes": func(w *world, number, index int) func() error {
			return func() error { return w.g.Submit(w.Context(), submission(number, newVM(index, cluster("west")))) }
		},
		"the content changes": func(w *world, number, index int) func() error {
			return func() error {
				return w.g.Submit(w.Context(), submission(number, newVM(index, digest(fmt.Sprint("other-", index)))))
			}
		},
		"it is closed": func(w *world, number, index int) func() error {
			return func() error { return w.g.Cancel(w.Context(), pullOf(number), 2, "closed") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			cursor, merges := "c0", 0
			const rounds = 25
			for i := 1; i <= rounds; i++ {
				number, next := 100+i, fmt.Sprint("c", i)
				w.pull(number)
				w.approved(number, newVM(i))
				s := w.span(number, cursor, next, newVM(i))
				interfere := other(w, number, i)
				errs := together(func() error { return w.g.Merge(t.Context(), s) }, func() error {
					time.Sleep(time.Duration(i%6) * time.Millisecond) // before, amid and after the merge
					return interfere()
				})
				if errs[1] != nil && !errors.Is(errs[1], ErrMoved) {
					t.Fatalf("round %d: %v", i, errs[1])
				}
				switch {
				case errs[0] == nil:
					cursor = next
					merges++
				case !errors.Is(errs[0], ErrMoved):
					t.Fatalf("round %d: merge: %v", i, errs[0])
				}
			}
			// A ticket is approved as long as its event runs, and every running event has its one job.
			w.same("torn tickets", []string(nil), w.texts(`select t.status || ' ' || e.status from tickets t join events e on e.id = t.event_id
where e.status = 'PROCESSING' and t.status <> 'APPROVED' or t.status in ('REJECTED', 'CANCELLED') and e.status <> 'CANCELLED'`))
			w.same("jobs", []string{fmt.Sprint(merges)}, w.texts(`select count(*)::text from river_job where kind = 'event_job'`))
			w.same("events", []string{fmt.Sprint(merges)}, w.texts(`select count(*)::text from events where status = 'PROCESSING'`))
			w.same("machines", []string{fmt.Sprint(merges)}, w.texts(`select count(*)::text from vms`))
			w.same("merged", []string{fmt.Sprint(merges)}, w.texts(`select count(*)::text from pull_requests where state = 'merged'`))
			w.same("asked for after the merge", []string(nil), w.texts(`select t.subject || ' ' || t.status from tickets t join pull_requests p on p.id = t.pull_request
where p.state = 'merged' and t.status = 'PENDING_APPROVAL'`))
			t.Logf("%d of %d merged", merges, rounds)
		})
	}
}

// Two walkers on one span: one of them takes it over.
func TestMergeTwice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := 1; i <= 20; i++ {
		number := 100 + i
		w.pull(number)
		w.approved(number, newVM(i))
		s := w.span(number, fmt.Sprint("c", i-1), fmt.Sprint("c", i), newVM(i))
		run := func() error { return w.g.Merge(t.Context(), s) }
		won := 0
		for _, err := range together(run, run, run) {
			switch {
			case err == nil:
				won++
			case !errors.Is(err, ErrMoved):
				t.Fatal(err)
			}
		}
		if won != 1 {
			t.Fatalf("span %d was taken over %d times", i, won)
		}
	}
	w.same("jobs", []string{"20"}, w.texts(`select count(*)::text from river_job where kind = 'event_job'`))
}

// Finishing and failing at the same moment, each twice: the event ends once.
func TestEndRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := 1; i <= 20; i++ {
		number, c := 100+i, newVM(i)
		w.pull(number)
		w.merged(number, fmt.Sprint("c", i-1), fmt.Sprint("c", i), c)
		work := w.started(c.Path)
		finish := func() error { return w.g.Finish(t.Context(), work, answer) }
		fail := func() error { return w.g.Fail(t.Context(), work.Event.ID, outOfQuota) }
		for _, err := range together(finish, fail, finish, fail) {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	w.same("ends", []string{"20"}, w.texts(`select count(*)::text from audit_log where action_code in ('EXECUTION_COMPLETED', 'EXECUTION_FAILED')`))
	w.same("torn", []string(nil), w.texts(`select t.status || ' ' || e.status || ' ' || f.status from tickets t join events e on e.id = t.event_id join effects f on f.id = 'apply:' || e.id
where t.status <> e.status or (e.status = 'COMPLETED') <> (f.status = 'done')`))
}
