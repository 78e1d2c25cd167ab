package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

const planLarger = "modifiedSpec: {template: ubuntu-24.04, size: medium, disk: 120Gi, power: running, reason: larger than asked for}"

// plannedFile is the file that a text offers.
func plannedFile(c *court, text string) []byte {
	c.t.Helper()
	m := regexp.MustCompile("(?s)```(?:yaml|suggestion)\n(.*?)```").FindStringSubmatch(text)
	if m == nil {
		c.t.Fatalf("no file in\n%s", text)
	}
	return []byte(m[1])
}

// An approver plans another spec: it is offered to the author, approved as planned, and the check waits until
// the branch says the same. Who commits it changes nothing of who has approved.
func TestModifiedSpec(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.structure("shop", "redis")
	const name = "test-shop-shop-redis-01"
	path := vmPath("shop", "redis", "test-shop/01")
	pr := c.approved("shop", c.one("test-shop/01", "small"))
	payload := c.payload(name)
	reply := c.talk(c.Bob, pr, planWith(planLarger, "reason: small is too small"))
	c.wantText("the reply", reply, "`size` from `small` to `medium`", "Suggested on the file")
	c.stands(pr, "action_required", "nobody has seen the new plan")
	if got := c.payload(name); got != payload {
		t.Errorf("the event is\n%s\nwas\n%s", got, payload)
	}
	if got := c.ticketOf(name, "modified_spec"); !strings.Contains(got, `"medium"`) {
		t.Errorf("the ticket holds %s", got)
	}
	c.says(pr, "Waiting for 1 approval", "bob: `disk` from nothing to `120Gi`")

	c.approve(c.Bob, pr)
	c.stands(pr, "action_required", "the branch does not say what the plan says")
	c.wantTickets(pr, name+" APPROVED")
	c.says(pr, "Approved, but the branch does not say what the plan says")
	lines := pr.LineComments()
	if len(lines) != 1 || lines[0].Path != path || lines[0].StartLine != 1 {
		t.Fatalf("suggestions: %+v", lines)
	}
	must(c.Alice.CommitSuggestion(pr, c.App.Bot(), forgetest.Files{path: plannedFile(c, lines[0].Body)}, "as planned"))(c.world)
	c.stands(pr, "success", "the author accepted the suggestion")
	c.wantTickets(pr, name+" APPROVED")
	if got := c.payload(name); got != payload {
		t.Errorf("the event is\n%s\nwas\n%s", got, payload)
	}
	c.merge(pr, "squash")
	c.once(name)
	if got := c.vm(name).Spec.Template.Spec.Domain.Memory.Guest.String(); got != "4Gi" {
		t.Errorf("memory %s, not as planned", got)
	}
}

// Who commits what was planned contributes nothing of their own, and may approve it.
func TestApproverCommitsThePlan(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.structure("shop", "redis")
	const name = "prod-shop-shop-redis-01"
	path := vmPath("shop", "redis", "prod-shop/01")
	pr := c.ask("shop", c.one("prod-shop/01", "small"))
	c.published(pr)
	reply := c.talk(c.Frank, pr, planWith(planLarger, "reason: small is too small"))
	must(c.Frank.Commit(c.Repo, "shop", "", forgetest.Files{path: plannedFile(c, reply)}, "as planned"))(c.world)
	c.stands(pr, "action_required", "nobody has approved")
	c.wantTickets(pr, name+" PENDING_APPROVAL")
	c.approve(c.Frank, pr)
	c.stands(pr, "success", "the planner committed and approved")
	c.merge(pr, "merge")
	c.once(name)

	// One who commits something else than the plan has contributed.
	other := c.ask("other", c.one("prod-shop/02", "small"))
	c.published(other)
	reply = c.talk(c.Frank, other, planWith(planLarger, "reason: small is too small"))
	changed := c.replace(plannedFile(c, reply), "120Gi", "150Gi")
	must(c.Frank.Commit(c.Repo, "other", "", forgetest.Files{vmPath("shop", "redis", "prod-shop/02"): changed}, "nearly as planned"))(c.world)
	c.approve(c.Frank, other)
	c.stands(other, "action_required", "he approved what he had made")
	c.says(other, "frank's approval does not count: nobody approves what they contributed to")

	// Merged without the commit, it is not what was approved.
	c.Forge.ClearFaults()
	third := c.ask("third", c.one("prod-shop/03", "small"))
	c.published(third)
	c.talk(c.Bob, third, planWith(planLarger, "reason: small is too small"))
	c.approve(c.Bob, third)
	c.stands(third, "action_required", "approved, and not committed")
	if len(third.Blockers()) == 0 {
		t.Error("the forge would merge it")
	}
	c.bypass(third)
	c.quarantined("DIGEST_MISMATCH", "prod-shop-shop-redis-03")
}

// A plan in a review is taken like one in a comment, and the review is no approval.
func TestPlanInReviews(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.structure("shop", "redis")
	pr := c.ask("shop", c.one("test-shop/01", "small"))
	c.published(pr)
	only := must(c.Bob.ReviewComment(pr, planWith(planLarger, "reason: one")))(c.world)
	c.quiet()
	c.wantText("the reply", c.replyTo(pr, "review", only.ID), "taken, and judged now", "counts as no approval")
	c.says(pr, "because `one`")
	approving := must(c.Bob.ApproveWith(pr, "Fine, but larger.\n\n```shepherd\ncluster: test-1\nreason: two\n```\n"))(c.world)
	c.stands(pr, "action_required", "a plan is no approval")
	reply := c.replyTo(pr, "review", approving.ID)
	c.wantText("the reply", reply, "taken, and judged now", "A review that carries a plan counts as no approval")
	c.says(pr, "because `two`", "bob's approval does not count: it carries a plan")
	c.do(c.Bob.EditReview(pr, approving.ID, "Fine."))
	c.stands(pr, "action_required", "the words count as they were sent")
	if n := c.trailOf(pr, "TEXT_EDITED"); n != 1 {
		t.Errorf("%d edits in the trail", n)
	}
	// The later plan took the place of the earlier one as a whole: no modified spec is left.
	must(c.Bob.Approve(pr))(c.world)
	c.stands(pr, "success", "approved")
}

