package forgetest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/forgetest/published"
)

func TestAppByREST(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hooks := newReceiver(t, "first")
	app := must[*forgetest.App](t)(w.srv.CreateApp("shepherd", forgetest.AppOptions{ID: 4242, Events: []string{"issue_comment"}}))
	inst := app.InstallOn(w.srv.Organization("acme"))
	app.SetHook(hooks.url, "first")
	w.wait()
	c := w.client(signJWT(t, app, w.now(), time.Minute)).Apps
	me := got[*github.App](t)(c.Get(t.Context(), ""))
	if me.GetID() != 4242 || me.GetSlug() != "shepherd" || me.GetPermissions().GetChecks() != "write" {
		t.Errorf("app is %v", me)
	}
	list := got[[]*github.Installation](t)(c.ListInstallations(t.Context(), nil))
	one := got[*github.Installation](t)(c.GetInstallation(t.Context(), inst.ID()))
	of := got[*github.Installation](t)(c.FindOrganizationInstallation(t.Context(), "acme"))
	if len(list) != 1 || one.GetID() != inst.ID() || of.GetID() != inst.ID() || one.GetRepositorySelection() != "all" {
		t.Errorf("installations are %v, %v, %v", list, one, of)
	}
	_, _, err := c.GetInstallation(t.Context(), 9)
	wantStatus(t, err, 404, "Not Found")
	cfg := got[*github.HookConfig](t)(c.GetHookConfig(t.Context()))
	if cfg.GetURL() != hooks.url || cfg.GetSecret() != "********" {
		t.Errorf("hook is %v", cfg)
	}
	next := newReceiver(t, "second")
	got[*github.HookConfig](t)(c.UpdateHookConfig(t.Context(), &github.HookConfig{URL: &next.url, Secret: github.String("second")}))
	p := w.pull("redis")
	do(t, second(w.bob.Comment(p, "where do I go?")))
	w.wait()
	if diff := cmp.Diff([][]string{{"ping"}, {"issue_comment.created"}}, [][]string{hooks.names(), next.names()}); diff != "" {
		t.Errorf("arrivals (-want +got):\n%s", diff)
	}
	last := app.Deliveries()[len(app.Deliveries())-1]
	if !app.Redeliver(last.ID) || app.Redeliver(1) {
		t.Error("redelivery is wrong about what there is")
	}
	w.wait()
	if a := next.all(); len(a) != 2 || a[0].guid != a[1].guid {
		t.Errorf("after redelivery: %v", next.names())
	}
	token := w.client(inst.Token())
	do(t, second(token.Apps.RevokeInstallationToken(t.Context())))
	_, _, err = token.Repositories.Get(t.Context(), "acme", "vms")
	wantStatus(t, err, 401, "Bad credentials")
	inst.SetPermissions(map[string]string{"metadata": "read"})
	_, _, err = w.client(inst.Token()).PullRequests.Get(t.Context(), "acme", "vms", 1)
	wantStatus(t, err, 403, "not accessible by integration")
}

func TestHooksByREST(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hooks := newReceiver(t, "x")
	id := w.repo.AddHook(hooks.url, "x", "push")
	c := w.as(w.root).Repositories
	if list := got[[]*github.Hook](t)(c.ListHooks(t.Context(), "acme", "vms", nil)); len(list) != 1 || list[0].GetID() != id {
		t.Errorf("hooks are %v", list)
	}
	if h := got[*github.Hook](t)(c.GetHook(t.Context(), "acme", "vms", id)); !h.GetActive() || h.GetConfig().GetURL() != hooks.url {
		t.Errorf("hook is %v", h)
	}
	do(t, second(c.PingHook(t.Context(), "acme", "vms", id)))
	w.wait()
	if diff := cmp.Diff([]string{"ping", "ping"}, hooks.names()); diff != "" {
		t.Errorf("arrivals (-want +got):\n%s", diff)
	}
	d := got[[]*github.HookDelivery](t)(c.ListHookDeliveries(t.Context(), "acme", "vms", id, nil))
	got[*github.HookDelivery](t)(c.GetHookDelivery(t.Context(), "acme", "vms", id, d[0].GetID()))
	_, _, err := c.GetHookDelivery(t.Context(), "acme", "vms", id, 1)
	wantStatus(t, err, 404, "Not Found")
	_, _, err = c.GetHook(t.Context(), "acme", "vms", 1)
	wantStatus(t, err, 404, "Not Found")
	_, _, err = w.as(w.bob).Repositories.ListHooks(t.Context(), "acme", "vms", nil)
	wantStatus(t, err, 403, "admin rights")
}

