package e2e

import (
	"fmt"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// budget is how many calls to the forge one judging may take, from a webhook until everything is told.
const budget = 10 // one of them looks whether what wakes people was said before, one whether it was reopened

// within counts the calls that an act leads to.
func (w *world) within(what string, act func()) {
	w.t.Helper()
	// One sweep at the start, and with the first look at the clusters another one when a leader for what is periodic
	// is found, which takes a while on a busy machine.
	w.eventually("the sweeps after the start", func() bool {
		return w.count(`select count(*) from river_job where kind = 'sweep_pull_requests' and state = 'completed'`) > 1 &&
			w.count(`select count(*) from river_job where kind = 'check_clusters' and state = 'completed'`) > 0
	})
	w.quiet()
	w.Forge.ResetCalls()
	last := w.count(`select coalesce(max(id), 0) from river_job`)
	act()
	w.quiet()
	calls := w.Forge.Calls()
	w.t.Logf("%s: %d calls", what, len(calls))
	if len(calls) > budget {
		w.t.Errorf("%s takes %d calls to the forge:", what, len(calls))
		for _, c := range calls {
			w.t.Logf("  %s %s", c.Method, c.Path)
		}
		w.t.Logf("by the jobs %s", w.strings(`select kind || ' ' || args::text from river_job where id > $1 order by id`, last))
	}
}

func TestForgeBudget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := machines("calls", "few", "test-shop/01", "prod-shop/02")
	w.push("calls", files)
	var pr *forgetest.Pull
	w.within("a first judging", func() { pr = w.open("calls", false); w.published(pr) })
	w.within("a push that changes the plan", func() {
		w.push("calls", forgetest.Files{vmPath("calls", "few", "test-shop/01"): stage.VM("medium", "larger")})
		w.comment(pr, "medium")
	})
	w.within("an approving review", func() {
		w.approve(w.Bob, pr)
		w.check(pr, "shepherd/approval", "success")
	})
	var many []string
	for i := range 10 {
		many = append(many, fmt.Sprintf("test-shop/%02d", i+1))
	}
	w.push("many", machines("many", "machines", many...))
	var large *forgetest.Pull
	w.within("a pull request of ten machines", func() { large = w.open("many", false); w.published(large) })

	w.within("a push without meaning", func() {
		before := w.remarks(pr)[0]
		head := w.push("calls", forgetest.Files{"README.md": []byte("about\n")})
		w.check(pr, "shepherd/validate", "success")
		w.check(pr, "shepherd/approval", "success") // the approval stands
		w.quiet()
		after := w.remarks(pr)
		if len(after) != 1 || after[0].ID != before.ID || after[0].Edits != before.Edits {
			t.Errorf("the comment was edited %d times, now %d:\n%s", before.Edits, after[0].Edits, after[0].Body)
		}
		if n := len(w.Repo.ChecksOn(head)); n != 2 {
			t.Errorf("%d checks on the new head", n)
		}
	})
	w.within("an event without news", func() { w.do(w.Alice.EditPull(pr, "Machines: another title", "")) })
	if n := len(w.remarks(pr)); n != 1 {
		t.Errorf("%d comments", n)
	}
}

// The bot's comment is the bot's: what others do to it is put right, and written down.
func TestCommentIsRestored(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pr := w.ask("shop", twoVMs())
	w.published(pr)
	w.quiet()
	was := w.remarks(pr)[0]
	w.do(w.Dave.EditComment(pr, was.ID, "Approved by everybody."))
	w.eventually("the comment to be put right", func() bool { return w.remarks(pr)[0].Body == was.Body })
	w.quiet()
	w.do(w.Carol.DeleteComment(pr, was.ID))
	w.eventually("the comment to be written again", func() bool { c := w.remarks(pr); return len(c) == 1 && c[0].Body == was.Body })
	w.quiet()
	want := []string{"dave edited", "carol deleted"}
	got := w.strings(`select performed_by || ' ' || (params->>'action') from audit_log where action_code = 'COMMENT_RESTORED' order by id`)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the trail says %v, want %v", got, want)
	}
	if n := len(w.remarks(pr)); n != 1 {
		t.Errorf("%d comments", n)
	}
}

// A burst of webhooks leads to few judgings, and the last push is judged.
func TestBurst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pr := w.ask("burst", machines("burst", "busy", "test-shop/01"))
	w.published(pr)
	for _, held := range []bool{true, false} {
		w.quiet()
		w.Forge.ResetCalls()
		if held {
			w.Forge.PauseDeliveries()
		}
		const pushes = 25 // each is told twice: as a push and as a change of the pull request
		last := ""
		for i := range pushes {
			size := []string{"small", "medium"}[i%2]
			last = w.push("burst", forgetest.Files{vmPath("burst", "busy", "test-shop/01"): stage.VM(size, fmt.Sprintf("try %v %d", held, i))})
		}
		began := time.Now()
		w.Forge.ResumeDeliveries()
		w.eventually("the last push to be judged", func() bool { return len(w.Repo.ChecksOn(last)) == 2 })
		w.quiet()
		judged := w.Forge.CallCounts()["GET /repos/{owner}/{repo}/pulls/{number}"] + w.Forge.CallCounts()["GET /repos/{owner}/{repo}/pulls/{pull_number}"]
		t.Logf("held %v: %d pushes, %d judgings, %s: %v", held, pushes, judged, time.Since(began).Round(time.Millisecond), w.Forge.CallCounts())
		if judged == 0 || held && judged > 10 || judged > pushes/2+1 {
			t.Errorf("%d judgings of %d pushes (held back: %v)", judged, pushes, held)
		}
		w.comment(pr, fmt.Sprintf("try %v %d", held, pushes-1))
	}
	if got := w.statuses(pr); got[len(got)-1] != "PENDING_APPROVAL" {
		t.Errorf("the tickets are %v", got)
	}
}
