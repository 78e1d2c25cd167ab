package forgetest_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

func TestProtectionGatesMerges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app, bot := w.app("")
	stranger := must[*forgetest.App](t)(w.srv.CreateApp("stranger", forgetest.AppOptions{}))
	forger := w.client(stranger.Install(w.repo).Token())
	w.repo.Protect("main", forgetest.Protection{
		Checks: []forgetest.RequiredCheck{{Context: "shepherd/approval", AppID: app.ID()}}, Approvals: 1,
	})
	p := w.pull("redis")
	report := func(c *github.Client, conclusion string) {
		t.Helper()
		got[*github.CheckRun](t)(c.Checks.CreateCheckRun(t.Context(), "acme", "vms", github.CreateCheckRunOptions{
			Name: "shepherd/approval", HeadSHA: p.HeadSHA(), Conclusion: &conclusion,
		}))
	}
	refused := func(text string) {
		t.Helper()
		_, err := w.bob.Merge(p, "merge")
		wantRefusal(t, err, 405, text)
		if p.Mergeable() != "blocked" {
			t.Errorf("mergeable is %s", p.Mergeable())
		}
	}
	refused(`"shepherd/approval" is expected`)
	report(forger, "success")
	refused(`"shepherd/approval" is expected`)
	report(bot, "action_required")
	refused(`"shepherd/approval" is failing`)
	report(bot, "neutral")
	refused("1 approving review")
	do(t, second(w.guest.Approve(p)))
	refused("1 approving review")
	do(t, second(w.bob.Approve(p)), second(w.root.RequestChanges(p, "no")))
	refused("requested changes")
	do(t, second(w.root.Approve(p)))
	if diff := cmp.Diff([]string(nil), p.Blockers()); diff != "" || p.Mergeable() != "clean" {
		t.Errorf("blockers (-want +got):\n%s", diff)
	}
	do(t, second(w.bob.Merge(p, "squash")))
}

func TestAdminsBypass(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo.Protect("main", forgetest.Protection{Approvals: 2, EnforceAdmins: true})
	p := w.pull("redis")
	_, err := w.root.MergeBypassing(p, "merge")
	wantRefusal(t, err, 405, "2 approving review")
	w.repo.Protect("main", forgetest.Protection{Approvals: 2})
	_, err = w.root.Merge(p, "merge")
	wantRefusal(t, err, 405, "2 approving review")
	_, err = w.bob.MergeBypassing(p, "merge")
	wantRefusal(t, err, 405, "2 approving review")
	do(t, second(w.root.MergeBypassing(p, "merge")))
}

func TestProtectionIsReadable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app, bot := w.app("")
	_, _, err := bot.Repositories.GetBranchProtection(t.Context(), "acme", "vms", "main")
	if err == nil || !strings.Contains(err.Error(), "not protected") {
		t.Errorf("unprotected branch: %v", err)
	}
	w.repo.Protect("main", forgetest.Protection{
		Checks: []forgetest.RequiredCheck{{Context: "v", AppID: app.ID()}}, Strict: true, Approvals: 1, DismissStale: true, EnforceAdmins: true,
	})
	p := got[*github.Protection](t)(bot.Repositories.GetBranchProtection(t.Context(), "acme", "vms", "main"))
	check := (*p.GetRequiredStatusChecks().Checks)[0]
	if check.Context != "v" || check.GetAppID() != app.ID() || !p.RequiredStatusChecks.Strict || !p.EnforceAdmins.Enabled ||
		!p.RequiredPullRequestReviews.DismissStaleReviews || p.RequiredPullRequestReviews.RequiredApprovingReviewCount != 1 {
		t.Errorf("protection is %+v", p)
	}
	br := got[*github.Branch](t)(bot.Repositories.GetBranch(t.Context(), "acme", "vms", "main", 0))
	if !br.GetProtected() || br.GetCommit().GetSHA() != w.repo.Head("main") {
		t.Errorf("branch is %v", br)
	}
}

func TestRulesetsAreReadable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app, bot := w.app("")
	rules := *got[*[]*github.RepositoryRule](t)(listRules(t, bot, "main"))
	if len(rules) != 0 {
		t.Errorf("no ruleset: %v", rules)
	}
	w.repo.Protect("main", forgetest.Protection{
		Checks: []forgetest.RequiredCheck{{Context: "v", AppID: app.ID()}, {Context: "w"}}, Strict: true, DismissStale: true, Ruleset: true,
	})
	var kinds []string
	for _, r := range *got[*[]*github.RepositoryRule](t)(listRules(t, bot, "main")) {
		kinds = append(kinds, r.Type)
	}
	if want := []string{"deletion", "non_fast_forward", "pull_request", "required_status_checks"}; !slices.Equal(kinds, want) {
		t.Errorf("got %v, want %v", kinds, want)
	}
	_, _, err := bot.Repositories.GetBranchProtection(t.Context(), "acme", "vms", "main")
	if err == nil || !strings.Contains(err.Error(), "not protected") {
		t.Errorf("a ruleset is no branch protection: %v", err)
	}
}

