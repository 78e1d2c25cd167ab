package approval

import (
	"testing"
	"time"

	"kv-shepherd.io/shepherd/ent/grant"
)

// granted are the consoles of a person: the pull request, how long, and by whom it ended.
func (w *world) granted(login string) []string {
	w.Helper()
	return w.texts(`select '#' || pull_request || ' ' || vm || ' ' || environment || ' ' || (expires_at - granted_at) || coalesce(nullif(' ' || revoked_by, ' '), '') ||
 case when revoked_at is null then '' else ' ' || to_char(revoked_at at time zone 'UTC', 'HH24:MI') end
from grants where person_login = $1 order by id`, login)
}

// The merge of a request opens the console from then on, for as long as was asked for, to who asked.
func TestGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.merged(7, "c0", "c1", console(vm1.Subject, "ada"))
	w.same("grants", []string{"#7 prod-shop-shop-redis-01 prod 01:00:00"}, w.granted("ada"))
	w.same("tickets", []string{"prod-shop-shop-redis-01 COMPLETED COMPLETED"}, w.states(7))
	w.same("claims", []string(nil), w.claims())
	w.noEventJobs()
	g, err := w.db.Grant.Query().Only(t.Context())
	w.ok(err)
	tk := w.ticket(console(vm1.Subject, "ada").Path)
	w.same("of what", []any{tk.ID, tk.EventID, tk.Path, ada.ID}, []any{g.TicketID, g.EventID, g.Path, g.PersonID})
	if !g.GrantedAt.Equal(clock) || !g.ExpiresAt.Equal(clock.Add(time.Hour)) {
		t.Errorf("from %v to %v", g.GrantedAt, g.ExpiresAt)
	}

	// A new request takes the place of the former.
	longer := console(vm1.Subject, "ada")
	longer.Grant, longer.Digest, longer.Accepted = 2*time.Hour, "digest-longer", longer.Wanted
	w.merged(8, "c1", "c2", longer)
	w.same("grants", []string{"#7 prod-shop-shop-redis-01 prod 01:00:00 ada 13:00", "#8 prod-shop-shop-redis-01 prod 02:00:00"}, w.granted("ada"))

	// Another VM's and another person's are not touched by the removal.
	w.pull(9)
	elsewhere, bobs := console(vm2.Subject, "ada"), console(vm1.Subject, "bob")
	w.merged(9, "c2", "c3", elsewhere)
	w.pull(10)
	w.approved(10, bobs)
	s := w.span(10, "c3", "c4", bobs)
	s.Pull.Author.ID, s.Pull.Author.Login = bob.ID, bob.Login
	w.ok(w.g.Merge(t.Context(), s))
	w.pull(11)
	w.removed(11, "c4", "c5", consoleGone(vm1.Subject, "ada"))
	w.same("ada's", []string{
		"#7 prod-shop-shop-redis-01 prod 01:00:00 ada 13:00", "#8 prod-shop-shop-redis-01 prod 02:00:00 ada 13:00", "#9 prod-shop-shop-redis-02 prod 01:00:00",
	}, w.granted("ada"))
	w.same("bob's", []string{"#10 prod-shop-shop-redis-01 prod 01:00:00"}, w.granted("bob"))
	w.same("accepted", []string{bobs.Path, elsewhere.Path}, w.texts("select id from accepted order by id"))
}

// What has run out is over: taking it back again changes nothing of it.
func TestGrantRunOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.merged(7, "c0", "c1", console(vm1.Subject, "ada"))
	later := New(w.db, w.queue, func() time.Time { return clock.Add(2 * time.Hour) })
	w.approved(8, consoleGone(vm1.Subject, "ada"))
	w.ok(later.Merge(t.Context(), w.span(8, "c1", "c2", consoleGone(vm1.Subject, "ada"))))
	w.same("revoked", 0, w.db.Grant.Query().Where(grant.RevokedAtNotNil()).CountX(t.Context()))
	w.same("trail", []string{`{"vm": "prod-shop-shop-redis-01", "grants": 0}`}, w.texts("select params::text from audit_log where action_code = 'CONSOLE_REVOKED'"))
}

// Nothing is granted by what is quarantined, or never merged.
func TestGrantNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := console(vm1.Subject, "ada")
	w.approved(7, c)
	s := w.span(7, "c0", "c1")
	s.Quarantined = []Quarantined{{Path: c.Path, Subject: c.Subject, Operation: c.Operation, Code: "APPROVAL_BYPASSED", Message: "nobody approved it"}}
	w.ok(w.g.Merge(t.Context(), s))
	w.submit(8, c)
	if err := w.g.Merge(t.Context(), w.span(8, "c1", "c2", c)); err == nil {
		t.Error("granted without an approval")
	}
	w.same("grants", []string(nil), w.granted("ada"))
}
