package forgetest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

func TestReviewsByREST(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull("redis")
	c := w.as(w.bob).PullRequests
	review := func(c *github.PullRequestsService, event, body string) (*github.PullRequestReview, error) {
		r, _, err := c.CreateReview(t.Context(), "acme", "vms", 1, &github.PullRequestReviewRequest{Event: &event, Body: &body})
		return r, err
	}
	_, err := review(w.as(w.alice).PullRequests, "APPROVE", "")
	wantStatus(t, err, 422, "Can not approve your own pull request")
	_, err = review(c, "REQUEST_CHANGES", "")
	wantStatus(t, err, 422, "Body is required")
	_, err = review(c, "SHRUG", "")
	wantStatus(t, err, 422, "invalid value")
	_, _, err = c.CreateReview(t.Context(), "acme", "vms", 1, &github.PullRequestReviewRequest{Event: github.String("APPROVE"), CommitID: github.String("beef")})
	wantStatus(t, err, 422, "not part of the pull request")

	pending := got[*github.PullRequestReview](t)(c.CreateReview(t.Context(), "acme", "vms", 1, &github.PullRequestReviewRequest{Body: github.String("draft")}))
	if pending.GetState() != "PENDING" || pending.SubmittedAt != nil {
		t.Errorf("pending review is %v", pending)
	}
	if n := len(got[[]*github.PullRequestReview](t)(w.as(w.alice).PullRequests.ListReviews(t.Context(), "acme", "vms", 1, nil))); n != 0 {
		t.Errorf("others see %d pending reviews", n)
	}
	done := got[*github.PullRequestReview](t)(c.SubmitReview(t.Context(), "acme", "vms", 1, pending.GetID(), &github.PullRequestReviewRequest{Event: github.String("APPROVE")}))
	if done.GetState() != "APPROVED" || done.GetCommitID() != p.HeadSHA() || done.GetBody() != "draft" {
		t.Errorf("submitted review is %v", done)
	}
	_, _, err = w.as(w.guest).PullRequests.DismissReview(t.Context(), "acme", "vms", 1, done.GetID(), &github.PullRequestReviewDismissalRequest{Message: github.String("x")})
	wantStatus(t, err, 403, "write rights")
	gone := got[*github.PullRequestReview](t)(w.as(w.root).PullRequests.DismissReview(t.Context(), "acme", "vms", 1, done.GetID(), &github.PullRequestReviewDismissalRequest{Message: github.String("x")}))
	if gone.GetState() != "DISMISSED" {
		t.Errorf("dismissed review is %v", gone)
	}
	edited := got[*github.PullRequestReview](t)(c.UpdateReview(t.Context(), "acme", "vms", 1, done.GetID(), "better words"))
	if edited.GetBody() != "better words" {
		t.Errorf("edited review is %v", edited)
	}
	got[*github.PullRequestReview](t)(c.GetReview(t.Context(), "acme", "vms", 1, done.GetID()))
	line := got[*github.PullRequestComment](t)(c.CreateComment(t.Context(), "acme", "vms", 1, &github.PullRequestComment{
		Body: github.String("why?"), Path: github.String("redis.yaml"), Line: github.Int(1), CommitID: github.String(p.HeadSHA()),
	}))
	if got := got[[]*github.PullRequestComment](t)(c.ListComments(t.Context(), "acme", "vms", 1, nil)); len(got) != 1 || got[0].GetID() != line.GetID() {
		t.Errorf("line comments are %v", got)
	}
}

func TestReviewsAfterMerge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull("redis")
	do(t, second(w.bob.Merge(p, "merge")))
	_, err := w.bob.Approve(p)
	wantRefusal(t, err, 422, "comments only")
	do(t, second(w.bob.ReviewComment(p, "too late")))
	r := got[*github.PullRequestReview](t)(w.as(w.bob).PullRequests.CreateReview(t.Context(), "acme", "vms", 1, &github.PullRequestReviewRequest{Event: github.String("APPROVE")}))
	if r.GetState() != "APPROVED" {
		t.Errorf("review by REST is %v", r)
	}
}

func TestReviewRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull("redis")
	org := w.srv.Organization("acme")
	team := org.Team("platform")
	team.Add(w.bob)
	team.Grant(w.repo, "write")
	org.Team("elsewhere")
	_, bot := w.app("")
	c := bot.PullRequests
	pr := got[*github.PullRequest](t)(c.RequestReviewers(t.Context(), "acme", "vms", 1, github.ReviewersRequest{Reviewers: []string{"bob", "root"}, TeamReviewers: []string{"platform"}}))
	if len(pr.RequestedReviewers) != 2 || len(pr.RequestedTeams) != 1 {
		t.Errorf("requested are %v, %v", pr.RequestedReviewers, pr.RequestedTeams)
	}
	for name, tc := range map[string]struct {
		ask  github.ReviewersRequest
		text string
	}{
		"author":         {github.ReviewersRequest{Reviewers: []string{"root", "alice"}}, "author"},
		"nobody":         {github.ReviewersRequest{Reviewers: []string{"nobody"}}, "collaborators"},
		"a passer-by":    {github.ReviewersRequest{Reviewers: []string{"guest"}}, "collaborators"},
		"a bot":          {github.ReviewersRequest{Reviewers: []string{"shepherd[bot]"}}, "collaborators"},
		"team elsewhere": {github.ReviewersRequest{TeamReviewers: []string{"elsewhere"}}, "collaborators"},
		"no team":        {github.ReviewersRequest{TeamReviewers: []string{"nowhere"}}, "Could not resolve"},
	} {
		_, _, err := c.RequestReviewers(t.Context(), "acme", "vms", 1, tc.ask)
		wantStatus(t, err, 422, tc.text)
		if again := p.RequestedReviewers(); len(again) != 2 {
			t.Errorf("%s: requested are %v", name, again)
		}
	}
	same := got[*github.PullRequest](t)(c.RequestReviewers(t.Context(), "acme", "vms", 1, github.ReviewersRequest{Reviewers: []string{"bob"}}))
	if len(same.RequestedReviewers) != 2 {
		t.Errorf("asked twice: %v", same.RequestedReviewers)
	}
	do(t, second(w.bob.Approve(p)), second(c.RemoveReviewers(t.Context(), "acme", "vms", 1, github.ReviewersRequest{Reviewers: []string{"root"}, TeamReviewers: []string{"platform"}})))
	left := got[*github.Reviewers](t)(c.ListReviewers(t.Context(), "acme", "vms", 1, nil))
	if len(left.Users)+len(left.Teams) != 0 {
		t.Errorf("still requested: %v", left)
	}
}

func TestCommentsByREST(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull("redis")
	_, bot := w.app("")
	cm := got[*github.IssueComment](t)(bot.Issues.CreateComment(t.Context(), "acme", "vms", 1, &github.IssueComment{Body: github.String("plan")}))
	if cm.GetUser().GetLogin() != "shepherd[bot]" || cm.GetUser().GetType() != "Bot" {
		t.Errorf("comment by %v", cm.GetUser())
	}
	for body, text := range map[string]string{"": "blank", strings.Repeat("é", 65537): "too long"} {
		_, _, err := bot.Issues.CreateComment(t.Context(), "acme", "vms", 1, &github.IssueComment{Body: &body})
		wantStatus(t, err, 422, text)
	}
	most := strings.Repeat("é", 65536)
	got[*github.IssueComment](t)(bot.Issues.EditComment(t.Context(), "acme", "vms", cm.GetID(), &github.IssueComment{Body: &most}))
	_, _, err := w.as(w.guest).Issues.EditComment(t.Context(), "acme", "vms", cm.GetID(), &github.IssueComment{Body: github.String("forged")})
	wantStatus(t, err, 403, "write rights")
	got[*github.IssueComment](t)(w.as(w.bob).Issues.EditComment(t.Context(), "acme", "vms", cm.GetID(), &github.IssueComment{Body: github.String("writers can")}))
	if c := p.CommentsBy("shepherd[bot]"); len(c) != 1 || c[0].Body != "writers can" || c[0].Edits != 2 {
		t.Errorf("comments are %+v", c)
	}
	r := got[*github.Reaction](t)(bot.Reactions.CreateIssueCommentReaction(t.Context(), "acme", "vms", cm.GetID(), "eyes"))
	same := got[*github.Reaction](t)(bot.Reactions.CreateIssueCommentReaction(t.Context(), "acme", "vms", cm.GetID(), "eyes"))
	if r.GetID() != same.GetID() {
		t.Error("the same reaction was stored twice")
	}
	_, _, err = bot.Reactions.CreateIssueCommentReaction(t.Context(), "acme", "vms", cm.GetID(), "shrug")
	wantStatus(t, err, 422, "content")
	if n := len(got[[]*github.Reaction](t)(bot.Reactions.ListIssueCommentReactions(t.Context(), "acme", "vms", cm.GetID(), nil))); n != 1 {
		t.Errorf("%d reactions", n)
	}
	do(t, second(bot.Reactions.DeleteIssueCommentReaction(t.Context(), "acme", "vms", cm.GetID(), r.GetID())))
	got[*github.Reaction](t)(bot.Reactions.CreateIssueReaction(t.Context(), "acme", "vms", 1, "rocket"))
	do(t, second(bot.Issues.DeleteComment(t.Context(), "acme", "vms", cm.GetID())))
	_, _, err = bot.Issues.GetComment(t.Context(), "acme", "vms", cm.GetID())
	wantStatus(t, err, 404, "Not Found")
}

