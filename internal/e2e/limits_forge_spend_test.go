package e2e

import (
	"net/http"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// spent counts the requests that an act leads to, and those of them that cost something: GitHub charges nothing for what is
// unchanged.
func (w *world) spent(what string, most int, act func()) {
	w.t.Helper()
	w.quiet()
	w.Forge.ResetCalls()
	act()
	w.quiet()
	var paid []string
	calls := w.Forge.CallsBy("shepherd[bot]")
	for _, c := range calls {
		if c.Status != http.StatusNotModified {
			paid = append(paid, c.Route)
		}
	}
	w.t.Logf("%s: %d requests, %d of them paid: %v", what, len(calls), len(paid), paid)
	if len(paid) > most {
		w.t.Errorf("%s costs %d requests, want at most %d", what, len(paid), most)
	}
}

// What a judging costs of the hour's requests.
func TestForgeSpending(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.eventually("the sweeps after the start", func() bool { // see within
		return w.count(`select count(*) from river_job where kind = 'sweep_pull_requests' and state = 'completed'`) > 1 &&
			w.count(`select count(*) from river_job where kind = 'check_clusters' and state = 'completed'`) > 0
	})
	w.push("thrift", machines("thrift", "thrift", "test-shop/01", "prod-shop/02"))
	var pr *forgetest.Pull
	w.spent("a first judging", 8, func() { pr = w.open("thrift", false); w.published(pr) })
	w.spent("an event without news", 2, func() { w.do(w.Alice.EditPull(pr, pr.Title(), "For the shop.")) })
	w.spent("an approving review", 7, func() { w.approve(w.Bob, pr); w.check(pr, "shepherd/approval", "success") })
	w.spent("a remark", 1, func() { must(w.Carol.Comment(pr, "I only look."))(w) })
	time.Sleep(time.Second) // the forge's clock has seconds: of two plans in one, nobody knows which was approved
	w.spent("a push", 7, func() {
		w.push("thrift", forgetest.Files{vmPath("thrift", "thrift", "test-shop/01"): stage.VM("medium", "larger")})
		w.comment(pr, "medium")
	})
	w.spent("the same text again", 2, func() {
		w.do(w.Alice.EditPull(pr, pr.Title(), "For another shop."))
		w.quiet()
		w.do(w.Alice.EditPull(pr, pr.Title(), "For the shop."))
	})
	const leftOvers = `select count(*) from forge_cache where link || etags || content_type ~* 'ghs_|bearer|authorization'`
	if n := w.count(leftOvers); n != 0 {
		t.Errorf("%d answers are kept with credentials", n)
	}
	if n := w.count(`select count(*) from forge_cache`); n == 0 {
		t.Error("no answer is kept")
	}
}
