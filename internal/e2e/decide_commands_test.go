package e2e

import (
	"fmt"
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// A command is the first word of a line that somebody wrote and meant. All else is conversation.
func TestWhatIsNoCommand(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.structure("shop", "redis")
	pr := c.ask("shop", c.one("test-shop/01", "small"))
	c.published(pr)
	c.quiet()
	robot := must(c.Forge.CreateApp("renovate", forgetest.AppOptions{}))(c.world)
	robot.Install(c.Repo)
	silent := func(what string, u *forgetest.User, text string) forgetest.Comment {
		t.Helper()
		said := must(u.Comment(pr, text))(c.world)
		c.quiet()
		if got := c.reactions(pr, text); len(got) != 0 || len(c.replies(pr)) != 0 {
			t.Errorf("%s: reactions %v, replies %q", what, got, c.replies(pr))
		}
		return said
	}
	silent("quoted", c.Bob, "> /hold\n\nWhat do you mean?")
	silent("in code", c.Bob, "```\n/hold\n```\nand `/hold`, and\n\n    /hold\n")
	silent("in the middle of a line", c.Bob, "I would write /hold here")
	silent("hidden", c.Bob, "<!--\n/hold\n-->\nhello")
	silent("by a bot", robot.Bot(), "/hold")
	silent("a path", c.Bob, "/etc/passwd is readable\n/systems/shop")
	edited := silent("to be edited", c.Bob, "hello")
	c.do(c.Bob.EditComment(pr, edited.ID, "/hold"))
	c.quiet()
	if n := c.count(`select count(*) from commands`); n != 0 {
		t.Errorf("%d commands", n)
	}
	if n := c.trailOf(pr, "TEXT_EDITED"); n != 1 {
		t.Errorf("a command that was edited in: %d lines in the trail", n)
	}
	review := must(c.Carol.ReviewComment(pr, "hm"))(c.world)
	c.quiet()
	c.do(c.Carol.EditReview(pr, review.ID, "/plan\n```shepherd\ncluster: test-1\n```"))
	c.quiet()
	if n := c.count(`select count(*) from commands`); n != 0 || c.trailOf(pr, "TEXT_EDITED") != 2 {
		t.Errorf("a review's edit: %d commands, %d lines in the trail", n, c.trailOf(pr, "TEXT_EDITED"))
	}

	// What was a command stays one when it is edited or removed.
	said := must(c.Alice.Comment(pr, "/hold"))(c.world)
	c.quiet()
	held := func() bool {
		return c.count(`select count(*) from pull_requests where id = $1 and held_by = 101`, pr.Number()) == 1
	}
	if !held() {
		t.Error("not held")
	}
	c.do(c.Bob.EditComment(pr, said.ID, "/unhold"))
	c.quiet()
	c.do(c.Alice.DeleteComment(pr, said.ID))
	c.quiet()
	if !held() {
		t.Error("an edit released the hold")
	}
	got := c.strings(`select performed_by || ' ' || (params->>'action') || ' ' || (params->>'author') from audit_log where action_code = 'TEXT_EDITED' order by id`)
	if want := "[bob edited bob carol edited carol bob edited alice alice deleted alice]"; fmt.Sprint(got) != want {
		t.Errorf("the trail says %v, want %s", got, want)
	}
	c.stands(pr, "action_required", "a hold stops no approval")
}

// Each comment gets one answer: a reaction, and a reply where there is something to say.
func TestAnswers(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.impatient()
	c.structure("shop", "redis")
	pr := c.ask("shop", c.one("prod-shop/01", "small"))
	c.published(pr)
	stranger := c.Forge.UserWithID("mallory", 666)
	c.Repo.SetPermission(stranger, "read")
	answer := func(u *forgetest.User, text, reaction string, parts ...string) string {
		t.Helper()
		reply := c.talk(u, pr, text)
		if got := c.reactions(pr, text); fmt.Sprint(got) != "["+reaction+"]" {
			t.Errorf("%s: reactions %v, want %s", text, got, reaction)
		}
		c.wantText(text, reply, parts...)
		if len(parts) == 0 && reply != "" {
			t.Errorf("%s: says\n%s", text, reply)
		}
		return reply
	}
	answer(c.Alice, "/hold", "+1")
	c.says(pr, "alice")
	answer(c.Bob, "/unhold now please", "+1")
	answer(stranger, "/hold", "confused", "not done", "PERMISSION_DENIED")
	answer(c.Carol, "/hold  ", "confused", "not done", "PERMISSION_DENIED")
	answer(c.Bob, "/hlep", "+1", "no such command", "Did you mean `/help`?")
	answer(c.Bob, "/confirm 01234567", "confused", "nothing here has to be confirmed")
	answer(c.Bob, "/retry", "confused", "nothing was carried out yet")
	answer(c.Carol, "Hello,\n\n/help\n\nthanks", "+1", "`/explain` shows how every change was judged. Everybody with a role here", "`/plan`")
	must(c.Carol.Approve(pr))(c.world)
	answer(c.Carol, "/explain", "+1", "prod-shop-shop-redis-01", "1 approval", "carol's approval does not count")
	answer(stranger, "/explain", "confused", "PERMISSION_DENIED")
	ten := "/hold\n/unhold\n/help\n/explain\n/hold\n/unhold\n/retry\n/hodl\n/hold\n/unhold"
	reply := answer(c.Bob, ten, "confused", "1. `/hold`", "7. `/retry`", "8. `/hodl`: no such command. Did you mean `/hold`?", "10. `/unhold`")
	if n := strings.Count(reply, "<!-- shepherd"); n != 1 {
		t.Errorf("%d replies in one", n)
	}
	answer(c.Bob, ten+"\n/help\n/help", "confused", "11 commands")

	// Said once, whatever gets lost on the way.
	for _, route := range []string{"POST /repos/{owner}/{repo}/issues/{number}/comments", "/reactions"} {
		c.Forge.Fail(forgetest.Fault{Route: route, Kind: forgetest.Reset, After: true})
		before := len(c.replies(pr))
		text := "/help\n\nwith " + route
		answer(c.Alice, text, "+1", "`/help` shows this list")
		if n := len(c.replies(pr)) - before; n != 1 {
			t.Errorf("%s: %d replies", route, n)
		}
	}
	if n := len(c.remarks(pr)) - len(c.replies(pr)); n != 1 {
		t.Errorf("%d comments besides the replies", n)
	}
	for _, said := range c.comments(pr) {
		if strings.Contains(said.Body, "@") {
			t.Errorf("mentions somebody:\n%s", said.Body)
		}
	}
	c.stands(pr, "action_required", "commands approve nothing")
}

// The server stops between carrying a command out and answering it: the next one answers, once.
func TestAnsweredAfterARestart(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.structure("shop", "redis")
	pr := c.ask("shop", c.one("test-shop/01", "small"))
	c.published(pr)
	c.quiet()
	c.Forge.Fail(forgetest.Fault{Route: "POST /repos/{owner}/{repo}/issues/{number}/comments", Kind: forgetest.BadGateway, Times: -1})
	said := must(c.Bob.Comment(pr, planWith("cluster: test-1", "reason: there")))(c.world)
	c.eventually("the command to be carried out", func() bool {
		return c.count(`select count(*) from commands where status = 'done'`) == 1
	})
	c.stop()
	c.Forge.ClearFaults()
	c.serve()
	c.impatient()
	c.eventually("the answer", func() bool { return c.replyTo(pr, "comment", said.ID) != "" })
	c.quiet()
	if n := len(c.replies(pr)); n != 1 {
		t.Errorf("%d replies", n)
	}
	if n := c.trailOf(pr, "PLAN_CHANGED"); n != 1 {
		t.Errorf("planned %d times", n)
	}
}

// A judging in prod that has to ask about teams keeps to the budget.
func TestForgeBudgetOfTeams(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.structure("shop", "redis")
	files := c.one("prod-shop/01", "small")
	files[vmPath("shop", "redis", "test-shop/02")] = files[vmPath("shop", "redis", "prod-shop/01")]
	c.push("shop", files)
	var pr *forgetest.Pull
	c.within("a first judging with a team", func() { pr = c.open("shop", false); c.published(pr) })
	c.within("an approving review by a member of a team", func() {
		c.approve(c.Rita, pr)
		c.check(pr, "shepherd/approval", "success")
	})
	c.within("an approving review by a second one", func() { must(c.Bob.Approve(pr))(c.world) })
	c.aged()
	c.within("a push after the approval of a member", func() {
		c.push("shop", forgetest.Files{"README.md": []byte("about\n")})
		c.check(pr, "shepherd/validate", "success")
	})
	c.within("a command", func() { must(c.Bob.Comment(pr, "/help"))(c.world) })
	c.Forge.ResetCalls()
	c.talk(c.Bob, pr, planWith("vms:", "  test-shop-shop-redis-02: {cluster: test-1}"))
	if n := len(c.Forge.Calls()); n > 2*budget { // judged before and after it is carried out
		t.Errorf("a plan takes %d calls", n)
	}
}