func TestMembersByREST(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	org := w.srv.Organization("acme")
	org.SetMember(w.bob, "admin")
	org.SetMember(w.alice, "member")
	org.SetBasePermission("triage")
	carol := w.srv.UserWithID("carol", 31337)
	if carol.ID() != 31337 || carol.Login() != "carol" || w.srv.User("carol").ID() != 31337 {
		t.Errorf("carol is %d", carol.ID())
	}
	c := w.as(w.bob)
	if me := got[*github.User](t)(c.Users.Get(t.Context(), "")); me.GetLogin() != "bob" {
		t.Errorf("I am %v", me)
	}
	got[*github.Organization](t)(c.Organizations.GetByID(t.Context(), org.ID()))
	admins := got[[]*github.User](t)(c.Organizations.ListMembers(t.Context(), "acme", &github.ListMembersOptions{Role: "admin"}))
	if len(admins) != 1 || admins[0].GetLogin() != "bob" {
		t.Errorf("administrators are %v", admins)
	}
	for login, want := range map[string]bool{"alice": true, "guest": false} {
		if is := got[bool](t)(c.Organizations.IsMember(t.Context(), "acme", login)); is != want {
			t.Errorf("%s is a member: %v", login, is)
		}
	}
	for login, want := range map[string]bool{"root": true, "alice": true, "guest": false} {
		if is := got[bool](t)(c.Repositories.IsCollaborator(t.Context(), "acme", "vms", login)); is != want {
			t.Errorf("%s is a collaborator: %v", login, is)
		}
	}
	if n := len(got[[]*github.User](t)(c.Repositories.ListCollaborators(t.Context(), "acme", "vms", nil))); n != 3 {
		t.Errorf("%d collaborators", n)
	}
	org.Team("platform")
	if n := len(got[[]*github.Team](t)(c.Teams.ListTeams(t.Context(), "acme", nil))); n != 1 {
		t.Errorf("%d teams", n)
	}
	other := must[*forgetest.Repository](t)(w.srv.CreateRepository("acme", "other", forgetest.RepositoryOptions{Private: true}))
	if a, b, g := other.Permission(w.alice), other.Permission(w.bob), other.Permission(w.guest); a != "triage" || b != "admin" || g != "none" {
		t.Errorf("permissions are %s, %s, %s", a, b, g)
	}
	meta := got[*github.APIMeta](t)(c.Meta.Get(t.Context()))
	if len(meta.Hooks) == 0 {
		t.Errorf("meta is %v", meta)
	}
}

func TestSuitesAndButtons(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hooks := newReceiver(t, "s3cret")
	_, bot := w.app(hooks.url)
	p := w.pull("redis")
	run := got[*github.CheckRun](t)(bot.Checks.CreateCheckRun(t.Context(), "acme", "vms", github.CreateCheckRunOptions{
		Name: "v", HeadSHA: p.HeadSHA(), Conclusion: github.String("action_required"),
		Actions: []*github.CheckRunAction{{Label: "Retry", Description: "try again", Identifier: "retry"}},
	}))
	suite := run.GetCheckSuite().GetID()
	got[*github.CheckSuite](t)(bot.Checks.GetCheckSuite(t.Context(), "acme", "vms", suite))
	if l := got[*github.ListCheckRunsResults](t)(bot.Checks.ListCheckRunsCheckSuite(t.Context(), "acme", "vms", suite, nil)); l.GetTotal() != 1 {
		t.Errorf("suite has %v", l)
	}
	do(t, second(w.as(w.bob).Checks.ReRequestCheckSuite(t.Context(), "acme", "vms", suite)), w.bob.PressAction(p, "v", "retry"))
	wantRefusal(t, w.bob.PressAction(p, "v", "explode"), 404, "Not Found")
	wantRefusal(t, w.guest.PressAction(p, "v", "retry"), 403, "write rights")
	wantRefusal(t, w.bob.Rerun(p, "none"), 404, "Not Found")
	w.wait()
	if ev := last[*github.CheckRunEvent](t, hooks); ev.GetAction() != "requested_action" || ev.GetRequestedAction().Identifier != "retry" {
		t.Errorf("event is %v", ev)
	}
	if ev := last[*github.CheckSuiteEvent](t, hooks); ev.GetAction() != "rerequested" || ev.GetInstallation().GetID() == 0 {
		t.Errorf("event is %v", ev)
	}
}

func TestRequiredStatusFromAnApp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	app, bot := w.app("")
	w.repo.Protect("main", forgetest.Protection{Checks: []forgetest.RequiredCheck{{Context: "ci", AppID: app.ID()}}, Strict: true})
	p := w.pull("redis")
	set := func(c *github.Client, state string) {
		t.Helper()
		got[*github.RepoStatus](t)(c.Repositories.CreateStatus(t.Context(), "acme", "vms", p.HeadSHA(), &github.RepoStatus{Context: github.String("ci"), State: &state}))
	}
	for _, step := range []struct {
		client *github.Client
		state  string
		want   string
	}{{w.as(w.bob), "success", "blocked"}, {bot, "pending", "blocked"}, {bot, "failure", "blocked"}, {bot, "success", "clean"}} {
		set(step.client, step.state)
		if m := p.Mergeable(); m != step.want {
			t.Errorf("after %s it is %s, want %s", step.state, m, step.want)
		}
	}
	w.commit(w.root, "main", "elsewhere.yaml", "x\n")
	if m := p.Mergeable(); m != "behind" {
		t.Errorf("with a newer base it is %s", m)
	}
	_, err := w.bob.Merge(p, "merge")
	wantRefusal(t, err, 405, "behind the base")
}

