package e2e

import (
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// A judging has read the pull request as open; while it reads the branch, the pull request is merged. Seen against
// the branch with the merge in it nothing is asked for any more: what was approved has to be applied all the same.
func TestMergedWhileJudged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pr := w.approved("shop", twoVMs())
	w.quiet()
	const judging = `select count(*) from river_job where kind = 'judge_pull_request' and state = 'running'`
	w.Forge.Fail(forgetest.Fault{Route: "GET /repos/{owner}/{repo}/pulls/{number}", Kind: forgetest.Slow, After: true, Latency: 2 * time.Second})
	w.do(w.Alice.EditPull(pr, "Machines, again", ""))
	w.eventually("the judging to begin", func() bool { return w.count(judging) == 1 })
	time.Sleep(500 * time.Millisecond) // the answer is on its way
	w.Forge.PauseDeliveries()
	w.merge(pr, "merge")
	w.eventually("the judging to end", func() bool { return w.count(judging) == 0 })
	w.Forge.ResumeDeliveries()
	w.once("test-shop-shop-redis-01", "prod-shop-shop-redis-02")
}
