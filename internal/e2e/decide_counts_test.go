package e2e

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// An approval is of what was on show when it was sent: the bot says once why one is not.
func TestApprovalOfWhatWasNotShown(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64 // of the real clock
	c := newCourt(t, courtOptions{
		clock:  func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
		config: func(c *config.Config) { c.Approval.Grace = config.Duration(10 * time.Second) },
	})
	later := func(d time.Duration) { ahead.Add(int64(d)) }
	send := func(u *forgetest.User, pr *forgetest.Pull) { must(u.Approve(pr))(c.world) }
	c.structure("shop", "redis")

	c.Forge.PauseDeliveries()
	pr := c.ask("shop", c.one("prod-shop/01", "small"))
	send(c.Bob, pr)
	later(2 * time.Second)
	c.Forge.ResumeDeliveries()
	c.published(pr)
	c.stands(pr, "action_required", "the approval was there before the plan")
	c.says(pr, "bob's approval does not count: it was sent before the plan was published: please look at the plan and approve again")
	later(5 * time.Second)
	send(c.Bob, pr)
	c.stands(pr, "action_required", "the approval came within the grace")
	body := c.says(pr, "it was sent within 10s of the plan's publication", "at least 10s after the plan appeared")
	if n := strings.Count(body, "bob's approval does not count"); n != 1 {
		t.Errorf("said %d times:\n%s", n, body)
	}
	if n := len(c.comments(pr)); n != 1 {
		t.Errorf("%d comments", n)
	}
	later(10 * time.Second)
	send(c.Bob, pr)
	c.stands(pr, "success", "the approval came after the grace")
	c.unsaid(pr, "does not count")

	// On another head than the one that there is: only programs can do that.
	old := pr.HeadSHA()
	c.push("shop", c.one("prod-shop/01", "medium"))
	c.published(pr)
	later(20 * time.Second)
	c.reviewOn(c.Frank.Token(), pr, "APPROVE", old, "")
	c.stands(pr, "action_required", "the approval names a head that asks for something else")
	c.says(pr, "frank's approval does not count: it was sent on `"+old[:8]+"`, which asks for something else")
	c.push("shop", forgetest.Files{"README.md": []byte("about\n")})
	c.published(pr)
	c.reviewOn(c.Frank.Token(), pr, "APPROVE", c.parent(pr.HeadSHA()), "")
	c.stands(pr, "success", "the head that it names asks for the same")

	// A decision is the last one of its author: to comment takes nothing back.
	must(c.Frank.ReviewComment(pr, "by the way"))(c.world)
	c.stands(pr, "success", "a review that only comments is no decision")
	must(c.Frank.RequestChanges(pr, "on second thoughts"))(c.world)
	c.check(pr, "shepherd/approval", "failure")
	c.stands(pr, "failure", "he changed his mind")
}

func (c *court) parent(sha string) string {
	return must(c.Repo.Commit(sha))(c.world).Parents[0]
}

// Only people who may, and who have no part in it, approve.
func TestWhoseApprovalCounts(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.structure("shop", "redis")
	robot := must(c.Forge.CreateApp("renovate", forgetest.AppOptions{}))(c.world)
	token := robot.Install(c.Repo).Token()

	pr := c.ask("shop", c.one("prod-shop/01", "small"))
	c.published(pr)
	c.reviewOn(token, pr, "APPROVE", pr.HeadSHA(), "")
	must(c.Carol.Approve(pr))(c.world)
	must(c.Erin.Approve(pr))(c.world) // in test she could
	if _, err := c.Alice.Approve(pr); err == nil {
		t.Error("the forge lets an author approve")
	}
	c.stands(pr, "action_required", "approved by a bot, a viewer, and an approver of test")
	c.says(pr, "`renovate[bot]`'s approval does not count: bots do not approve",
		"carol's approval does not count: ", "erin's approval does not count: ")

	// Whoever pushed it is a contributor, and whoever committed it, or wrote it.
	push := func(u *forgetest.User, size, reason string, opts ...forgetest.CommitOption) {
		files := forgetest.Files{vmPath("shop", "redis", "prod-shop/01"): stage.VM(size, reason)}
		must(u.Commit(c.Repo, "shop", "", files, reason, opts...))(c.world)
	}
	push(c.Frank, "medium", "pushed by frank")
	c.approve(c.Frank, pr)
	c.stands(pr, "action_required", "approved by a pusher")
	c.says(pr, "frank's approval does not count: nobody approves what they contributed to: pushed it")
	must(c.Bob.Approve(pr))(c.world)
	c.stands(pr, "success", "approved by somebody else")

	push(c.Alice, "small", "written by bob", forgetest.AuthoredBy("bob", c.Bob.Email()))
	c.approve(c.Bob, pr)
	c.stands(pr, "action_required", "approved by a commit's author")
	c.says(pr, "bob's approval does not count: nobody approves what they contributed to: wrote commit `"+pr.HeadSHA()[:8])
	must(c.Rita.Approve(pr))(c.world)
	c.stands(pr, "success", "approved by a member of the team")

	push(c.Alice, "medium", "committed by rita", forgetest.CommittedBy("rita", c.Rita.Email()))
	c.approve(c.Rita, pr)
	c.stands(pr, "action_required", "approved by a commit's committer")
	c.says(pr, "rita's approval does not count: nobody approves what they contributed to: committed")

	// A branch begun anew, on which only Alice has worked, is hers alone.
	must(c.Alice.ForcePush(c.Repo, "shop", "main", forgetest.Files{vmPath("shop", "redis", "prod-shop/01"): stage.VM("small", "by alice")}, "alone"))(c.world)
	c.approve(c.Rita, pr)
	c.stands(pr, "success", "the contributions went with their commits")
}

