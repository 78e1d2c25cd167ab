package e2e

import (
	"slices"
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// Before the baseline nothing happens, and nothing is lost.
func TestDayOne(t *testing.T) {
	t.Parallel()
	w := setup{asleep: true}.world(t)
	w.serve()
	early := w.ask("early", machines("early", "bird", "test-shop/01"))
	w.do(w.Forge.WaitIdle(t.Context()))
	w.eventually("the webhooks to be routed", func() bool {
		return w.count(`select count(*) from deliveries where status = 'received'`) == 0 && w.count(`select count(*) from pull_requests`) == 1
	})

	size := "platform/sizes/small.yaml"
	good, _ := w.Repo.File("main", size)
	broken := must(w.Dave.Commit(w.Repo, "main", "", forgetest.Files{size: w.replace(good, "cores: 1", "cores: one")}, "break it"))(w)
	_, problems, err := w.tryBaseline(broken)
	if err == nil || len(problems) == 0 || problems.Sorted()[0].Path != size || problems.Sorted()[0].Line == 0 {
		t.Fatalf("a broken platform was taken as the baseline: %v, %v", err, problems)
	}
	if n := w.count(`select count(*) from audit_log where action_code = 'BASELINE_SET'`); n != 0 {
		t.Errorf("a refused baseline is in the trail %d times", n)
	}

	old := machines("old", "hand", "test-shop/01", "prod-shop/02")
	old[size] = good
	start := must(w.Dave.Commit(w.Repo, "main", "", old, "what was there"))(w)
	result := w.baseline(start)
	want := []string{vmPath("old", "hand", "prod-shop/02"), vmPath("old", "hand", "test-shop/01")}
	if slices.Sort(result.Waiting); !slices.Equal(result.Waiting, want) || result.Systems != 1 || result.Services != 1 {
		t.Errorf("the baseline found %+v", result)
	}

	w.check(early, "shepherd/validate", "success")
	w.approve(w.Bob, early)
	w.merge(early, "merge")
	w.once("test-shop-early-bird-01")
	w.absent("test-shop-old-hand-01", "prod-shop-old-hand-02")
	change := w.ask("change", forgetest.Files{want[1]: stage.VM("medium", "nobody has approved it")})
	w.problem(change, "QUARANTINED", want[1], 1)
}