// What a planned spec leaves out of the request is shown.
func TestPlanThatDropsMuch(t *testing.T) {
	t.Parallel()
	c := newChoices(t, nil)
	c.structure("shop", "redis")
	rich := string(stage.VM("small", "with everything")) + `  disk: 110Gi
  deletionPolicy: retain
  sshKeys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKjGmzIp+bwGi5Nl7sqC6kLp5rQEkG7VXFSkfn7Ht4 alice]
  networks: [{name: backend}]
  disks: [{name: data, size: 10Gi}]
`
	pr := c.ask("shop", forgetest.Files{vmPath("shop", "redis", "test-shop/01"): []byte(rich)})
	c.published(pr)
	reply := c.talk(c.Bob, pr, planWith("modifiedSpec: {template: ubuntu-24.04, size: small, power: running}", "reason: plainer"))
	c.wantText("the reply", reply, "⚠️ It leaves out 5 fields")
	c.says(pr, "⚠️ It leaves out 5 fields: `deletionPolicy`, `disk`, `disks`, `networks`, `sshKeys`")
	got := c.strings(`select params->>'warning' from audit_log where action_code = 'PLAN_CHANGED'`)
	if fmt.Sprint(got) != "[5 fields of the request are left out]" {
		t.Errorf("the trail says %v", got)
	}
}

// With pushModifiedSpecs the bot commits what was planned, unless somebody was faster.
func TestPushedPlan(t *testing.T) {
	t.Parallel()
	c := newCourt(t, courtOptions{config: func(cfg *config.Config) { cfg.Approval.PushModifiedSpecs = true }})
	c.structure("shop", "redis")
	files := c.one("test-shop/01", "small")
	files[vmPath("shop", "redis", "test-shop/02")] = stage.VM("small", "the second")
	pr := c.approved("shop", files)
	reply := c.talk(c.Bob, pr, planWith("vms:",
		"  test-shop-shop-redis-01:", "    "+planLarger, "    reason: small is too small",
		"  test-shop-shop-redis-02:", "    "+planLarger, "    reason: small is too small"))
	if n := strings.Count(reply, "Committed as `"); n != 2 {
		t.Errorf("%d commits in the reply", n)
	}
	if by := must(c.Repo.Commit(pr.HeadSHA()))(c.world); !strings.Contains(by.AuthorEmail, "shepherd[bot]") {
		t.Errorf("the head is by %s", by.AuthorEmail)
	}
	c.stands(pr, "action_required", "committed, and not approved yet")
	c.approve(c.Bob, pr)
	c.stands(pr, "success", "approved")
	if n := len(pr.LineComments()); n != 0 {
		t.Errorf("%d suggestions", n)
	}
	c.merge(pr, "merge")
	c.once("test-shop-shop-redis-01", "test-shop-shop-redis-02")

	// Somebody pushes while it commits: it does not overwrite, and offers the file.
	late := c.ask("late", c.one("test-shop/03", "small"))
	c.published(late)
	c.quiet()
	c.Forge.ResetCalls()
	c.Forge.Fail(forgetest.Fault{Route: "POST /repos/{owner}/{repo}/git/commits", Kind: forgetest.Slow, Latency: 1500 * time.Millisecond})
	said := must(c.Bob.Comment(late, planWith(planLarger, "reason: small is too small")))(c.world)
	c.eventually("the bot to begin its commit", func() bool { return c.Forge.CallCounts()["POST /repos/{owner}/{repo}/git/trees"] > 0 })
	pushed := c.push("late", forgetest.Files{"README.md": []byte("faster\n")})
	c.quiet()
	if late.HeadSHA() != pushed {
		t.Errorf("the head is %s, not what was pushed", late.HeadSHA())
	}
	reply = c.replyTo(late, "comment", said.ID)
	c.wantText("the reply", reply, "uggest", "size: medium")
	c.approve(c.Bob, late)
	c.stands(late, "action_required", "approved, and not committed")
}

// Whatever answers of the forge get lost, a plan is offered, committed and answered once.
func TestPlanAnsweredOnce(t *testing.T) {
	t.Parallel()
	c := newCourt(t, courtOptions{config: func(cfg *config.Config) { cfg.Approval.PushModifiedSpecs = true }})
	c.impatient()
	c.structure("shop", "redis")
	lose := func(route string) { c.Forge.Fail(forgetest.Fault{Route: route, Kind: forgetest.Reset, After: true}) }
	pr := c.ask("shop", c.one("test-shop/01", "small"))
	c.published(pr)
	c.quiet()
	before := pr.HeadSHA()
	lose("PATCH /repos/{owner}/{repo}/git/refs/{ref...}")
	lose("POST /repos/{owner}/{repo}/issues/comments/{id}/reactions")
	lose("POST /repos/{owner}/{repo}/issues/{number}/comments")
	reply := c.talk(c.Bob, pr, planWith(planLarger, "reason: small is too small"))
	c.wantText("the reply", reply, "Committed as")
	if c.parent(pr.HeadSHA()) != before {
		t.Error("committed more than once, or not at all")
	}
	if n := len(c.replies(pr)); n != 1 {
		t.Errorf("%d replies", n)
	}
	if n := c.trailOf(pr, "PLAN_CHANGED"); n != 1 {
		t.Errorf("planned %d times in the trail", n)
	}
}
