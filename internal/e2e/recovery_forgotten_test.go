package e2e

import (
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// What people say of pull requests while nobody serves, for longer than the forge remembers what it sent, counts as if
// it had been heard: reviews, commands, and that what was said before was said of another asking.
func TestWhatIsSaidInAForgottenOutage(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.structure("shop", "redis")
	pulls := map[string]*forgetest.Pull{}
	approved := []string{"reopened", "aimed", "ended", "withdrawn", "vetoed", "kept"}
	for _, name := range append(approved, "waiting") {
		pulls[name] = c.ask(name, forgetest.Files{
			"systems/shop/" + name + "/service.yaml": stage.Service("service " + name),
			vmPath("shop", name, "prod-shop/01"):     stage.VM("small", "for "+name),
		})
	}
	c.published(pulls["waiting"])
	for _, name := range approved {
		c.approve(c.Bob, pulls[name])
		c.stands(pulls[name], "success", name+" before the outage")
	}
	must(c.Alice.Commit(c.Repo, "elsewhere", "main", forgetest.Files{"README.md": []byte("elsewhere\n")}, "a branch"))(c.world)
	c.quiet()

	c.stop()
	c.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{Lose: 1})
	time.Sleep(1100 * time.Millisecond) // the forge's clock has seconds
	for _, name := range []string{"reopened", "ended"} {
		c.do(c.Alice.Close(pulls[name]))
		c.do(c.Alice.Reopen(pulls[name]))
	}
	must(c.Bob.Merge(pulls["ended"], "merge"))(c.world) // nobody has told the forge that its check is of another asking
	c.do(c.Alice.Retarget(pulls["aimed"], "elsewhere"))
	c.do(c.Alice.Retarget(pulls["aimed"], "main"))
	c.do(c.Bob.DismissReview(pulls["withdrawn"], pulls["withdrawn"].Reviews()[0].ID, "not yet"))
	must(c.Frank.RequestChanges(pulls["vetoed"], "too small"))(c.world)
	must(c.Bob.Approve(pulls["waiting"]))(c.world)
	must(c.Bob.Comment(pulls["kept"], "/hold for the budget"))(c.world)
	c.exec(`update repository set deliveries_swept_to = now() - interval '80 hours'`)
	c.do(c.Forge.WaitIdle(t.Context()))
	c.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{})

	c.serve()
	for name, want := range map[string]string{
		"reopened": "action_required", "aimed": "action_required", "withdrawn": "action_required", "vetoed": "failure", "waiting": "success", "kept": "success",
	} {
		c.stands(pulls[name], want, name+" after the outage")
	}
	c.eventually("the hold to be heard", func() bool {
		return c.count(`select count(*) from pull_requests where id = $1 and held_by_login = 'bob'`, pulls["kept"].Number()) == 1
	})
	c.quarantined("APPROVAL_BYPASSED", "prod-shop-shop-ended-01")
	c.current()
}
