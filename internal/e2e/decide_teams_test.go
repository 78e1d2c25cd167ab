package e2e

import (
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// Who approves through a team is looked up when it matters: in prod what was known a moment ago does not count.
func TestTeamsAreAskedLive(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.structure("shop", "redis")
	pr := c.ask("shop", c.one("prod-shop/01", "small"))
	c.approve(c.Rita, pr)
	c.stands(pr, "success", "approved by a member of the team")

	// Told of by the forge, it counts at once.
	c.team.Remove(c.Rita)
	c.stands(pr, "action_required", "she has left the team")
	c.says(pr, "rita's approval does not count")
	c.team.Add(c.Rita)
	c.stands(pr, "success", "she is back")

	// Not told of, it counts when it is next looked at, at the latest when it is merged.
	silent := func(act func()) {
		c.quiet()
		c.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{Lose: 1})
		act()
		c.do(c.Forge.WaitIdle(t.Context()))
		c.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{})
	}
	c.aged()
	silent(func() { c.team.Remove(c.Rita) })
	c.push("shop", forgetest.Files{"README.md": []byte("about\n")})
	c.published(pr)
	c.stands(pr, "action_required", "nobody told that she has left")
	silent(func() { c.team.Add(c.Rita) })
	c.aged()
	must(c.Rita.Approve(pr))(c.world)
	c.stands(pr, "success", "she is back, and approves")

	c.aged()
	silent(func() { c.team.Remove(c.Rita) })
	c.merge(pr, "merge")
	c.quarantined("APPROVAL_BYPASSED", "prod-shop-shop-redis-01")

	// Who was never in, or only invited, is not.
	pending := c.ask("pending", c.one("prod-shop/02", "small"))
	c.published(pending)
	c.team.SetMember(c.Rita, "member", "pending")
	must(c.Rita.Approve(pending))(c.world)
	c.stands(pending, "action_required", "she has only been invited")
}

// aged makes what is known of teams a minute older: more than prod puts up with, less than test does.
func (c *court) aged() {
	c.t.Helper()
	c.quiet()
	_, err := c.pool.Exec(c.t.Context(), `update memberships set asked_at = asked_at - interval '1 minute'`)
	c.do(err)
}

// People are a number and a name: neither alone grants anything.
func TestNamesAloneGrantNothing(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.structure("shop", "redis")
	pr := c.ask("shop", c.one("prod-shop/01", "small"))
	c.published(pr)
	c.Bob.Rename("robert")
	must(c.Bob.Approve(pr))(c.world)
	c.stands(pr, "action_required", "the number is right, the name is not")
	c.says(pr, "robert's approval does not count")
	other := c.Forge.UserWithID("bob", 999)
	c.Repo.SetPermission(other, "write")
	must(other.Approve(pr))(c.world)
	c.stands(pr, "action_required", "the name is right, the number is not")
	c.says(pr, "bob's approval does not count", "robert's approval does not count")
	must(other.RequestChanges(pr, "no"))(c.world)
	c.stands(pr, "action_required", "nor can he reject")
	if got := c.talk(other, pr, "/plan\n```shepherd\ncluster: prod-1\n```"); got == "" {
		t.Error("nobody told him that he may not plan")
	}
	if n := c.trailOf(pr, "COMMAND_REFUSED"); n != 1 {
		t.Errorf("%d commands refused", n)
	}
	other.Rename("somebody")
	c.Bob.Rename("bob")
	must(c.Bob.Approve(pr))(c.world)
	c.stands(pr, "success", "name and number are right")
}
