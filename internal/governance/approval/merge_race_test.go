package approval

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
)

// walks merges as a walker does: from the cursor that there is, and again where somebody else was faster.
// It returns how often that was.
func (w *world) walks(number int, to string, changes ...judge.Change) (moved int, err error) {
	s := w.span(number, "", to, changes...)
	for ; ; moved++ {
		repo, err := w.db.Repository.Get(w.Context(), repositoryID)
		if err != nil {
			return moved, err
		}
		s.From = repo.Cursor
		time.Sleep(time.Duration(number%5) * time.Millisecond) // a judging takes its time
		if err := w.g.Merge(w.Context(), s); !errors.Is(err, ErrMoved) {
			return moved, err
		}
	}
}

// rush merges many pull requests at the same moment, each with its own changes.
func (w *world) rush(many int, changes func(i int) []judge.Change) {
	w.Helper()
	moved := make([]int, many)
	var runs []func() error
	for i := range many {
		number := 100 + i
		w.pull(number)
		mine := changes(i)
		w.approved(number, mine...)
		runs = append(runs, func() (err error) {
			moved[i], err = w.walks(number, fmt.Sprint("m", number), mine...)
			return err
		})
	}
	for i, err := range together(runs...) {
		if err != nil {
			w.Fatalf("#%d: %v", 100+i, err)
		}
	}
	contention := 0
	for _, n := range moved {
		contention += n
	}
	if contention == 0 {
		w.Error("nobody was ever too late: the merges did not meet")
	}
	w.Logf("%d of the merges came too late", contention)
	w.same("merged", []string{fmt.Sprint(many)}, w.texts("select count(*)::text from pull_requests where state = 'merged' and id >= 100"))
	w.same("each event has its job", []string(nil), w.texts(`select e.id::text from events e where e.status = 'PROCESSING'
and (select count(*) from river_job j where j.kind = 'event_job' and j.args->>'event_id' = e.id::text) <> 1`))
	w.same("each merge is written down at its commit", []string(nil), w.texts("select id::text from events where pull_request >= 100 and merge_commit <> 'm' || pull_request"))
	w.same("the cursor is at one of them", []string{"1"}, w.texts("select count(*)::text from pull_requests p, repository r where r.cursor = 'm' || p.id"))
}

// Twenty merges under one service: an index, a machine, an event and a job each, none twice and none lost.
func TestMergeManyMachines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const many = 20
	w.rush(many, func(i int) []judge.Change { return []judge.Change{newVM(i + 1)} })
	var indexes, machines []string
	for i := 1; i <= many; i++ {
		c := newVM(i)
		indexes = append(indexes, fmt.Sprintf("%d %s #%d", i, c.Subject, 99+i))
		machines = append(machines, fmt.Sprintf("%s 1 0 PROCESSING 1", c.Subject))
	}
	w.same("indexes", indexes, w.texts(`select number || ' ' || vm || ' #' || pull_request from indexes i join accepted a on a.name = i.vm where i.service = 'redis' order by number`))
	w.same("sequences", machines, w.texts(`select v.name || ' ' || v.sequence || ' ' || v.applied_sequence || ' ' || e.status || ' ' || e.sequence
from vms v join events e on e.path = v.path order by v.name`))
	w.same("jobs", []string{fmt.Sprint(many)}, w.texts("select count(distinct args->>'event_id')::text from river_job where kind = 'event_job'"))
	w.same("trail", []string{fmt.Sprint(many)}, w.texts("select count(distinct subject)::text from audit_log where action_code = 'CHANGE_ACCEPTED'"))
	w.same("plans are those of the tickets", []string{fmt.Sprint(many)}, w.texts("select count(*)::text from vms v join tickets t on t.path = v.path and t.plan_id = v.accepted_plan"))
}

