package forgetest_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// queued is a world whose main branch has a merge queue that waits for the check "v".
type queued struct {
	*world
	hooks *receiver
	bot   *github.Client
}

func newQueued(t *testing.T, method string) *queued {
	t.Helper()
	w := newWorld(t)
	q := &queued{world: w, hooks: newReceiver(t, "x")}
	t.Cleanup(func() { // what is on its way when the test ends is checked too
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := w.srv.WaitIdle(ctx); err != nil {
			t.Error(err)
		}
	})
	w.repo.AddHook(q.hooks.url, "x", "merge_group", "pull_request", "push")
	app, bot := w.app("")
	q.bot = bot
	w.repo.Protect("main", forgetest.Protection{Checks: []forgetest.RequiredCheck{{Context: "v", AppID: app.ID()}}, MergeQueue: method})
	return q
}

func (q *queued) report(sha, conclusion string) {
	q.t.Helper()
	got[*github.CheckRun](q.t)(q.bot.Checks.CreateCheckRun(q.t.Context(), "acme", "vms", github.CreateCheckRunOptions{
		Name: "v", HeadSHA: sha, Conclusion: &conclusion,
	}))
}

// ready opens a pull request with a green check.
func (q *queued) ready(branch string) *forgetest.Pull {
	q.t.Helper()
	p := q.pull(branch)
	q.report(p.HeadSHA(), "success")
	return p
}

func (q *queued) run(want forgetest.QueueResult) {
	q.t.Helper()
	if diff := cmp.Diff(want, must[forgetest.QueueResult](q.t)(q.repo.RunMergeQueue("main"))); diff != "" {
		q.t.Errorf("the queue did (-want +got):\n%s", diff)
	}
}

// groups lists the merge_group webhooks that came: the group's branch, action and reason.
func (q *queued) groups() []string {
	q.t.Helper()
	q.wait()
	var out []string
	for _, a := range q.hooks.all() {
		if a.event != "merge_group" {
			continue
		}
		var body struct {
			Reason string
			Group  struct {
				HeadRef string `json:"head_ref"`
			} `json:"merge_group"`
		}
		do(q.t, json.Unmarshal(a.body, &body))
		name := strings.Split(strings.TrimPrefix(body.Group.HeadRef, "refs/heads/gh-readonly-queue/main/"), "-")
		out = append(out, strings.TrimSpace(strings.Join(name[:2], "-")+" "+a.action+" "+body.Reason))
	}
	return out
}

func TestMergeQueue(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"merge", "squash", "rebase"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			q := newQueued(t, method)
			one, two, three := q.ready("one"), q.ready("two"), q.ready("three")
			tip := q.repo.Head("main")
			a := must[*forgetest.MergeGroup](t)(q.bob.Enqueue(one))
			b := must[*forgetest.MergeGroup](t)(q.bob.Enqueue(two, three))
			if a.BaseSHA() != tip || b.BaseSHA() != a.HeadSHA() {
				t.Errorf("groups stand on %s and %s", a.BaseSHA(), b.BaseSHA())
			}
			q.wait()
			ev := last[*github.MergeGroupEvent](t, q.hooks).GetMergeGroup()
			if ev.GetHeadSHA() != b.HeadSHA() || ev.GetBaseSHA() != a.HeadSHA() || ev.GetBaseRef() != "refs/heads/main" ||
				ev.GetHeadRef() != "refs/heads/gh-readonly-queue/main/pr-3-"+a.HeadSHA() || ev.GetHeadRef() != b.HeadRef() {
				t.Errorf("merge group event is %v", ev)
			}
			q.report(b.HeadSHA(), "success")
			q.run(forgetest.QueueResult{Waiting: []string{`Required status check "v" is expected.`}})
			q.report(a.HeadSHA(), "success")
			q.run(forgetest.QueueResult{Merged: []int{1, 2, 3}})
			q.checkMerged(method, tip, b, one, two, three)
			want := []string{"pr-1 checks_requested", "pr-3 checks_requested", "pr-1 destroyed merged", "pr-3 destroyed merged"}
			if diff := cmp.Diff(want, q.groups()); diff != "" {
				t.Errorf("webhooks (-want +got):\n%s", diff)
			}
		})
	}
}

