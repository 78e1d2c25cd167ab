package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/stage"
)

// enqueue queues a job as the clock would.
func (w *world) enqueue(args river.JobArgs) {
	w.t.Helper()
	queue := must(jobs.NewQueue())(w)
	w.do(pgx.BeginFunc(w.t.Context(), w.pool, func(tx pgx.Tx) error { return queue.Add(w.t.Context(), tx, args) }))
}

// One pull request holds no more than the configuration allows, by environment and role, and is told the
// numbers.
func TestBatchLimits(t *testing.T) {
	t.Parallel()
	one, four := 1, 4
	w := setup{config: func(c *config.Config) {
		c.Limits = config.Limits{Creates: 6, Deletes: 1, Modifications: 2, PowerOperations: 3, Rules: config.LimitRules{
			{Environment: domain.Prod, Creates: &one},
			{Role: "approver", Deletes: &four},
		}}
	}}.world(t)
	w.running("shop", "redis", "test-shop/01", "test-shop/02", "test-shop/03", "test-shop/04", "prod-shop/05")
	at := func(i int) string { return vmPath("shop", "redis", fmt.Sprintf("test-shop/%02d", i)) }
	each := func(n int, content []byte) forgetest.Files {
		files := forgetest.Files{}
		for i := range n {
			files[at(i+1)] = content
		}
		return files
	}
	refused := func(branch string, files forgetest.Files, words string) *forgetest.Pull {
		pr := w.ask(branch, files)
		c := w.problem(pr, "BATCH_TOO_LARGE", "", 0)
		if !strings.Contains(c.Summary, words) {
			t.Errorf("%s: not %q but\n%s", branch, words, c.Summary)
		}
		w.quiet()
		w.untouched(pr)
		return pr
	}
	many := forgetest.Files{}
	for i := range 7 {
		many[at(10+i)] = stage.VM("small", "many")
	}
	w.show(refused("creates", many, "creates 7 VMs in test; the limit is 6"), "that creates too many")
	prods := forgetest.Files{}
	for _, i := range []string{"20", "21"} {
		prods[vmPath("shop", "redis", "prod-shop/"+i)] = stage.VM("small", "many")
	}
	refused("prods", prods, "creates 2 VMs in prod; the limit is 1")
	refused("deletes", each(2, nil), "deletes 2 VMs in test; the limit is 1")
	refused("changes", each(3, stage.VM("medium", "a machine of redis")), "changes 3 VMs and consoles in test; the limit is 2")
	stops := refused("stops", each(4, w.off("redis")), "starts, stops or restarts 4 VMs in test; the limit is 3")
	if stops.Merged() {
		t.Error("merged by itself")
	}
	// Whoever has a role with more may ask for more.
	must(w.Bob.Commit(w.Repo, "bobs", "main", each(2, nil), "delete two"))(w)
	bobs := must(w.Bob.OpenPull(w.Repo, "Delete two", "bobs", "main", "", false))(w)
	w.eventually("it to be judged", func() bool { _, ok := bobs.Check("shepherd/validate"); return ok })
	if c, _ := bobs.Check("shepherd/validate"); strings.Contains(c.Summary, "BATCH_TOO_LARGE") {
		t.Errorf("an approver is held to the limit of others:\n%s", c.Summary)
	}
	// Split, it goes.
	w.push("creates", forgetest.Files{at(16): nil})
	w.check(stops, "shepherd/validate", "failure")
	w.published(w.Repo.Pull(2))
}

// Who asks for too much in an hour is told when to come back, and then goes on without doing anything.
func TestRateLimit(t *testing.T) {
	t.Parallel()
	w := setup{config: func(c *config.Config) { c.Limits.PerHour = 3 }}.world(t)
	ask := func(u *forgetest.User, branch string, n int) *forgetest.Pull {
		files := forgetest.Files{}
		for i := range n {
			files["systems/"+fmt.Sprintf("%s%d", branch, i)+"/system.yaml"] = stage.System(branch)
		}
		must(u.Commit(w.Repo, branch, "main", files, "systems"))(w)
		return must(u.OpenPull(w.Repo, "Systems", branch, "main", "", false))(w)
	}
	first := ask(w.Alice, "first", 2)
	w.check(first, "shepherd/validate", "success")
	w.merge(first, "squash")
	w.eventually("it to be recorded", func() bool { return w.count(`select count(*) from accepted where kind = 'System'`) == 2 })
	second := ask(w.Alice, "second", 2)
	c := w.problem(second, "RATE_LIMIT_EXCEEDED", "", 0)
	for _, words := range []string{"3 changes within 1h", "alice has asked for 2 already", "2 more", "come back at", "no more than 1 now"} {
		if !strings.Contains(c.Summary, words) {
			t.Errorf("no %q in\n%s", words, c.Summary)
		}
	}
	w.show(second, "that asks for too much")
	admins := ask(w.Dave, "admins", 5)
	w.check(admins, "shepherd/validate", "success") // administrators are exempt

	// Too early the sweep changes nothing; an hour later it does.
	w.enqueue(jobs.SweepPullRequests{RepositoryID: w.Repo.ID()})
	w.quiet()
	w.check(second, "shepherd/validate", "failure")
	if _, err := w.pool.Exec(t.Context(), `update events set created_at = created_at - interval '61 minutes'`); err != nil {
		t.Fatal(err)
	}
	w.enqueue(jobs.SweepPullRequests{RepositoryID: w.Repo.ID()})
	w.check(second, "shepherd/validate", "success")
	w.check(second, "shepherd/approval", "success")
}
