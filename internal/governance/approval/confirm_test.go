package approval

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/policy"
)

// A command confirms each of its changes once, whoever carries it out twice; another command confirms anew.
func TestConfirm(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	second := onVM(domain.DeleteVM, 2)
	c := word(7, goneVM)
	both := c
	both.Path, both.Subject, both.Digest = second.Path, second.Subject, second.Digest
	run := func(c Confirmed) func() error { return func() error { return w.g.Confirm(t.Context(), c) } }
	for _, err := range together(run(c), run(both), run(c), run(both)) {
		w.ok(err)
	}
	w.confirm(7, goneVM)
	w.same("confirmations", []string{
		"prod-shop-shop-redis-01 delete_vm-01 ada 2", "prod-shop-shop-redis-02 delete_vm-02 ada 1",
	}, w.texts(`select subject || ' ' || change_digest || ' ' || person_login || ' ' || count(*) from confirmations where pull_request = 7 and at = $1 group by subject, change_digest, person_login order by 1`, published))
	w.same("trail", []string{"3"}, w.texts("select count(*)::text from audit_log where action_code = 'DELETION_CONFIRMED'"))
	for _, q := range []string{"update confirmations set change_digest = 'other'", "update confirmations set person_id = 3", "delete from confirmations"} {
		_, err := w.pool.Exec(t.Context(), q)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || !strings.HasSuffix(pg.Message, "a confirmation is immutable") {
			t.Errorf("%s: got %v", q, err)
		}
	}
}

// The merge itself looks for the confirmation: of this change, in this pull request.
func TestMergeUnconfirmed(t *testing.T) {
	t.Parallel()
	for name, give := range map[string]func(*world){
		"nobody's":                func(*world) {},
		"another pull request's":  func(w *world) { w.confirm(7, goneVM) },
		"another digest's":        func(w *world) { w.confirm(8, onVM(domain.DeleteVM, 1, digest("delete-otherwise"))) },
		"another VM's":            func(w *world) { w.confirm(8, onVM(domain.DeleteVM, 2, digest(goneVM.Digest))) },
		"that of a part of it":    func(w *world) { w.confirm(8, goneVM) },
		"that of the other part":  func(w *world) { w.confirm(8, goneService) },
		"both, by a direct merge": func(w *world) { w.confirm(0, goneVM); w.confirm(0, goneService) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.running(7, "c0", "c1", vm1)
			w.approved(8, goneVM, goneService)
			give(w)
			s := w.span(8, "c1", "c2", goneVM, goneService)
			s.Merged[0].Change.Confirmed, s.Merged[1].Change.Confirmed = "mallory", "mallory" // what the caller believes
			before := w.dump()
			if err := w.g.Merge(t.Context(), s); !errors.Is(err, ErrMoved) || !strings.Contains(err.Error(), "nobody confirmed") {
				t.Errorf("got %v", err)
			}
			w.same("database", before, w.dump())
			w.confirm(8, goneVM)
			w.confirm(8, goneService)
			w.ok(w.g.Merge(t.Context(), s))
		})
	}
}

// What asks for no confirmation is merged without one, and what asks for a name as for a digest.
func TestConfirmationNeeded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cursor := 0
	for _, confirm := range []policy.Confirm{"", policy.ConfirmNone, policy.ConfirmDigest, policy.ConfirmName} {
		cursor++
		c := removes(newService(0), domain.DeleteService)
		c.Requirement.Confirm = confirm
		number := 100 + cursor
		w.pull(number)
		s := w.span(number, fmt.Sprint("c", cursor-1), fmt.Sprint("c", cursor), c)
		needed := confirm == policy.ConfirmDigest || confirm == policy.ConfirmName
		if err := w.g.Merge(t.Context(), s); (err != nil) != needed || needed && !errors.Is(err, ErrMoved) {
			t.Errorf("%q: got %v", confirm, err)
		}
		if needed {
			w.confirm(number, c)
			w.ok(w.g.Merge(t.Context(), s))
		}
	}
}

func TestHold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	asked(w)
	held := func() string {
		return w.texts("select held_by || ' ' || held_by_login || ' ' || coalesce(to_char(held_at at time zone 'UTC', 'HH24:MI'), 'never') from pull_requests where id = 7")[0]
	}
	w.same("at first", "0  never", held())
	w.ok(w.g.Hold(t.Context(), 7, byAlice, true))
	w.same("held", "1 alice 13:00", held())
	w.ok(w.g.Hold(t.Context(), 7, byAda, true))
	w.same("held by another one", "9 ada 13:00", held())
	w.submit(7, vm1)
	w.decide(vm1.Path, approval(approves(11, alice)))
	w.same("judging does not let go", "9 ada 13:00", held())
	w.ok(w.g.Hold(t.Context(), 7, byAlice, false))
	w.same("let go", "0  never", held())
	if err := w.g.Hold(t.Context(), 999, byAlice, true); err == nil {
		t.Error("a pull request without a row is held")
	}
	w.merge(7, "c0", "c1", vm1)
	w.ok(w.g.Hold(t.Context(), 7, byAlice, true))
	w.same("after the merge", "0  never", held())
}