func TestActivity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull("redis")
	first := p.HeadSHA()
	forced := must[string](t)(w.bob.ForcePush(w.repo, "redis", "main", forgetest.Files{"redis.yaml": []byte("2\n")}, "anew"))
	do(t, second(w.root.Merge(p, "squash")), w.alice.DeleteBranch(w.repo, "redis"))
	type line struct {
		Ref   string `json:"ref"`
		Kind  string `json:"activity_type"`
		Actor struct {
			Login string `json:"login"`
		} `json:"actor"`
		Before string `json:"before"`
		After  string `json:"after"`
	}
	ask := func(query string) (out []line) {
		t.Helper()
		c := w.as(w.alice)
		req := must[*http.Request](t)(c.NewRequest("GET", "repos/acme/vms/activity"+query, nil))
		do(t, second(c.Do(t.Context(), req, &out)))
		return out
	}
	var kinds []string
	for _, l := range ask("") {
		kinds = append(kinds, l.Kind+" by "+l.Actor.Login)
	}
	want := []string{"branch_deletion by alice", "pr_merge by root", "force_push by bob", "branch_creation by alice", "branch_creation by acme"}
	if diff := cmp.Diff(want, kinds); diff != "" {
		t.Errorf("activity (-want +got):\n%s", diff)
	}
	if l := ask("?ref=redis&actor=bob"); len(l) != 1 || l[0].Before != first || l[0].After != forced {
		t.Errorf("bob's pushes are %v", l)
	}
}

func TestIssueEdits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hooks := newReceiver(t, "x")
	w.repo.AddHook(hooks.url, "x", "issues", "pull_request")
	c := w.as(w.bob).Issues
	got[*github.Issue](t)(c.Create(t.Context(), "acme", "vms", &github.IssueRequest{Title: github.String("a"), Body: github.String("b")}))
	got[*github.Issue](t)(c.Edit(t.Context(), "acme", "vms", 1, &github.IssueRequest{Title: github.String("A"), State: github.String("closed")}))
	got[*github.Issue](t)(c.Edit(t.Context(), "acme", "vms", 1, &github.IssueRequest{State: github.String("open")}))
	_, _, err := w.as(w.guest).Issues.Edit(t.Context(), "acme", "vms", 1, &github.IssueRequest{Title: github.String("x")})
	wantStatus(t, err, 403, "triage rights")
	got[[]*github.Label](t)(c.AddLabelsToIssue(t.Context(), "acme", "vms", 1, []string{"bug"}))
	if l := got[[]*github.Label](t)(c.ListLabelsByIssue(t.Context(), "acme", "vms", 1, nil)); len(l) != 1 || l[0].GetName() != "bug" {
		t.Errorf("labels are %v", l)
	}
	w.pull("redis")
	got[*github.Issue](t)(c.Edit(t.Context(), "acme", "vms", 2, &github.IssueRequest{State: github.String("closed")}))
	if s := w.repo.Pull(2).State(); s != "closed" {
		t.Errorf("the pull request is %s", s)
	}
	w.wait()
	want := []string{"ping", "issues.opened", "issues.edited", "issues.closed", "issues.reopened", "issues.labeled", "pull_request.opened", "pull_request.closed"}
	if diff := cmp.Diff(want, hooks.names()); diff != "" {
		t.Errorf("arrivals (-want +got):\n%s", diff)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	if _, err := forgetest.New(forgetest.Options{}); err == nil {
		t.Error("a server without a directory was made")
	}
	srv := published.Start(t, forgetest.Options{URL: "https://forge.example", KeepDeliveries: 3})
	empty := must[*forgetest.Repository](t)(srv.CreateRepository("acme", "empty", forgetest.RepositoryOptions{ID: 5, DefaultBranch: "trunk", Files: forgetest.Files{}}))
	if empty.Head("trunk") != "" || empty.DefaultBranch() != "trunk" || empty.CloneURL() != "https://forge.example/acme/empty.git" {
		t.Errorf("empty repository has %s, %s, %s", empty.Head("trunk"), empty.DefaultBranch(), empty.CloneURL())
	}
	_, err := srv.CreateRepository("acme", "empty", forgetest.RepositoryOptions{})
	wantRefusal(t, err, 422, "already exists")
	if _, err = srv.CreateRepository("acme", "another", forgetest.RepositoryOptions{ID: 5}); err == nil {
		t.Error("two repositories have one id")
	}
	id := empty.AddHook("http://127.0.0.1:1/", "x")
	root := srv.User("root")
	empty.SetPermission(root, "admin")
	for range 5 {
		do(t, second(root.Commit(empty, "trunk", "", forgetest.Files{"a": []byte(time.Now().String())}, "a")))
	}
	do(t, srv.WaitIdle(t.Context()))
	if n := len(empty.Deliveries(id)); n != 3 {
		t.Errorf("%d deliveries are kept", n)
	}
}
