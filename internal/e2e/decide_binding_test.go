package e2e

import (
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// What was approved stays approved while it stays what it is, whatever else happens around it.
func TestApprovalSurvives(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.structure("shop", "redis")
	const test, prod = "test-shop-shop-redis-01", "prod-shop-shop-redis-02"
	files := forgetest.Files{
		vmPath("shop", "redis", "test-shop/01"): stage.VM("small", "to try things"),
		vmPath("shop", "redis", "prod-shop/02"): stage.VM("medium", "for customers"),
	}
	pr := c.approved("shop", files)
	first := pr.HeadSHA()

	reformatted := c.replace(files[vmPath("shop", "redis", "test-shop/01")], "  size: small\n", "  # the smallest\n\n  size:   'small'\n")
	c.push("shop", forgetest.Files{vmPath("shop", "redis", "test-shop/01"): reformatted})
	c.stands(pr, "success", "after a reformat")

	must(c.Frank.Commit(c.Repo, "shop", "", forgetest.Files{"README.md": []byte("about\n")}, "about"))(c.world)
	c.stands(pr, "success", "after somebody else's file that is not governed")

	c.Repo.Protect("main", forgetest.Protection{DismissStale: true, Checks: []forgetest.RequiredCheck{
		{Context: "shepherd/validate", AppID: c.App.ID()}, {Context: "shepherd/approval", AppID: c.App.ID()},
	}})
	c.push("shop", forgetest.Files{"README.md": []byte("about us\n")})
	c.stands(pr, "success", "after the forge dismissed the review on a push")
	if got := pr.Reviews()[0].State; got != "DISMISSED" {
		t.Errorf("the forge did not dismiss the review: %s", got)
	}

	other := c.ask("other", machines("other", "things"))
	c.check(other, "shepherd/approval", "success")
	c.merge(other, "squash")
	c.do(c.Bob.UpdateBranch(pr)) // makes the approver no contributor
	c.stands(pr, "success", "after an update of the branch by the approver")

	must(c.Alice.ForcePush(c.Repo, "shop", "main", files, "rebased"))(c.world)
	if pr.HeadSHA() == first {
		t.Fatal("the rebase is none")
	}
	c.stands(pr, "success", "after a rebase")

	c.wantTickets(pr, prod+" APPROVED", test+" APPROVED")
	if n := c.trailOf(pr, "APPROVAL_WITHDRAWN") + c.trailOf(pr, "REQUEST_CANCELLED"); n != 0 {
		t.Errorf("the approval went away %d times in between", n)
	}
	if n := c.trailOf(pr, "APPROVAL_APPROVED"); n != 2 {
		t.Errorf("approved %d times", n)
	}
	c.unsaid(pr, "does not count")
	c.merge(pr, "rebase")
	c.once(test, prod)
}

// What was approved is approved no more when the content, the plan, the demands or the person is another one.
func TestApprovalDies(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.structure("shop", "redis")
	const prod = "prod-shop-shop-redis-01"
	path := vmPath("shop", "redis", "prod-shop/01")
	pr := c.approved("shop", c.one("prod-shop/01", "small"))

	// Other content is another request, and so is the old content when it comes back.
	c.push("shop", c.one("prod-shop/01", "medium"))
	c.stands(pr, "action_required", "after other content")
	c.wantTickets(pr, prod+" CANCELLED", prod+" PENDING_APPROVAL")
	c.says(pr, "bob's approval does not count", "Waiting for 1 approval")
	c.push("shop", c.one("prod-shop/01", "small"))
	c.stands(pr, "action_required", "after the old content came back")
	c.wantTickets(pr, prod+" CANCELLED", prod+" CANCELLED", prod+" PENDING_APPROVAL")
	c.approve(c.Bob, pr)
	c.stands(pr, "success", "approved again")

	// The platform goes on, and the plan with it.
	c.rules("second-version", forgetest.Files{
		"platform/templates/ubuntu-24.04/v1.yaml": templateFile("deprecated", "qemu-guest-agent"),
		"platform/templates/ubuntu-24.04/v2.yaml": templateFile("active", "podman"),
	})
	c.stands(pr, "action_required", "after another template is in force")
	c.says(pr, "bob's approval does not count: it accepted a plan that has changed since")
	c.approve(c.Bob, pr)
	c.stands(pr, "success", "the new plan is approved")

	// The policy asks for two: the first one still counts, and one policy later it is enough again.
	c.rules("two", forgetest.Files{"platform/policies/more.yaml": approvalsOf("prod", 2)})
	c.stands(pr, "action_required", "after the policy asks for two")
	c.says(pr, "1 more approval", "1/2")
	c.approve(c.Frank, pr)
	c.stands(pr, "success", "two have approved")

	// Roles and environments go, and come back.
	c.rules("one-of-bob-in-test", forgetest.Files{
		"platform/policies/more.yaml":   nil,
		"platform/roles/frank.yaml":     nil,
		"platform/roles/approvers.yaml": binding("approver", "test", c.Bob),
	})
	c.stands(pr, "action_required", "nobody of those who approved may approve in prod any more")
	c.says(pr, "bob's approval does not count", "frank's approval does not count", "Waiting for 1 approval")
	c.rules("bob", forgetest.Files{"platform/roles/approvers.yaml": binding("approver", "test, prod", c.Bob)})
	c.stands(pr, "success", "the role is back, and the review still stands")

	// The cluster and the template go: nothing valid is left to be approved.
	c.rules("retired", forgetest.Files{"platform/clusters/prod-1.yaml": clusterFile("prod", "retired")})
	c.problem(pr, "NO_ELIGIBLE_CLUSTER", path, 1)
	c.wantTickets(pr, prod+" CANCELLED", prod+" CANCELLED", prod+" PENDING_APPROVAL")
	c.rules("active", forgetest.Files{"platform/clusters/prod-1.yaml": clusterFile("prod", "active")})
	c.stands(pr, "success", "the cluster is back, and the plan is what was approved")
	c.rules("archived", forgetest.Files{"platform/templates/ubuntu-24.04/v2.yaml": templateFile("archived", "podman")})
	c.problem(pr, "TEMPLATE_NOT_ACTIVE", path, 4)
	if got, _ := pr.Check("shepherd/approval"); got.Conclusion == "success" {
		t.Errorf("approved from an archived template")
	}
	c.quiet()
	c.absent(prod)
}
