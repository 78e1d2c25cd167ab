package e2e

import (
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// A veto stays until who made it is content, or an administrator without a part in it lifts it.
func TestVetoes(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.structure("shop", "redis")
	const prod = "prod-shop-shop-redis-01"
	path := vmPath("shop", "redis", "prod-shop/01")
	write := func(u *forgetest.User, reason string) {
		must(u.Commit(c.Repo, "shop", "main", forgetest.Files{path: stage.VM("small", reason)}, reason))(c.world)
	}
	write(c.Alice, "first")
	pr := c.open("shop", false)
	c.approve(c.Frank, pr)
	c.stands(pr, "success", "approved")

	// Who may not approve cannot reject, and whoever may can.
	must(c.Carol.RequestChanges(pr, "I do not like it"))(c.world)
	must(c.Erin.RequestChanges(pr, "nor do I"))(c.world)
	c.stands(pr, "success", "rejected by those who have no say in prod")
	veto := must(c.Bob.RequestChanges(pr, "too small"))(c.world)
	c.stands(pr, "failure", "rejected by an approver")
	c.wantTickets(pr, prod+" REJECTED")
	c.says(pr, "Rejected by bob", "too small")
	if n := c.count(`select count(*) from claims where pull_request = $1`, pr.Number()); n != 0 {
		t.Errorf("%d names are still reserved", n)
	}
	if got := c.strings(`select status from events where pull_request = $1`, pr.Number()); len(got) != 1 || got[0] != "CANCELLED" {
		t.Errorf("events %v", got)
	}
	must(c.Frank.Approve(pr))(c.world)
	c.stands(pr, "failure", "somebody else's approval lifts nothing")

	// New content is a new request, and the veto holds it.
	write(c.Alice, "second")
	c.stands(pr, "failure", "new content does not lift it")
	c.do(c.Alice.Close(pr))
	c.quiet()
	c.do(c.Alice.Reopen(pr))
	c.check(pr, "shepherd/validate", "success")
	c.stands(pr, "failure", "nor does reopening")
	c.do(c.Alice.DismissReview(pr, veto.ID, "I know better"))
	c.stands(pr, "failure", "nor does the author's dismissal")
	c.says(pr, "alice")

	// Its author withdraws it; decisions from before are over by then.
	veto = must(c.Bob.RequestChanges(pr, "still too small"))(c.world)
	c.stands(pr, "failure", "rejected once more")
	c.do(c.Bob.DismissReview(pr, veto.ID, "fine"))
	c.stands(pr, "action_required", "withdrawn by who made it")
	must(c.Frank.Approve(pr))(c.world)
	c.stands(pr, "success", "approved after it was withdrawn")

	// Its author comes round.
	must(c.Bob.RequestChanges(pr, "wait"))(c.world)
	c.stands(pr, "failure", "rejected again")
	c.approveAgain(c.Bob, pr)
	c.stands(pr, "success", "the one who rejected has approved")

	// An administrator who pushed the change cannot lift it, one without a part in it can.
	write(c.Dave, "third")
	veto = must(c.Bob.RequestChanges(pr, "no"))(c.world)
	c.stands(pr, "failure", "rejected after a push by an administrator")
	c.do(c.Dave.DismissReview(pr, veto.ID, "mine"))
	c.stands(pr, "failure", "dismissed by an administrator who pushed it")
	veto = must(c.Bob.RequestChanges(pr, "no, really"))(c.world)
	c.quiet()
	c.do(c.Adam.DismissReview(pr, veto.ID, "settled on the phone"))
	c.stands(pr, "action_required", "dismissed by another administrator")
	c.approve(c.Frank, pr)
	c.stands(pr, "success", "and approved")

	// The webhook of a dismissal may be lost: the forge tells who it was.
	veto = must(c.Bob.RequestChanges(pr, "one more thing"))(c.world)
	c.stands(pr, "failure", "rejected for the last time")
	c.lost(func() { c.do(c.Alice.DismissReview(pr, veto.ID, "quietly")) })
	c.push("shop", forgetest.Files{"README.md": []byte("one\n")})
	c.stands(pr, "failure", "dismissed by the author, without a webhook")
	veto = must(c.Bob.RequestChanges(pr, "still"))(c.world)
	c.quiet()
	c.lost(func() { c.do(c.Bob.DismissReview(pr, veto.ID, "well")) })
	c.push("shop", forgetest.Files{"README.md": []byte("two\n")})
	c.check(pr, "shepherd/approval", "action_required")
	c.approve(c.Frank, pr)
	c.stands(pr, "success", "dismissed by who made it, without a webhook")
	c.merge(pr, "squash")
	c.once(prod)
}

// A veto stays also when who made it may not approve any more; where that was so from the beginning it is none.
func TestVetoOutlivesTheRole(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.structure("shop", "redis")
	pr := c.ask("shop", c.one("prod-shop/01", "small"))
	c.published(pr)
	veto := must(c.Frank.RequestChanges(pr, "not before the audit"))(c.world)
	c.stands(pr, "failure", "rejected by an approver")
	later := c.ask("later", c.one("prod-shop/02", "small"))
	c.published(later)
	c.rules("no-frank", forgetest.Files{"platform/roles/frank.yaml": binding("viewer", "test, prod", c.Frank)})
	c.stands(pr, "failure", "he has left")
	c.push("shop", c.one("prod-shop/01", "medium"))
	c.stands(pr, "failure", "he has left, and there is new content")
	c.says(pr, "Rejected by frank", "not before the audit")
	must(c.Frank.RequestChanges(later, "nor this"))(c.world)
	c.stands(later, "action_required", "rejected by one who has no say any more")
	c.do(c.Adam.DismissReview(pr, veto.ID, "the audit is over"))
	c.stands(pr, "action_required", "dismissed by an administrator")
	c.approve(c.Bob, pr)
	c.stands(pr, "success", "and approved")
}

// approveAgain approves what is on show, whatever the check says of it.
func (c *court) approveAgain(u *forgetest.User, pr *forgetest.Pull) {
	c.t.Helper()
	must(u.Approve(pr))(c.world)
	c.quiet()
	if got, _ := pr.Check("shepherd/approval"); got.Conclusion == "action_required" { // a new ticket, whose plan is new on show
		c.approve(u, pr)
	}
}

// lost lets something happen of which no webhook tells.
func (c *court) lost(act func()) {
	c.t.Helper()
	c.quiet()
	c.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{Lose: 1})
	act()
	c.do(c.Forge.WaitIdle(c.t.Context()))
	c.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{})
}

