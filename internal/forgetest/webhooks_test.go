package forgetest_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// do fails the test when one of several errors is not nil.
func do(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func second[A any](_ A, err error) error { return err }

func TestEveryWebhook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hooks := newReceiver(t, "s3cret")
	app, bot := w.app(hooks.url)
	p := w.pull("redis")
	team := w.srv.Organization("acme").Team("platform")
	team.Add(w.bob)
	team.Grant(w.repo, "write")
	c := must[forgetest.Comment](t)(w.bob.Comment(p, "hello"))
	rv := must[forgetest.Review](t)(w.bob.RequestChanges(p, "no"))
	do(t,
		w.bob.EditComment(p, c.ID, "hello again"), w.bob.DeleteComment(p, c.ID), w.bob.EditReview(p, rv.ID, "still no"),
		w.root.DismissReview(p, rv.ID, "overruled"), w.bob.CommentLine(p, "redis.yaml", 1, "why?"), w.alice.EditPull(p, "new title", "new text"),
		w.alice.MarkDraft(p), w.alice.MarkReady(p), w.alice.RequestReview(p, w.bob), w.bob.AddLabel(p, "urgent"),
		second(w.alice.Commit(w.repo, "redis", "", forgetest.Files{"redis.yaml": nil, "b.yaml": []byte("b")}, "more")),
		w.alice.Close(p), w.alice.Reopen(p),
	)
	got[*github.CheckRun](t)(bot.Checks.CreateCheckRun(t.Context(), "acme", "vms", github.CreateCheckRunOptions{
		Name: "v", HeadSHA: p.HeadSHA(), Conclusion: github.String("neutral"),
	}))
	do(t, w.alice.Rerun(p, "v"))
	got[*github.RepoStatus](t)(bot.Repositories.CreateStatus(t.Context(), "acme", "vms", p.HeadSHA(), &github.RepoStatus{State: github.String("success")}))
	d := got[*github.Deployment](t)(bot.Repositories.CreateDeployment(t.Context(), "acme", "vms", &github.DeploymentRequest{Ref: github.String("main")}))
	got[*github.DeploymentStatus](t)(bot.Repositories.CreateDeploymentStatus(t.Context(), "acme", "vms", d.GetID(), &github.DeploymentStatusRequest{State: github.String("success")}))
	got[*github.Issue](t)(bot.Issues.Create(t.Context(), "acme", "vms", &github.IssueRequest{Title: github.String("an issue")}))
	do(t, second(w.bob.Merge(p, "squash")), w.alice.DeleteBranch(w.repo, "redis"))
	w.srv.Organization("acme").SetMember(w.bob, "")
	w.repo.SetPermission(w.bob, "none")
	w.wait()

	names := hooks.names()
	for _, want := range []string{
		"ping", "installation.created", "push", "create", "check_suite.requested", "pull_request.opened", "team.created",
		"membership.added", "team.added_to_repository", "issue_comment.created", "pull_request_review.submitted", "issue_comment.edited",
		"issue_comment.deleted", "pull_request_review.edited", "pull_request_review.dismissed", "pull_request_review_comment.created",
		"pull_request.edited", "pull_request.converted_to_draft", "pull_request.ready_for_review", "pull_request.review_requested",
		"pull_request.labeled", "pull_request.synchronize", "pull_request.closed", "pull_request.reopened", "check_run.created",
		"check_run.completed", "check_suite.completed", "check_run.rerequested", "status", "deployment.created", "deployment_status.created",
		"issues.opened", "delete", "organization.member_removed", "membership.removed", "member.removed",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s among the webhooks", want)
		}
	}
	for _, a := range hooks.all() {
		if a.header.Get("X-GitHub-Hook-Installation-Target-Type") != "integration" || a.guid == "" {
			t.Errorf("%s came with %v", a.event, a.header)
		}
	}
	for _, d := range app.Deliveries() {
		if d.StatusCode != http.StatusAccepted {
			t.Errorf("%s is recorded with %d %s", d.Event, d.StatusCode, d.Status)
		}
	}
}

func TestPeopleLeaving(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hooks := newReceiver(t, "s3cret")
	w.app(hooks.url)
	org := w.srv.Organization("acme")
	ops, old := org.Team("ops"), org.Team("old")
	ops.Add(w.bob, w.alice)
	ops.Remove(w.alice)
	org.SetMember(w.bob, "")
	old.Delete()
	w.wait()
	names := hooks.names()
	at := slices.Index(names, "membership.removed")
	if at < 0 {
		t.Fatalf("webhooks are %v", names)
	}
	want := []string{"membership.removed", "membership.removed", "organization.member_removed", "team.deleted"}
	if diff := cmp.Diff(want, names[at:]); diff != "" {
		t.Errorf("webhooks (-want +got):\n%s", diff)
	}
	if got := org.Team("old"); got.ID() == old.ID() {
		t.Error("the deleted team is still there")
	}
}

