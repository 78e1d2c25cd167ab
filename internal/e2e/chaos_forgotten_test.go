package e2e

import (
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/config"
)

// A pull request that counts as queued for a judging, while no job is there that would do it, is not forgotten.
func TestForgottenJudging(t *testing.T) {
	t.Parallel()
	w := setup{config: func(c *config.Config) { c.Repository.SweepEvery = config.Duration(time.Second) }}.world(t)
	pr := w.ask("shop", twoVMs())
	w.published(pr)
	w.quiet()
	if _, err := w.pool.Exec(t.Context(), `update pull_requests set queued = true where id = $1`, pr.Number()); err != nil {
		t.Fatal(err)
	}
	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")
}
