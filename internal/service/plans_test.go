package service

import (
	"context"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/render"
)

// force changes what the database refuses to change.
func (w *world) force(query string, args ...any) {
	w.Helper()
	w.ok(pgx.BeginFunc(w.Context(), w.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(w.Context(), "set local session_replication_role = replica"); err != nil {
			return err
		}
		_, err := tx.Exec(w.Context(), query, args...)
		return err
	}))
}

// A plan that cannot be carried out as it is stored ends its event with a sentence, and nothing is touched.
func TestWrongPlans(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	for _, c := range []struct {
		name, sql, says string
		change          func(c *judge.Change)
	}{
		{"nothing to apply", "", "holds nothing to apply", func(c *judge.Change) { c.Plan.Manifests = nil }},
		{"without a VM", "", "there is no VirtualMachine", func(c *judge.Change) { c.Plan.Manifests = []render.Manifest{disk(c.Ref, w.ns)} }},
		{"another VM's", "", "is about VirtualMachine", func(c *judge.Change) { c.Plan.Manifests = []render.Manifest{machine(newRef(), w.ns)} }},
		{"another namespace", "", "is about VirtualMachine elsewhere/", func(c *judge.Change) { c.Plan.Manifests = []render.Manifest{machine(c.Ref, "elsewhere")} }},
		{"another path", `update plans set path = 'x' where id = $1`, "is for x", nil},
		{"another cluster", `update plans set cluster = 'east' where id = $1`, `for cluster "east"`, nil},
		{"unreadable", `update plans set manifests = '{}' where id = $1`, "cannot be read", nil},
		{"another's labels", "", "is not the VM's", func(c *judge.Change) {
			c.Plan.Manifests[0].JSON = []byte(strings.Replace(string(c.Plan.Manifests[0].JSON), `"shop"`, `"other"`, 1))
		}},
	} {
		ref := newRef()
		change := w.creation(ref)
		if c.change != nil {
			c.change(&change)
		}
		id := w.ask(change)[0]
		if c.sql != "" {
			row, err := w.db.Ticket.Query().Where(ticket.EventID(id)).Only(t.Context())
			w.ok(err)
			w.force(c.sql, row.PlanID)
		}
		w.failed(id, domain.PlanInvalid)
		if got := w.event(id).ErrorMessage; !strings.Contains(got, c.says) {
			t.Errorf("%s: %q, want %q", c.name, got, c.says)
		}
		if w.live(id) != nil {
			t.Errorf("%s: there is a VM", c.name)
		}
		w.states(id, event.StatusFAILED, domain.VMFailed)
		next := w.ask(w.change(domain.ModifyVM, ref, runs, runs, machine(ref, w.ns)))[0]
		w.done(next) // what follows is not held up
	}
}

// An event that this version does not know ends with a sentence.
func TestUnknownEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	for _, kind := range []string{"VM_CLONE_REQUESTED", domain.PlatformChanged, domain.VNCAccessRequested} {
		id := w.ask(w.creation(newRef()))[0]
		w.force(`update events set type = $2 where id = $1`, id, kind)
		w.failed(id, domain.PlanInvalid)
		if got := w.event(id).ErrorMessage; !strings.Contains(got, kind) {
			t.Errorf("%q", got)
		}
	}
	if err := w.vms.onCluster("apply", w.vms.apply)(context.Background(), "none"); !jobs.IsTerminal(err) {
		t.Errorf("an id that is none: %v", err)
	}
	if err := w.vms.remove(context.Background(), "none"); !jobs.IsTerminal(err) {
		t.Errorf("an id that is none: %v", err)
	}
}
