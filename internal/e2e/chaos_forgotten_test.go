package e2e

import (
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/config"
)

// A pull request that counts as queued, for a judging or for being told of, while no job is there that would do it, is not
// forgotten; nor is a judging that was given up.
func TestForgottenJudging(t *testing.T) {
	t.Parallel()
	w := setup{config: func(c *config.Config) { c.Repository.SweepEvery = config.Duration(time.Second) }}.world(t)
	pr := w.ask("shop", twoVMs())
	w.published(pr)
	w.quiet()
	set := func(what string) {
		t.Helper()
		if _, err := w.pool.Exec(t.Context(), `update pull_requests set `+what+` where id = $1`, pr.Number()); err != nil {
			t.Fatal(err)
		}
	}
	set("queued = true, telling = true")
	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")
	w.quiet()
	set("wanted = wanted + 1")
	w.eventually("the judging that was given up", func() bool {
		return w.count(`select count(*) from pull_requests where id = $1 and judged = wanted and not queued and not telling`, pr.Number()) == 1
	})
}
