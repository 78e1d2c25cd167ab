package e2e

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/kubetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

var mentioned = regexp.MustCompile("(?:^|[^\\w`/])@(\\w[\\w-]*)")

// mentions are whom the bot's comments mention, in order, one a mention.
func (w *world) mentions(pr *forgetest.Pull) (out []string) {
	for _, c := range w.comments(pr) {
		for _, m := range mentioned.FindAllStringSubmatch(c.Body, -1) {
			out = append(out, m[1])
		}
	}
	return out
}

// notified holds how many comments there are and whom they mention.
func (w *world) notified(pr *forgetest.Pull, comments int, people ...string) {
	w.t.Helper()
	w.eventually("the comments", func() bool { return len(w.comments(pr)) >= comments })
	w.quiet()
	if n := len(w.comments(pr)); n != comments {
		w.t.Errorf("#%d: %d comments, want %d", pr.Number(), n, comments)
		for _, c := range w.comments(pr) {
			w.t.Log(c.Body)
		}
	}
	if got := w.mentions(pr); !slices.Equal(got, people) {
		w.t.Errorf("#%d: mentions %v, want %v", pr.Number(), got, people)
	}
}

// invitations counts the requests for reviews.
func (w *world) invitations() int {
	return w.Forge.CallCounts()["POST /repos/{owner}/{repo}/pulls/{number}/requested_reviewers"]
}

// A whole life makes three comments, and two notices to the author: one when it is decided, one at the end.
func TestNotices(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pr := w.ask("shop", machines("shop", "redis", "test-shop/01", "prod-shop/02"))
	w.published(pr)
	w.eventually("reviews to be asked for", func() bool { return len(pr.RequestedReviewers()) > 0 })
	if got := pr.RequestedReviewers(); !slices.Equal(got, []string{"bob", "dave"}) || len(pr.RequestedTeams()) != 0 {
		t.Errorf("asked for reviews: %v", got)
	}
	w.notified(pr, 1)
	w.push("shop", forgetest.Files{vmPath("shop", "redis", "test-shop/01"): stage.VM("medium", "larger")})
	w.told(pr, "larger")
	w.notified(pr, 1)
	if n := w.invitations(); n != 1 {
		t.Errorf("asked for reviews %d times: %v", n, w.Forge.CallCounts())
	}
	must(w.Bob.RequestChanges(pr, "please ask @carol first"))(w)
	w.check(pr, "shepherd/approval", "failure")
	w.notified(pr, 2, "alice")
	w.show(pr, "rejected")
	time.Sleep(time.Second) // the forge's clock has seconds
	w.push("shop", forgetest.Files{vmPath("shop", "redis", "test-shop/01"): stage.VM("small", "smaller again")})
	w.told(pr, "smaller again")
	w.quiet()
	must(w.Bob.Approve(pr))(w)
	w.quiet()
	if c, _ := pr.Check("shepherd/approval"); c.Conclusion != "success" { // what the first approval reopened has to be seen
		w.published(pr)
		time.Sleep(time.Second)
		must(w.Bob.Approve(pr))(w)
	}
	w.check(pr, "shepherd/approval", "success")
	w.eventually("the author to hear of it", func() bool { return strings.Contains(w.comments(pr)[len(w.comments(pr))-1].Body, "Approved by bob") })
	w.notified(pr, 3, "alice", "alice")
	w.merge(pr, "squash")
	for _, name := range []string{"test-shop-shop-redis-01", "prod-shop-shop-redis-02"} {
		w.vm(name)
		w.do(kubetest.SetVMStatus(t.Context(), w.kube.Client(), w.key(name), kubevirtv1.VirtualMachineStatusRunning))
	}
	w.notified(pr, 4, "alice", "alice", "alice")
	w.show(pr, "whole life")
	if n := w.invitations(); n != 1 {
		t.Errorf("asked for reviews %d times", n)
	}

	bypassed := w.ask("bypass", one(vmPath("shop", "redis", "test-shop/03"), "small", "quickly"))
	w.published(bypassed)
	w.bypass(bypassed)
	w.eventually("the end", func() bool { return len(w.comments(bypassed)) > 1 })
	w.notified(bypassed, 2, "alice")
	w.show(bypassed, "quarantined")
	failing := w.approved("failing", one(vmPath("shop", "redis", "test-shop/04"), "small", "fails"))
	w.foreign("test-shop-shop-redis-04")
	w.eventually("the author to hear of it", func() bool { return len(w.comments(failing)) > 1 })
	w.merge(failing, "squash")
	w.eventually("the end", func() bool { return len(w.comments(failing)) > 2 })
	w.notified(failing, 3, "alice", "alice")
	w.show(failing, "failed")
}

// Reviews are asked of those whose approval would count, and only when there is something to approve.
func TestInvitations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.structure("shop", "redis")
	at := func(index string) string { return vmPath("shop", "redis", "test-shop/"+index) }
	w.push("draft", one(at("01"), "small", "later"))
	draft := w.open("draft", true)
	red := w.ask("red", one(at("02"), "giant", "broken"))
	must(w.Dave.Commit(w.Repo, "together", "main", one(at("03"), "small", "by two"), "by Dave"))(w)
	together := w.open("together", false) // Alice opens what Dave has pushed
	w.published(together)
	for _, pr := range []*forgetest.Pull{draft, red} {
		w.eventually("it to be judged", func() bool { _, ok := pr.Check("shepherd/approval"); return ok })
	}
	w.quiet()
	for _, pr := range []*forgetest.Pull{draft, red} {
		if got := pr.RequestedReviewers(); len(got) != 0 {
			t.Errorf("#%d: asked %v", pr.Number(), got)
		}
	}
	w.show(together, "to which Dave has contributed")
	if got := together.RequestedReviewers(); !slices.Equal(got, []string{"bob"}) {
		t.Errorf("asked %v for what Dave has pushed", got)
	}
	w.do(w.Alice.MarkReady(draft))
	w.eventually("reviews to be asked for", func() bool { return slices.Equal(draft.RequestedReviewers(), []string{"bob", "dave"}) })
}

// What waits long is shown with its age, and those who can decide are reminded, once.
func TestReminder(t *testing.T) {
	t.Parallel()
	w := setup{config: func(c *config.Config) { c.Approval.RemindAfter = config.Duration(2 * time.Hour) }}.world(t)
	pr := w.ask("shop", machines("shop", "redis", "test-shop/01"))
	w.published(pr)
	age := func(by string) {
		if _, err := w.pool.Exec(t.Context(), `update tickets set created_at = now() - $1::interval where pull_request = $2`, by, pr.Number()); err != nil {
			t.Fatal(err)
		}
		w.enqueue(jobs.Remind{RepositoryID: w.Repo.ID()})
		w.quiet()
	}
	age("1 hour")
	w.notified(pr, 1)
	age("3 hours")
	w.notified(pr, 2, "bob", "dave")
	if body := w.comments(pr)[1].Body; !strings.Contains(body, "waited for an approval for 3 hours") {
		t.Errorf("the reminder is\n%s", body)
	}
	age("5 days")
	w.told(pr, "Waiting 5 days", "🟡")
	age("9 days")
	w.told(pr, "Waiting 9 days", "🔴")
	w.notified(pr, 2, "bob", "dave")
	w.show(pr, "reminded")
}