// Closing, reopening and aiming elsewhere end what was asked for: decisions from before do not count.
func TestReopenedAndRetargeted(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.structure("shop", "redis")
	const prod = "prod-shop-shop-redis-01"
	pr := c.approved("shop", c.one("prod-shop/01", "small"))
	c.do(c.Alice.Close(pr))
	c.quiet()
	c.wantTickets(pr, prod+" CANCELLED")
	c.do(c.Alice.Reopen(pr))
	c.published(pr)
	c.stands(pr, "action_required", "after reopening")
	c.wantTickets(pr, prod+" CANCELLED", prod+" PENDING_APPROVAL")
	must(c.Bob.Approve(pr))(c.world)
	c.stands(pr, "success", "approved after reopening")
	must(c.Dave.Commit(c.Repo, "elsewhere", "main", forgetest.Files{"README.md": []byte("else\n")}, "else"))(c.world)
	c.do(c.Alice.Retarget(pr, "elsewhere"))
	c.quiet()
	c.wantTickets(pr, prod+" CANCELLED", prod+" CANCELLED")
	c.do(c.Alice.Retarget(pr, "main"))
	c.published(pr)
	c.stands(pr, "action_required", "after it aimed elsewhere")
	// A review that is withdrawn, by its author or by another person, is none.
	mine := must(c.Bob.Approve(pr))(c.world)
	c.stands(pr, "success", "approved again")
	c.do(c.Bob.DismissReview(pr, mine.ID, "not yet"))
	c.stands(pr, "action_required", "withdrawn")
	theirs := must(c.Frank.Approve(pr))(c.world)
	c.stands(pr, "success", "approved by another one")
	c.do(c.Alice.DismissReview(pr, theirs.ID, "wait"))
	c.stands(pr, "action_required", "dismissed by a person")
}