func TestIssuesShareNumbers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pull("redis")
	c := w.as(w.bob).Issues
	is := got[*github.Issue](t)(c.Create(t.Context(), "acme", "vms", &github.IssueRequest{Title: github.String("broken"), Labels: &[]string{"bug"}}))
	if is.GetNumber() != 2 || is.IsPullRequest() || len(is.Labels) != 1 {
		t.Errorf("issue is %v", is)
	}
	if pr := got[*github.Issue](t)(c.Get(t.Context(), "acme", "vms", 1)); !pr.IsPullRequest() {
		t.Errorf("issue 1 is %v", pr)
	}
	got[[]*github.Label](t)(c.AddLabelsToIssue(t.Context(), "acme", "vms", 1, []string{"urgent", "bug"}))
	do(t, second(c.RemoveLabelForIssue(t.Context(), "acme", "vms", 1, "bug")))
	if labels := w.repo.Pull(1).Labels(); len(labels) != 1 || labels[0] != "urgent" {
		t.Errorf("labels are %v", labels)
	}
	shut := got[*github.Issue](t)(c.Edit(t.Context(), "acme", "vms", 2, &github.IssueRequest{State: github.String("closed")}))
	if shut.GetState() != "closed" || shut.GetClosedAt().IsZero() {
		t.Errorf("closed issue is %v", shut)
	}
	if n := len(got[[]*github.Issue](t)(c.ListByRepo(t.Context(), "acme", "vms", nil))); n != 1 {
		t.Errorf("%d open issues", n)
	}
}

func TestCheckRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app, bot := w.app("")
	p := w.pull("redis")
	note := &github.CheckRunAnnotation{Path: github.String("redis.yaml"), StartLine: github.Int(1), EndLine: github.Int(1),
		AnnotationLevel: github.String("failure"), Message: github.String("wrong"), Title: github.String("NAME_INVALID")}
	output := func(n int) *github.CheckRunOutput {
		out := &github.CheckRunOutput{Title: github.String("t"), Summary: github.String("s")}
		for range n {
			out.Annotations = append(out.Annotations, note)
		}
		return out
	}
	opts := github.CreateCheckRunOptions{Name: "shepherd/validate", HeadSHA: p.HeadSHA(), Status: github.String("in_progress"), Output: output(50)}
	_, _, err := w.as(w.root).Checks.CreateCheckRun(t.Context(), "acme", "vms", opts)
	wantStatus(t, err, 403, "GitHub App")
	run := got[*github.CheckRun](t)(bot.Checks.CreateCheckRun(t.Context(), "acme", "vms", opts))
	tooMany := opts
	tooMany.Output = output(51)
	_, _, err = bot.Checks.CreateCheckRun(t.Context(), "acme", "vms", tooMany)
	wantStatus(t, err, 422, "50 annotations")
	got[*github.CheckRun](t)(bot.Checks.UpdateCheckRun(t.Context(), "acme", "vms", run.GetID(), github.UpdateCheckRunOptions{
		Name: "shepherd/validate", Conclusion: github.String("failure"), Output: output(7),
	}))
	check, found := p.Check("shepherd/validate")
	if !found || len(check.Annotations) != 57 || check.Conclusion != "failure" || check.Annotations[0].Title != "NAME_INVALID" {
		t.Errorf("check is %+v", check)
	}
	notes := got[[]*github.CheckRunAnnotation](t)(bot.Checks.ListCheckRunAnnotations(t.Context(), "acme", "vms", run.GetID(), &github.ListOptions{PerPage: 100}))
	if len(notes) != 57 {
		t.Errorf("%d annotations", len(notes))
	}
	_, _, err = bot.Checks.UpdateCheckRun(t.Context(), "acme", "vms", run.GetID(), github.UpdateCheckRunOptions{Name: "v", Status: github.String("completed")})
	wantStatus(t, err, 422, "conclusion")
	_, _, err = bot.Checks.CreateCheckRun(t.Context(), "acme", "vms", github.CreateCheckRunOptions{Name: "v", HeadSHA: strings.Repeat("1", 40)})
	wantStatus(t, err, 422, "No commit found")
	other := must[*forgetest.App](t)(w.srv.CreateApp("other", forgetest.AppOptions{}))
	_, _, err = w.client(other.Install(w.repo).Token()).Checks.UpdateCheckRun(t.Context(), "acme", "vms", run.GetID(), github.UpdateCheckRunOptions{Name: "v"})
	wantStatus(t, err, 403, "created it")
	checkLists(t, w, app, bot, run)
}

