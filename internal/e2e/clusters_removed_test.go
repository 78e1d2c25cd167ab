package e2e

import (
	"testing"

	"kv-shepherd.io/shepherd/internal/app"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
)

// A cluster that is removed after a plan for it was approved: the request is judged again, and what is merged all
// the same is put aside, without anything being applied and without holding up the branch.
func TestClusterRemovedAfterApproval(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pr := w.approved("late", machines("shop", "redis", "test-shop/01"))
	clusters, _, err := app.NewClusters(w.cfg, w.pool, w.logger())
	w.do(err)
	w.do(clusters.Remove(t.Context(), must(jobs.NewQueue())(w), "test-1", audit.Actor{Login: "dave", ID: 104}))
	w.check(pr, "shepherd/validate", "failure")
	t.Log(w.comment(pr, "NO_ELIGIBLE_CLUSTER")[:600])
	w.bypass(pr)
	w.eventually("the merge to be settled", func() bool {
		return w.count(`select count(*) from audit_log where action_code in ('CHANGE_QUARANTINED', 'APPROVAL_BYPASSED') and pull_request = $1`, pr.Number()) > 0
	})
	w.quiet()
	w.absent("test-shop-shop-redis-01")
	if n := w.count(`select count(*) from repository where cursor = $1`, w.Repo.Head("main")); n != 1 {
		t.Error("the branch is held up")
	}
}