func TestPushPayload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hooks := newReceiver(t, "x")
	w.repo.AddHook(hooks.url, "x", "push", "pull_request")
	p := w.pull("redis")
	before := p.HeadSHA()
	after := must[string](t)(w.bob.Commit(w.repo, "redis", "", forgetest.Files{"redis.yaml": []byte("v2\n"), "new.yaml": []byte("n")}, "second"))
	w.wait()
	push := last[*github.PushEvent](t, hooks)
	if push.GetBefore() != before || push.GetAfter() != after || push.GetForced() || push.GetRef() != "refs/heads/redis" {
		t.Errorf("push is %v", push)
	}
	if push.GetSender().GetLogin() != "bob" || push.GetPusher().GetName() != "bob" || push.GetRepo().GetID() != w.repo.ID() {
		t.Errorf("push is by %v in %v", push.GetSender(), push.GetRepo())
	}
	head := push.GetHeadCommit()
	if diff := cmp.Diff([][]string{{"new.yaml"}, {"redis.yaml"}, {}}, [][]string{head.Added, head.Modified, head.Removed}); diff != "" || len(push.Commits) != 1 {
		t.Errorf("commit's files (-want +got):\n%s", diff)
	}
	sync := last[*github.PullRequestEvent](t, hooks)
	if sync.GetAction() != "synchronize" || sync.GetBefore() != before || sync.GetAfter() != after || sync.GetPullRequest().GetHead().GetSHA() != after {
		t.Errorf("pull request event is %s %s..%s", sync.GetAction(), sync.GetBefore(), sync.GetAfter())
	}

	forced := must[string](t)(w.bob.ForcePush(w.repo, "redis", "main", forgetest.Files{"redis.yaml": []byte("v3\n")}, "anew"))
	w.wait()
	if push := last[*github.PushEvent](t, hooks); !push.GetForced() || push.GetAfter() != forced {
		t.Errorf("forced push is %v", push)
	}
}

func TestReviewPayload(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hooks := newReceiver(t, "x")
	w.repo.AddHook(hooks.url, "x")
	p := w.pull("redis")
	rv := must[forgetest.Review](t)(w.bob.Approve(p))
	w.wait()
	ev := last[*github.PullRequestReviewEvent](t, hooks)
	r := ev.GetReview()
	if ev.GetAction() != "submitted" || r.GetState() != "approved" || r.GetID() != rv.ID || r.GetCommitID() != p.HeadSHA() ||
		r.GetUser().GetID() != w.bob.ID() || r.GetSubmittedAt().IsZero() {
		t.Errorf("review event is %s %v", ev.GetAction(), r)
	}
	var raw struct {
		Changes struct{ Body struct{ From string } }
	}
	do(t, w.bob.EditReview(p, rv.ID, "but"), w.bob.EditReview(p, rv.ID, "well"))
	w.wait()
	do(t, json.Unmarshal(hooks.all()[len(hooks.all())-1].body, &raw))
	if raw.Changes.Body.From != "but" {
		t.Errorf("edited from %q", raw.Changes.Body.From)
	}
}

func TestDeliveriesAndRedelivery(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hooks := newReceiver(t, "s3cret")
	app, _ := w.app(hooks.url)
	jwt := w.client(signJWT(t, app, w.now(), 5*time.Minute))
	hooks.answer(http.StatusBadGateway)
	w.pull("redis")
	w.wait()
	hooks.answer(http.StatusAccepted)

	first, resp, err := jwt.Apps.ListHookDeliveries(t.Context(), &github.ListCursorOptions{PerPage: 2})
	do(t, err)
	if len(first) != 2 || resp.Cursor == "" {
		t.Fatalf("first page has %d, cursor %q", len(first), resp.Cursor)
	}
	next := got[[]*github.HookDelivery](t)(jwt.Apps.ListHookDeliveries(t.Context(), &github.ListCursorOptions{PerPage: 100, Cursor: resp.Cursor}))
	if len(first)+len(next) != len(app.Deliveries()) || next[0].GetID() >= first[1].GetID() {
		t.Errorf("pages have %d and %d of %d", len(first), len(next), len(app.Deliveries()))
	}
	failed := first[0]
	if failed.GetStatusCode() != http.StatusBadGateway || failed.GetEvent() != "pull_request" || failed.GetAction() != "opened" {
		t.Errorf("failed delivery is %v", failed)
	}
	full := got[*github.HookDelivery](t)(jwt.Apps.GetHookDelivery(t.Context(), failed.GetID()))
	if ev := must[any](t)(full.ParseRequestPayload()).(*github.PullRequestEvent); ev.GetNumber() != 1 {
		t.Errorf("stored payload is %v", ev)
	}
	_, _, err = jwt.Apps.RedeliverHookDelivery(t.Context(), failed.GetID())
	if accepted := new(github.AcceptedError); err != nil && !asError(err, &accepted) {
		t.Fatal(err)
	}
	w.wait()
	again := got[[]*github.HookDelivery](t)(jwt.Apps.ListHookDeliveries(t.Context(), &github.ListCursorOptions{PerPage: 1}))[0]
	if again.GetGUID() != failed.GetGUID() || !again.GetRedelivery() || again.GetID() == failed.GetID() || again.GetStatusCode() != 202 {
		t.Errorf("redelivery is %v", again)
	}
	if a := hooks.all(); a[len(a)-1].guid != failed.GetGUID() {
		t.Errorf("redelivered under %s, want %s", a[len(a)-1].guid, failed.GetGUID())
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	id := w.repo.AddHook("http://127.0.0.1:1/none", "x")
	w.wait()
	ds := w.repo.Deliveries(id)
	if len(ds) != 1 || ds[0].StatusCode != 0 || ds[0].Status != "failed to connect to host" {
		t.Errorf("deliveries are %+v", ds)
	}
}