func listRules(t *testing.T, bot *github.Client, branch string) (*[]*github.RepositoryRule, *github.Response, error) {
	rules, resp, err := bot.Repositories.GetRulesForBranch(t.Context(), "acme", "vms", branch)
	return &rules, resp, err
}

func TestPushesToProtectedBranches(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo.Protect("main", forgetest.Protection{Approvals: 1})
	before := w.repo.Head("main")
	dir := filepath.Join(t.TempDir(), "bob")
	mustGit(t, ".", "clone", "-q", w.repo.CloneURLFor(w.bob), dir)
	mustGit(t, dir, "commit", "-q", "--allow-empty", "-m", "past the review")
	out, err := git(t, dir, "push", "origin", "main")
	if err == nil || !strings.Contains(out, "protected branch hook declined") || !strings.Contains(out, "GH006") {
		t.Fatalf("push ended with %v\n%s", err, out)
	}
	if w.repo.Head("main") != before {
		t.Error("main has moved")
	}
	_, err = w.bob.Commit(w.repo, "main", "", forgetest.Files{"x": []byte("x")}, "past the review")
	wantRefusal(t, err, 422, "Protected branch update failed")
	mustGit(t, dir, "push", "-q", w.repo.CloneURLFor(w.root), "main")
	if w.repo.Head("main") == before {
		t.Error("the administrator's push did not arrive")
	}
	out, err = git(t, dir, "push", w.repo.CloneURLFor(w.root), ":main")
	if err == nil {
		t.Errorf("main could be deleted: %s", out)
	}
}

func TestStaleApprovalsAreDismissedOnPush(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hooks := newReceiver(t, "x")
	w.repo.AddHook(hooks.url, "x", "pull_request_review")
	w.repo.Protect("main", forgetest.Protection{Approvals: 1, DismissStale: true})
	p := w.pull("redis")
	do(t, second(w.bob.Approve(p)))
	w.commit(w.alice, "redis", "redis.yaml", "changed\n")
	w.wait()
	if rv := p.Reviews()[0]; rv.State != "DISMISSED" {
		t.Errorf("review is %s", rv.State)
	}
	ev := last[*github.PullRequestReviewEvent](t, hooks)
	if ev.GetAction() != "dismissed" || ev.GetReview().GetState() != "dismissed" || ev.GetSender().GetLogin() != "alice" {
		t.Errorf("event is %s %s by %s", ev.GetAction(), ev.GetReview().GetState(), ev.GetSender().GetLogin())
	}
}

func TestReviewsKeepOrFollowTheirCommit(t *testing.T) {
	t.Parallel()
	for name, follow := range map[string]bool{"keep": false, "follow": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.srv.RepointReviews(follow)
			p := w.pull("redis")
			rv := must[forgetest.Review](t)(w.bob.Approve(p))
			same := forgetest.Files{"redis.yaml": []byte("name: redis\n")}
			do(t, second(w.alice.ForcePush(w.repo, "redis", "main", same, "the same, said better")))
			want := rv.CommitID
			if follow {
				want = p.HeadSHA()
			}
			if got := p.Reviews()[0]; got.CommitID != want || got.State != "APPROVED" {
				t.Errorf("review is %+v, want commit %s", got, want)
			}
		})
	}
}

// Another base brings other changes: what was approved is not what would be merged.
func TestStaleApprovalsAreDismissedByARetarget(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.commit(w.root, "next", "n.yaml", "n\n")
	w.repo.Protect("main", forgetest.Protection{DismissStale: true})
	w.repo.Protect("next", forgetest.Protection{DismissStale: true})
	do(t, second(w.alice.Commit(w.repo, "redis", "next", forgetest.Files{"redis.yaml": []byte("r\n")}, "r")))
	p := must[*forgetest.Pull](t)(w.alice.OpenPull(w.repo, "redis", "redis", "next", "", false))
	do(t, second(w.bob.Approve(p)), w.alice.EditPull(p, "another title", ""))
	if rv := p.Reviews()[0]; rv.State != "APPROVED" {
		t.Errorf("after an edit the review is %s", rv.State)
	}
	do(t, w.alice.Retarget(p, "main"))
	if rv := p.Reviews()[0]; rv.State != "DISMISSED" {
		t.Errorf("review is %s", rv.State)
	}
}