// checkLists adds a newer run of the same name and looks at the lists.
func checkLists(t *testing.T, w *world, app *forgetest.App, bot *github.Client, run *github.CheckRun) {
	t.Helper()
	p := w.repo.Pull(1)
	newer := got[*github.CheckRun](t)(bot.Checks.CreateCheckRun(t.Context(), "acme", "vms", github.CreateCheckRunOptions{Name: "shepherd/validate", HeadSHA: p.HeadSHA(), Conclusion: github.String("success")}))
	for filter, want := range map[string][]int64{"": {newer.GetID()}, "latest": {newer.GetID()}, "all": {newer.GetID(), run.GetID()}} {
		list := got[*github.ListCheckRunsResults](t)(bot.Checks.ListCheckRunsForRef(t.Context(), "acme", "vms", "redis", &github.ListCheckRunsOptions{Filter: optional(filter), AppID: github.Int64(app.ID())}))
		var ids []int64
		for _, r := range list.CheckRuns {
			ids = append(ids, r.GetID())
		}
		if diff := cmp.Diff(want, ids); diff != "" || list.GetTotal() != len(want) {
			t.Errorf("filter %q (-want +got):\n%s", filter, diff)
		}
	}
	if one := got[*github.CheckRun](t)(bot.Checks.GetCheckRun(t.Context(), "acme", "vms", newer.GetID())); len(one.PullRequests) != 1 || one.GetApp().GetID() != app.ID() {
		t.Errorf("check run is %v", one)
	}
	suites := got[*github.ListCheckSuiteResults](t)(bot.Checks.ListCheckSuitesForRef(t.Context(), "acme", "vms", p.HeadSHA(), nil))
	if suites.GetTotal() != 1 || suites.CheckSuites[0].GetConclusion() != "success" {
		t.Errorf("suites are %v", suites)
	}
	do(t, second(w.as(w.bob).Checks.ReRequestCheckRun(t.Context(), "acme", "vms", newer.GetID())))
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull("redis")
	c := w.as(w.bob).Repositories
	set := func(name, state string) error {
		_, _, err := c.CreateStatus(t.Context(), "acme", "vms", p.HeadSHA(), &github.RepoStatus{Context: &name, State: &state})
		return err
	}
	combined := func() string {
		return got[*github.CombinedStatus](t)(c.GetCombinedStatus(t.Context(), "acme", "vms", "redis", nil)).GetState()
	}
	if s := combined(); s != "pending" {
		t.Errorf("without statuses: %s", s)
	}
	do(t, set("a", "success"), set("b", "failure"))
	if s := combined(); s != "failure" {
		t.Errorf("with a failure: %s", s)
	}
	do(t, set("b", "success"))
	if s := combined(); s != "success" || len(p.Statuses()) != 2 {
		t.Errorf("in the end: %s, %v", s, p.Statuses())
	}
	wantStatus(t, set("b", "great"), 422, "not included in the list")
	if n := len(got[[]*github.RepoStatus](t)(c.ListStatuses(t.Context(), "acme", "vms", p.HeadSHA(), nil))); n != 3 {
		t.Errorf("%d statuses", n)
	}
	_, _, err := w.as(w.guest).Repositories.CreateStatus(t.Context(), "acme", "vms", p.HeadSHA(), &github.RepoStatus{State: github.String("success")})
	wantStatus(t, err, 403, "write rights")
}

