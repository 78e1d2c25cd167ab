package approval

import (
	"context"
	"testing"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/store"
)

// inSystem is a service of another system.
func inSystem(system string) judge.Change {
	c := newService(0)
	c.Ref.System, c.Ref.Service = system, "cache"
	c.Path, c.Subject, c.Claims = c.Ref.Path(), c.Ref.String(), []string{"service:cache-of-" + system}
	return c
}

// stopped is a change that a quarantine stops.
func stopped(c judge.Change) judge.Change {
	c.Problems = domain.Problems{{Code: domain.Quarantined, Severity: domain.Error, Path: c.Path}}
	return c
}

// Who leans on what a span has done is judged again, behind what people wait for; the others are not.
func TestWakeNear(t *testing.T) {
	t.Parallel()
	quarantined := func(c judge.Change) func(*Span) {
		return func(s *Span) {
			s.Quarantined = []Quarantined{{Path: c.Path, Subject: c.Subject, Operation: c.Operation, Code: domain.ApprovalBypassed, Message: "nobody approved it"}}
		}
	}
	for name, tt := range map[string]struct {
		merged []judge.Change
		edit   func(*Span)
		want   []string
	}{
		"a system":                        {[]judge.Change{newSystem(0)}, nil, []string{"10 at 4", "11 at 4", "14 at 4"}},
		"a service":                       {[]judge.Change{newService(0)}, nil, []string{"10 at 4", "11 at 4", "14 at 4"}},
		"the removal of a service":        {[]judge.Change{goneService}, nil, []string{"10 at 4", "11 at 4", "14 at 4"}},
		"a machine":                       {[]judge.Change{newVM(9, free)}, nil, []string{"14 at 4"}},
		"another system":                  {[]judge.Change{inSystem("bank")}, nil, []string{"12 at 4", "14 at 4"}},
		"nothing":                         {nil, nil, []string{"14 at 4"}},
		"a quarantined file":              {nil, quarantined(vm3), []string{"10 at 4", "14 at 4"}},
		"a quarantined file of the rules": {nil, quarantined(ofPlatform("large")), []string{"13 at 4", "14 at 4"}},
		"a quarantined system":            {nil, quarantined(newSystem(0)), []string{"14 at 4"}},
		"by a push":                       {[]judge.Change{newSystem(0)}, func(s *Span) { s.Pull = Pull{Author: byAda} }, []string{"8 at 4", "10 at 4", "11 at 4", "14 at 4"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.submit(8, newVM(5))
			if name != "by a push" {
				w.sql("update pull_requests set state = 'closed' where id = 8")
			}
			for number, c := range map[int][]judge.Change{
				10: {vm3}, 11: {onVM(domain.StopVM, 4), inSystem("else")}, 12: {inSystem("bank")}, 13: {ofPlatform("medium")}, 14: {stopped(inSystem("school"))}, 15: nil,
			} {
				w.pull(number)
				w.submit(number, c...)
			}
			if len(tt.merged) == 1 && tt.merged[0].Requirement.Confirm.Needed() {
				w.confirm(7, tt.merged[0])
			}
			s := w.span(7, "c0", "c1", tt.merged...)
			if tt.edit != nil {
				tt.edit(&s)
			}
			w.ok(w.g.Merge(t.Context(), s))
			w.same("woken", tt.want, w.judgings())
		})
	}
}

// What somebody may do concerns what they opened, pushed to and reviewed.
func TestWakeAbout(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		person int64
		want   []string
	}{
		"the author of all":  {ada.ID, []string{"7 at 4", "8 at 4", "9 at 4"}},
		"a pusher":           {alice.ID, []string{"8 at 4"}},
		"a reviewer":         {bob.ID, []string{"7 at 4", "9 at 4"}},
		"nobody here":        {carol.ID, nil},
		"people not named":   {0, []string{"7 at 4", "8 at 4", "9 at 4", "11 at 4"}},
		"the author of none": {dave.ID, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for _, number := range []int{9, 10, 11} {
				w.pull(number)
			}
			for number, c := range map[int]judge.Change{7: vm1, 8: vm2, 9: vm3, 10: newVM(4)} {
				w.submit(number, c)
			}
			w.sql("update pull_requests set state = 'closed' where id = 10")
			for _, q := range []string{
				`insert into pushes (id, delivery_id, ref, pull_request, before, after, pusher_id, pusher_login, at) values (gen_random_uuid(), 'd', 'r', 8, 'b', 'a', 1, 'alice', now())`,
				`insert into reviews (id, pull_request, reviewer_id, reviewer_login, state, submitted_at) values (1, 7, 2, 'bob', 'approved', now()), (2, 9, 2, 'bob', 'commented', now()), (3, 10, 2, 'bob', 'approved', now())`,
			} {
				w.sql(q)
			}
			for range 2 { // while one waits another one is not needed
				w.ok(w.db.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return WakeAbout(ctx, tx, w.queue, tt.person) }))
			}
			w.same("judged again", tt.want, w.judgings())
		})
	}
}
