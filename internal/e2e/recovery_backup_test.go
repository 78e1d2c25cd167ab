package e2e

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/seal"
)

// copyOf makes a copy of the database, which nobody may be using, and returns its address.
func (w *world) copyOf(dsn string) string {
	w.t.Helper()
	at := must(url.Parse(dsn))(w)
	name := strings.TrimPrefix(at.Path, "/")
	server, clone := *at, *at
	server.Path, clone.Path = "/postgres", at.Path+"_copy"
	w.pool.Reset()
	conn := must(pgx.Connect(w.t.Context(), server.String()))(w)
	defer func() { _ = conn.Close(w.t.Context()) }()
	w.eventually("nobody to use the database", func() bool {
		_, err := conn.Exec(w.t.Context(), `create database "`+name+`_copy" template "`+name+`"`)
		return err == nil
	})
	w.t.Cleanup(func() { // the copy is dropped as the database itself is
		conn, err := pgx.Connect(context.Background(), server.String())
		if err == nil {
			_, err = conn.Exec(context.Background(), `drop database "`+name+`_copy" with (force)`)
			_ = conn.Close(context.Background())
		}
		if err != nil {
			w.t.Errorf("drop the copy: %v", err)
		}
	})
	return clone.String()
}

// restore goes on with another database, as from a backup.
func (w *world) restore(dsn string) {
	w.t.Helper()
	w.cfg.Database = seal.NewSecret(dsn)
	pool := must(pgxpool.New(w.t.Context(), dsn))(w)
	w.t.Cleanup(pool.Close)
	w.pool = pool
}

// A database that is restored from a backup is behind what the bot did: what it had said is not said again, what it
// had applied is not applied again, and what it had been told is read again.
func TestRestoredBackup(t *testing.T) {
	t.Parallel()
	w := &town{court: newCourt(t), pulls: map[string]*forgetest.Pull{}}
	w.structure("shop", "redis")
	for _, name := range []string{"old", "kept", "approved", "asked", "closed", "vetoed", "bypassed"} {
		w.request(name)
	}
	w.settledBefore("old", "kept", "approved")
	w.merge(w.pulls["old"], "merge")
	w.merge(w.pulls["kept"], "merge")
	w.once(townMachine("old"), townMachine("kept"))
	for _, name := range []string{"asked", "closed", "vetoed", "bypassed"} {
		w.published(w.pulls[name])
	}
	w.quiet()
	w.stop()
	backup := w.copyOf(w.cfg.Database.Reveal())
	w.serve()

	// What the backup does not know.
	w.merge(w.pulls["approved"], "merge")
	w.approve(w.Bob, w.pulls["asked"])
	w.check(w.pulls["asked"], "shepherd/approval", "success")
	w.merge(w.pulls["asked"], "squash")
	w.request("fresh")
	w.settledBefore("fresh")
	w.merge(w.pulls["fresh"], "merge")
	w.once(townMachine("approved"), townMachine("asked"), townMachine("fresh"))
	w.pulls["modify"] = w.ask("modify", fileOf("old", "medium"))
	w.settledBefore("modify")
	w.merge(w.pulls["modify"], "merge")
	w.eventually("the change of the old machine", func() bool {
		return w.count(`select count(*) from events where subject = $1 and operation = 'MODIFY_VM' and status = 'COMPLETED'`, townMachine("old")) == 1
	})
	w.request("open")
	w.published(w.pulls["open"])
	w.do(w.Alice.Close(w.pulls["closed"]))
	must(w.Bob.RequestChanges(w.pulls["vetoed"], "no"))(w.world)
	w.check(w.pulls["vetoed"], "shepherd/approval", "failure")
	w.undo(w.bypass(w.pulls["bypassed"]))
	w.quiet()
	machines := func() map[string]string { // as the cluster has them
		out := map[string]string{}
		for _, name := range []string{"old", "kept", "approved", "asked", "fresh"} {
			vm := w.vm(townMachine(name))
			out[name] = string(vm.UID) + " " + vm.ResourceVersion
		}
		return out
	}
	spoken := func() (out []string) {
		for _, pr := range w.Repo.Pulls() {
			for _, c := range w.comments(pr) {
				mark, _, _ := strings.Cut(c.Body, "\n")
				out = append(out, fmt.Sprintf("#%d %d %s", pr.Number(), c.ID, mark))
			}
		}
		return out
	}
	before, said, pulls := machines(), spoken(), len(w.Repo.Pulls())
	w.stop()

	w.restore(backup)
	result := w.baseline(w.Repo.Head("main")) // as the README has it
	var want []string
	for _, name := range []string{"approved", "asked", "fresh", "old"} {
		want = append(want, vmPath("shop", name, "test-shop/01"))
	}
	if !slices.Equal(result.Recognised, want) || !slices.Equal(result.Waiting, []string{vmPath("shop", "bypassed", "test-shop/01")}) {
		t.Errorf("recognised %v, waiting %v", result.Recognised, result.Waiting)
	}
	w.serve()
	w.quiet()
	w.fetch()
	if diff := cmp.Diff(before, machines()); diff != "" {
		t.Errorf("machines were touched (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(said, spoken()); diff != "" || len(w.Repo.Pulls()) != pulls {
		t.Errorf("%d pull requests, and %d before; said (-before +after):\n%s", len(w.Repo.Pulls()), pulls, diff)
	}
	for name, want := range map[string]string{"vetoed": "failure", "open": "action_required"} {
		w.stands(w.pulls[name], want, name)
	}
	for _, name := range []string{"approved", "asked", "closed", "bypassed"} {
		if n := w.count(`select count(*) from claims where pull_request = $1`, w.pulls[name].Number()); n != 0 {
			t.Errorf("%s holds %d names", name, n)
		}
	}
	w.current()

	// And on it goes from there.
	w.pulls["larger"] = w.ask("larger", fileOf("old", "small"))
	w.settledBefore("larger")
	w.merge(w.pulls["larger"], "merge")
	w.eventually("the next change of the old machine", func() bool {
		return w.count(`select count(*) from vms where name = $1 and applied_sequence = 3`, townMachine("old")) == 1
	})
}