func TestDeployments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, bot := w.app("")
	c := bot.Repositories
	d := got[*github.Deployment](t)(c.CreateDeployment(t.Context(), "acme", "vms", &github.DeploymentRequest{
		Ref: github.String("main"), Environment: github.String("test"), RequiredContexts: &[]string{}, Payload: map[string]string{"vm": "x"},
	}))
	if d.GetSHA() != w.repo.Head("main") || d.GetCreator().GetLogin() != "shepherd[bot]" {
		t.Errorf("deployment is %v", d)
	}
	for _, state := range []string{"in_progress", "success"} {
		got[*github.DeploymentStatus](t)(c.CreateDeploymentStatus(t.Context(), "acme", "vms", d.GetID(), &github.DeploymentStatusRequest{State: &state}))
	}
	st := got[[]*github.DeploymentStatus](t)(c.ListDeploymentStatuses(t.Context(), "acme", "vms", d.GetID(), nil))
	if len(st) != 2 || st[0].GetState() != "success" {
		t.Errorf("statuses are %v", st)
	}
	if n := len(got[[]*github.Deployment](t)(c.ListDeployments(t.Context(), "acme", "vms", &github.DeploymentsListOptions{Environment: "prod"}))); n != 0 {
		t.Errorf("%d deployments to prod", n)
	}
	_, _, err := c.CreateDeployment(t.Context(), "acme", "vms", &github.DeploymentRequest{Ref: github.String("nothing")})
	wantStatus(t, err, 422, "No ref found")
	_, _, err = c.CreateDeploymentStatus(t.Context(), "acme", "vms", d.GetID(), &github.DeploymentStatusRequest{State: github.String("great")})
	wantStatus(t, err, 422, "not included")
	got[*github.RepoStatus](t)(c.CreateStatus(t.Context(), "acme", "vms", w.repo.Head("main"), &github.RepoStatus{State: github.String("failure")}))
	_, _, err = c.CreateDeployment(t.Context(), "acme", "vms", &github.DeploymentRequest{Ref: github.String("main")})
	if err == nil || !strings.Contains(fmt.Sprint(err), "409") {
		t.Errorf("deployment with a failing status: %v", err)
	}
}

// A deployment that succeeds makes the earlier ones to its environment inactive, unless they are to production or it
// is asked not to.
func TestDeploymentsBecomeInactive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, bot := w.app("")
	c := bot.Repositories
	deploy := func(production bool) int64 {
		return got[*github.Deployment](t)(c.CreateDeployment(t.Context(), "acme", "vms", &github.DeploymentRequest{
			Ref: github.String("main"), Environment: github.String("test"), RequiredContexts: &[]string{}, ProductionEnvironment: &production,
		})).GetID()
	}
	succeed := func(id int64, inactive *bool) {
		got[*github.DeploymentStatus](t)(c.CreateDeploymentStatus(t.Context(), "acme", "vms", id, &github.DeploymentStatusRequest{
			State: github.String("success"), LogURL: github.String("https://log.test"), AutoInactive: inactive,
		}))
	}
	states := func() (out []string) {
		for _, d := range w.repo.Deployments() {
			out = append(out, d.Statuses[len(d.Statuses)-1].State)
		}
		return out
	}
	succeed(deploy(false), nil)
	succeed(deploy(true), nil)
	if diff := cmp.Diff([]string{"inactive", "success"}, states()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	succeed(deploy(false), github.Bool(false))
	succeed(deploy(false), nil)
	if diff := cmp.Diff([]string{"inactive", "success", "inactive", "success"}, states()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if s := w.repo.Deployments()[0].Statuses[0]; s.LogURL != "https://log.test" {
		t.Errorf("status %+v", s)
	}
}

// optional leaves a parameter out that is empty.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