// Twenty merges about one machine: each gets its own place in its order.
func TestMergeManyOfOneMachine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.running(7, "c0", "c1", vm1)
	const many = 20
	w.rush(many, func(i int) []judge.Change {
		op := []domain.Operation{domain.StopVM, domain.StartVM, domain.RestartVM}[i%3]
		return []judge.Change{onVM(op, 1, free, digest(fmt.Sprint("digest-", i)), func(c *judge.Change) { c.Claims = nil })}
	})
	w.same("vm", int64(many+1), w.vm(vm1.Path).Sequence)
	w.same("sequences", []string{fmt.Sprintf("%d %d 2 %d", many, many, many+1)},
		w.texts("select count(*) || ' ' || count(distinct sequence) || ' ' || min(sequence) || ' ' || max(sequence) from events where pull_request >= 100"))
	w.same("the accepted plan is the last one's", []string{fmt.Sprint(many + 1)},
		w.texts("select e.sequence::text from vms v join tickets t on t.plan_id = v.accepted_plan join events e on e.id = t.event_id"))
	w.same("the accepted spec is the last one's", []string{"true"},
		w.texts("select (a.commit = r.cursor and e.merge_commit = r.cursor)::text from accepted a, repository r, events e where e.sequence = $1", many+1))
	w.same("indexes", []string{"1"}, w.texts("select count(*)::text from indexes"))
	// They are carried out in that order: only the first may begin.
	begun := 0
	for _, id := range w.texts("select id::text from events where status = 'PROCESSING' order by sequence desc") {
		if _, err := w.g.Start(t.Context(), uuid.MustParse(id)); err == nil {
			begun++
			w.same("the first", []string{"2"}, w.texts("select sequence::text from events where id = $1", id))
		}
	}
	w.same("begun", 1, begun)
}

// A service with its machines, created and taken away by many at once: structure is recorded with them.
func TestMergeManyServices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const many = 8
	w.rush(many, func(i int) []judge.Change {
		service, machine := newService(0), newVM(1)
		service.Ref.Service, machine.Ref.Service = fmt.Sprint("redis-", i), fmt.Sprint("redis-", i)
		service.Path, machine.Path = service.Ref.Path(), machine.Ref.Path()
		service.Subject, machine.Subject = service.Ref.String(), machine.Ref.VMName()
		service.Claims, machine.Claims = []string{"service:" + service.Ref.Service}, []string{"vm:" + machine.Subject}
		return []judge.Change{service, machine}
	})
	w.same("indexes", []string{fmt.Sprintf("%d %d 1 1", many, many)}, w.texts("select count(*) || ' ' || count(distinct service) || ' ' || min(number) || ' ' || max(number) from indexes"))
	w.same("accepted", []string{fmt.Sprint("Service ", many), fmt.Sprint("VirtualMachine ", many)}, w.texts("select kind || ' ' || count(*) from accepted group by kind order by 1"))
	w.same("events", []string{fmt.Sprint("COMPLETED ", many), fmt.Sprint("PROCESSING ", many)}, w.texts("select status || ' ' || count(*) from events group by status order by 1"))
}

// Whoever closes, takes over and merges at the same moment, each waking the others: nothing is torn, and
// nobody waits for ever.
func TestWakeRace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for round := range 6 {
		base := 100 * (round + 1)
		var runs []func() error
		for i := range 4 {
			number := base + i
			w.pull(number)
			w.submit(number, newVM(10*round+i+1))
			// Each waits for a name of another one, too.
			w.sql(`update pull_requests set report = jsonb_build_object('changes', jsonb_build_array(jsonb_build_object('problems', jsonb_build_array(jsonb_build_object('code', 'DUPLICATE_PENDING_REQUEST'))))) where id = $1`, number)
			p := pullOf(number)
			p.State = "closed"
			runs = append(runs, func() error { return w.g.Cancel(t.Context(), p, 2, "closed") })
		}
		for _, err := range together(runs...) {
			w.ok(err)
		}
	}
	w.same("claims", []string(nil), w.claims())
	w.same("closed", []string{"24"}, w.texts("select count(*)::text from pull_requests where state = 'closed'"))
	w.same("events", []string{"CANCELLED 24"}, w.texts("select status || ' ' || count(*) from events group by status"))
}
