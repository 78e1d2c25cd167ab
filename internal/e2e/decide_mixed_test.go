package e2e

import (
	"strings"
	"sync"
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// An approver of one environment approves that half; what remains is said.
func TestTwoEnvironments(t *testing.T) {
	t.Parallel()
	c := newCourt(t, courtOptions{files: forgetest.Files{"platform/policies/more.yaml": approvalsOf("prod", 2)}})
	pr := c.ask("shop", twoVMs())
	const test, prod = "test-shop-shop-redis-01", "prod-shop-shop-redis-02"
	c.approve(c.Erin, pr)
	c.stands(pr, "action_required", "the test half is approved")
	c.wantTickets(pr, prod+" PENDING_APPROVAL", test+" APPROVED")
	c.says(pr, "Waiting for 2 approvals", "prod VMs", "✅ approved by erin", "⏳ waiting 0/2")
	c.says(pr, "erin's approval does not count: bound as approver (platform/roles/erin.yaml), but only in test. (`"+prod+"`)")

	must(c.Bob.Approve(pr))(c.world)
	c.stands(pr, "action_required", "one of two")
	c.says(pr, "Waiting for 1 more approval", "1/2")
	must(c.Bob.Approve(pr))(c.world)
	c.stands(pr, "action_required", "the same person twice is one person")

	// All at the same instant: one outcome.
	var together sync.WaitGroup
	for _, u := range []*forgetest.User{c.Frank, c.Rita, c.Adam} {
		together.Go(func() { _, _ = u.Approve(pr) })
	}
	together.Wait()
	c.stands(pr, "success", "enough have approved")
	c.wantTickets(pr, prod+" APPROVED", test+" APPROVED")
	if n := c.audited("APPROVAL_APPROVED", prod); n != 1 {
		t.Errorf("approved %d times", n)
	}
	notices := 0
	for _, said := range c.comments(pr) {
		if strings.HasPrefix(said.Body, "<!-- shepherd: approved") {
			notices++
			c.wantText("the notice", said.Body, "@alice **Approved by ")
			if n := strings.Count(said.Body, "@"); n != 1 {
				t.Errorf("%d mentions:\n%s", n, said.Body)
			}
		}
	}
	if notices != 1 || len(c.comments(pr)) != 2 {
		t.Errorf("%d notices among %d comments", notices, len(c.comments(pr)))
	}
	c.merge(pr, "merge")
	c.once(test, prod)
}

// Somebody approves and somebody else rejects at the same instant: rejected.
func TestApprovedAndRejectedAtOnce(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	pr := c.ask("shop", twoVMs())
	c.published(pr)
	var together sync.WaitGroup
	together.Go(func() { _, _ = c.Bob.Approve(pr) })
	together.Go(func() { _, _ = c.Frank.RequestChanges(pr, "no") })
	together.Wait()
	c.check(pr, "shepherd/approval", "failure")
	c.stands(pr, "failure", "one approved, one rejected")
	c.wantTickets(pr, "prod-shop-shop-redis-02 REJECTED", "test-shop-shop-redis-01 REJECTED")
	c.says(pr, "Rejected by frank")
}