// A commit's trailers name co-authors: in prod they do not approve, in test they do.
func TestCoAuthors(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.structure("shop", "redis")
	files := c.one("prod-shop/01", "small")
	files[vmPath("shop", "redis", "test-shop/02")] = stage.VM("small", "in test")
	message := "together\n\nCo-authored-by: Bob <102+bob@users.noreply.github.com>\n"
	must(c.Alice.Commit(c.Repo, "shop", "main", files, message))(c.world)
	pr := c.open("shop", false)
	c.approve(c.Bob, pr)
	c.stands(pr, "action_required", "approved by a co-author")
	c.wantTickets(pr, "prod-shop-shop-redis-01 PENDING_APPROVAL", "test-shop-shop-redis-02 APPROVED")
	c.says(pr, "bob's approval does not count: nobody approves what they contributed to: co-author of commit", "without the trailer")
	must(c.Alice.ForcePush(c.Repo, "shop", "main", files, "together"))(c.world)
	c.stands(pr, "success", "committed without the trailer")
}

// A commit that nobody is known to have made belongs to its pusher; where that is not known, nothing counts.
func TestUnattributed(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.structure("shop", "redis")
	nobody := []forgetest.CommitOption{forgetest.AuthoredBy("nobody", "nobody@example.org"), forgetest.CommittedBy("nobody", "nobody@example.org")}
	must(c.Frank.Commit(c.Repo, "known", "main", c.one("prod-shop/01", "small"), "by nobody", nobody...))(c.world)
	pr := c.open("known", false)
	c.approve(c.Frank, pr)
	c.stands(pr, "action_required", "the pusher approved")
	c.says(pr, "frank's approval does not count")
	must(c.Bob.Approve(pr))(c.world)
	c.stands(pr, "success", "somebody else approved")

	c.quiet()
	c.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{Lose: 1})
	c.push("unknown", c.one("prod-shop/02", "small"), nobody...)
	c.do(c.Forge.WaitIdle(t.Context()))
	c.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{})
	c.Repo.ForgetActivity() // nor can the forge be asked
	lost := c.open("unknown", false)
	c.problem(lost, "AUTHOR_UNKNOWN", vmPath("shop", "redis", "prod-shop/02"), 1)
	must(c.Bob.Approve(lost))(c.world)
	c.stands(lost, "failure", "nobody knows whose it is")
	c.wantTickets(lost)
}

// What the forge says later of a review is not what it was: its commit is the one that it was sent on.
func TestReviewsAreKeptAsTheyWere(t *testing.T) {
	t.Parallel()
	c := newCourt(t)
	c.structure("shop", "redis")
	c.Forge.RepointReviews(true)
	pr := c.ask("shop", c.one("prod-shop/01", "small"))
	c.published(pr)
	c.lost(func() { must(c.Bob.Approve(pr))(c.world) })
	c.push("shop", forgetest.Files{"README.md": []byte("one\n")})
	c.check(pr, "shepherd/approval", "success")
	c.stands(pr, "success", "no webhook told of the approval, and the pushes tell what it was of")

	// A rebase, after which the forge calls it a review of the new head, and then another content.
	files := c.one("prod-shop/01", "small")
	files["README.md"] = []byte("one\n")
	must(c.Alice.ForcePush(c.Repo, "shop", "main", files, "rebased"))(c.world)
	c.stands(pr, "success", "rebased")
	c.lost(func() { must(c.Frank.Approve(pr))(c.world) })
	must(c.Alice.ForcePush(c.Repo, "shop", "main", c.one("prod-shop/01", "medium"), "other"))(c.world)
	c.published(pr)
	c.stands(pr, "action_required", "both approvals are of another content")
	c.says(pr, "bob's approval does not count", "frank's approval does not count")
	must(c.Rita.Approve(pr))(c.world)
	c.stands(pr, "success", "approved as it is")
}