func (q *queued) checkMerged(method, tip string, end *forgetest.MergeGroup, pulls ...*forgetest.Pull) {
	t := q.t
	t.Helper()
	q.wait()
	if q.repo.Head("main") != end.HeadSHA() || end.Queued() || len(q.repo.MergeQueue("main")) != 0 {
		t.Errorf("main is %s, still queued %v", q.repo.Head("main"), end.Queued())
	}
	before := tip
	for _, p := range pulls {
		c := must[forgetest.CommitInfo](t)(q.repo.Commit(p.MergeCommitSHA()))
		parents := []string{before}
		if method == "merge" {
			parents = append(parents, p.HeadSHA())
		}
		if diff := cmp.Diff(parents, c.Parents); diff != "" || !p.Merged() {
			t.Errorf("#%d merged %v, parents (-want +got):\n%s", p.Number(), p.Merged(), diff)
		}
		before = c.SHA
	}
	for _, name := range q.repo.Branches() {
		if strings.HasPrefix(name, "gh-readonly-queue/") {
			t.Errorf("%s is still there", name)
		}
	}
	var pushes, closed []string
	for _, a := range q.hooks.all() {
		switch ev := a.parsed.(type) {
		case *github.PushEvent:
			if ev.GetRef() == "refs/heads/main" {
				pushes = append(pushes, ev.GetSender().GetLogin()+" "+ev.GetBefore()+".."+ev.GetAfter())
			}
		case *github.PullRequestEvent:
			if pr := ev.GetPullRequest(); a.action == "closed" && pr.GetMerged() && pr.GetMergeCommitSHA() != "" && !pr.GetMergedAt().IsZero() {
				closed = append(closed, pr.GetMergeCommitSHA())
			}
		}
	}
	first, third := pulls[0].MergeCommitSHA(), pulls[2].MergeCommitSHA()
	want := []string{"github-merge-queue[bot] " + tip + ".." + first, "github-merge-queue[bot] " + first + ".." + third}
	if diff := cmp.Diff(want, pushes); diff != "" || len(closed) != 3 {
		t.Errorf("closed %v, pushes (-want +got):\n%s", closed, diff)
	}
}

// A group that fails leaves, and the ones behind it are built without it.
func TestMergeQueueKicksOut(t *testing.T) {
	t.Parallel()
	q := newQueued(t, "squash")
	one, two, three := q.ready("one"), q.ready("two"), q.ready("three")
	a := must[*forgetest.MergeGroup](t)(q.bob.Enqueue(one))
	b := must[*forgetest.MergeGroup](t)(q.bob.Enqueue(two))
	c := must[*forgetest.MergeGroup](t)(q.bob.Enqueue(three))
	old := c.HeadSHA()
	q.report(b.HeadSHA(), "failure")
	q.run(forgetest.QueueResult{Kicked: []int{2}, Waiting: []string{`Required status check "v" is expected.`}})
	if b.Queued() || two.Merged() || two.State() != "open" || c.HeadSHA() == old || c.BaseSHA() != a.HeadSHA() {
		t.Errorf("second queued %v, third %s on %s", b.Queued(), c.HeadSHA(), c.BaseSHA())
	}
	q.report(a.HeadSHA(), "success")
	q.report(c.HeadSHA(), "success")
	q.run(forgetest.QueueResult{Merged: []int{1, 3}})
	if _, there := q.repo.File("main", "two.yaml"); there {
		t.Error("what was kicked out is on main")
	}
	want := []string{
		"pr-1 checks_requested", "pr-2 checks_requested", "pr-3 checks_requested", "pr-2 destroyed dequeued",
		"pr-3 destroyed invalidated", "pr-3 checks_requested", "pr-1 destroyed merged", "pr-3 destroyed merged",
	}
	if diff := cmp.Diff(want, q.groups()); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
	var reasons []string
	for _, a := range q.hooks.all() {
		var body struct{ Reason string }
		if a.event == "pull_request" && a.action == "dequeued" {
			do(t, json.Unmarshal(a.body, &body))
			reasons = append(reasons, body.Reason)
		}
	}
	if diff := cmp.Diff([]string{"CI_FAILURE", "MERGE", "MERGE"}, reasons); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}

