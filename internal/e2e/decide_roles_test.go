package e2e

import (
	"testing"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
)

// Who asks and who pushes need the permission, when it is judged and when it is merged.
func TestWhoMayAsk(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.structure("shop", "redis") // Alice owns what she made
	path := vmPath("shop", "redis", "prod-shop/01")

	pr := c.approved("shop", c.one("prod-shop/01", "small"))
	must(c.Carol.Commit(c.Repo, "shop", "", c.one("prod-shop/01", "medium"), "larger"))(c.world)
	got := c.problem(pr, "PERMISSION_DENIED", path, 1)
	c.wantText("the check", got.Summary, "carol")
	c.stands(pr, "failure", "a viewer has pushed")
	c.push("shop", c.one("prod-shop/01", "small"))
	c.problem(pr, "PERMISSION_DENIED", path, 1) // her generation is part of it
	must(c.Alice.ForcePush(c.Repo, "shop", "main", c.one("prod-shop/01", "small"), "anew"))(c.world)
	c.stands(pr, "failure", "what she pushed may live on, whoever commits it")
	c.do(c.Alice.Close(pr))
	c.quiet()
	anew := c.ask("shop-again", c.one("prod-shop/01", "small"))
	c.published(anew)

	// Lost between approval and merge, it is lost.
	late := c.approved("late", c.one("prod-shop/02", "small"))
	c.rules("no-alice", forgetest.Files{"platform/roles/requesters.yaml": binding("viewer", "test, prod", c.Alice)})
	c.problem(late, "PERMISSION_DENIED", vmPath("shop", "redis", "prod-shop/02"), 1)
	c.stands(late, "failure", "the author may not ask any more")
	c.bypass(late)
	c.quarantined("PERMISSION_DENIED", "prod-shop-shop-redis-02")

	// The owner of a system is its administrator in test, and only there.
	mine := c.ask("mine", c.one("test-shop/03", "small"))
	c.check(mine, "shepherd/validate", "success")
	theirs := c.ask("theirs", c.one("prod-shop/04", "small"))
	c.problem(theirs, "PERMISSION_DENIED", vmPath("shop", "redis", "prod-shop/04"), 1)

	// Whom the server's configuration names stays an administrator, whatever git says.
	c.rules("no-admins", forgetest.Files{"platform/roles/administrators.yaml": binding("viewer", "test", c.Adam, c.Dave)})
	must(c.Dave.Approve(mine))(c.world)
	c.stands(mine, "success", "approved by an administrator of the configuration")
}

// A bot may ask when it is bound, and never approves.
func TestBotsAsk(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.structure("shop", "redis")
	robot := must(c.Forge.CreateApp("renovate", forgetest.AppOptions{}))(c.world)
	robot.Install(c.Repo)
	bot := robot.Bot()
	c.Repo.SetPermission(bot, "write")
	must(bot.Commit(c.Repo, "unbound", "main", c.one("test-shop/01", "small"), "by a machine"))(c.world)
	pr := must(bot.OpenPull(c.Repo, "by a machine", "unbound", "main", "", false))(c.world)
	c.problem(pr, "PERMISSION_DENIED", vmPath("shop", "redis", "test-shop/01"), 1)
	c.quiet()
	c.untouched(pr)
	c.rules("bound", forgetest.Files{"platform/roles/robots.yaml": binding("operator", "test", bot)})
	c.check(pr, "shepherd/validate", "success")
	c.approve(c.Bob, pr)
	c.stands(pr, "success", "a bound bot asked, a person approved")
	c.merge(pr, "merge")
	c.once("test-shop-shop-redis-01")
}

// The platform is approved by another administrator; where there is only one, and the configuration lets them,
// they change it alone.
func TestPlatformIsApproved(t *testing.T) {
	t.Parallel()
	size := forgetest.Files{"platform/sizes/large.yaml": []byte("apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: InstanceSize\nspec:\n  cores: 4\n  memory: 8Gi\n")}
	c := newCourt(t, courtOptions{config: func(cfg *config.Config) { cfg.Approval.SoloAdmin = true }})
	ask := func(u *forgetest.User, branch string) *forgetest.Pull {
		must(u.Commit(c.Repo, branch, "main", size, branch))(c.world)
		return must(u.OpenPull(c.Repo, branch, branch, "main", "", false))(c.world)
	}
	pr := ask(c.Alice, "not-hers")
	c.problem(pr, "PERMISSION_DENIED", "platform/sizes/large.yaml", 1)
	pr = ask(c.Dave, "his")
	c.approve(c.Bob, pr)
	c.stands(pr, "action_required", "approved by an approver of machines; there are two administrators")
	c.says(pr, "bob's approval does not count", "adam")
	must(c.Adam.Approve(pr))(c.world)
	c.stands(pr, "success", "approved by another administrator")
	c.do(c.Dave.Close(pr))
	c.rules("alone", forgetest.Files{"platform/roles/administrators.yaml": nil})

	pr = ask(c.Dave, "alone-by-himself")
	c.check(pr, "shepherd/validate", "success")
	c.quiet()
	c.says(pr, "No approval needed, by rule soloAdmin")
	c.stands(pr, "success", "the only administrator asks")
	sha := c.merge(pr, "merge")
	c.eventually("the size to be in force", func() bool {
		return c.count(`select count(*) from repository where platform_commit = $1`, sha) == 1
	})
	if got := c.strings(`select params->>'rule' from audit_log where action_code = 'CHANGE_ACCEPTED' and pull_request = $1`, pr.Number()); len(got) != 1 || got[0] != "soloAdmin (the server's configuration)" {
		t.Errorf("the trail says %v", got)
	}
}