// Whatever is done to a queued pull request takes it out; whatever is done to the branch builds all groups anew.
func TestMergeQueueFollowsWhatHappens(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(q *queued, p *forgetest.Pull) error{
		"pushed to": func(q *queued, p *forgetest.Pull) error { q.commit(q.alice, "one", "x", "x\n"); return nil },
		"closed":    func(q *queued, p *forgetest.Pull) error { return q.alice.Close(p) },
		"a draft":   func(q *queued, p *forgetest.Pull) error { return q.alice.MarkDraft(p) },
		"taken out": func(q *queued, p *forgetest.Pull) error { return q.alice.Dequeue(p) },
		"retargeted": func(q *queued, p *forgetest.Pull) error {
			q.commit(q.root, "next", "n", "n\n")
			return q.alice.Retarget(p, "next")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := newQueued(t, "merge")
			one, two := q.ready("one"), q.ready("two")
			a := must[*forgetest.MergeGroup](t)(q.bob.Enqueue(one))
			b := must[*forgetest.MergeGroup](t)(q.bob.Enqueue(two))
			do(t, leave(q, one))
			if a.Queued() || !b.Queued() || b.BaseSHA() != q.repo.Head("main") {
				t.Errorf("first queued %v, second %v on %s", a.Queued(), b.Queued(), b.BaseSHA())
			}
		})
	}
	q := newQueued(t, "merge")
	one, two := q.ready("one"), q.ready("two")
	a := must[*forgetest.MergeGroup](t)(q.bob.Enqueue(one))
	b := must[*forgetest.MergeGroup](t)(q.bob.Enqueue(two))
	q.report(a.HeadSHA(), "success")
	q.commit(q.root, "main", "two.yaml", "in the way\n")
	q.run(forgetest.QueueResult{Kicked: []int{2}, Waiting: []string{`Required status check "v" is expected.`}})
	if a.BaseSHA() != q.repo.Head("main") || b.Queued() {
		t.Errorf("first on %s, second queued %v", a.BaseSHA(), b.Queued())
	}
}

func TestMergeQueueRefuses(t *testing.T) {
	t.Parallel()
	q := newQueued(t, "merge")
	one, red := q.ready("one"), q.pull("red")
	enqueue := func(u *forgetest.User, ps ...*forgetest.Pull) error { return second(u.Enqueue(ps...)) }
	wantRefusal(t, enqueue(q.guest, one), 403, "write rights")
	wantRefusal(t, enqueue(q.bob, red), 422, `not ready: Required status check "v"`)
	wantRefusal(t, enqueue(q.bob, one, one), 422, "cannot be queued")
	wantRefusal(t, second(q.bob.EnqueueBypassing(red)), 422, "not ready")
	do(t, enqueue(q.bob, one), second(q.root.EnqueueBypassing(red)))
	wantRefusal(t, enqueue(q.bob, one), 422, "already in the queue")
	wantRefusal(t, second(q.bob.Merge(one, "merge")), 405, "through the merge queue")
	wantRefusal(t, q.bob.Dequeue(q.ready("other")), 404, "Not Found")
	do(t, q.alice.MarkDraft(one))
	wantRefusal(t, enqueue(q.bob, one), 422, "cannot be queued")
	q.commit(q.root, "main", "clash.yaml", "x\n")
	clash := must[string](t)(q.alice.ForcePush(q.repo, "clash", red.HeadSHA(), forgetest.Files{"clash.yaml": []byte("y\n")}, "y"))
	p := must[*forgetest.Pull](t)(q.alice.OpenPull(q.repo, "clash", "clash", "main", "", false))
	q.report(clash, "success")
	q.run(forgetest.QueueResult{Waiting: []string{`Required status check "v" is expected.`}})
	wantRefusal(t, enqueue(q.bob, p), 422, "conflicts with the group")
}
