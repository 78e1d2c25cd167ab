package github_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/bot/forge/github"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/forgetest/published"
)

// world is a forge with a repository, people and the bot.
type world struct {
	srv        *forgetest.Server
	repo       *forgetest.Repository
	app        *forgetest.App
	alice, bob *forgetest.User
	client     *github.Client
}

func newWorld(t *testing.T, change ...func(*github.Config)) *world {
	t.Helper()
	w := &world{srv: published.Start(t)}
	w.repo = w.srv.Repository("acme", "vms")
	w.alice, w.bob = w.srv.User("alice"), w.srv.User("bob")
	w.repo.SetPermission(w.alice, "write")
	w.repo.SetPermission(w.bob, "write")
	app, err := w.srv.CreateApp("shepherd", forgetest.AppOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w.app = app
	app.Install(w.repo)
	w.client = w.connect(t, change...)
	w.srv.ResetCalls()
	return w
}

// connect makes a client as the App, with nothing looked up that can be told.
func (w *world) connect(t *testing.T, change ...func(*github.Config)) *github.Client {
	t.Helper()
	creds := w.srv.AppCredentials()
	cfg := github.Config{
		BaseURL: w.srv.URL(), RepositoryID: w.repo.ID(), Owner: "acme", Name: w.repo.Name(),
		App: &github.AppConfig{ID: creds.AppID, InstallationID: creds.InstallationID, PrivateKeyPEM: creds.PrivateKey},
	}
	for _, f := range change {
		f(&cfg)
	}
	c, err := github.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// pull opens a pull request of alice's with one file.
func (w *world) pull(t *testing.T, branch string) *forgetest.Pull {
	t.Helper()
	if _, err := w.alice.Commit(w.repo, branch, "main", forgetest.Files{branch + ".yaml": []byte("a: 1\n")}, "add "+branch); err != nil {
		t.Fatal(err)
	}
	p, err := w.alice.OpenPull(w.repo, "add "+branch, branch, "main", "", false)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wantCalls holds a test to the routes that the driver used, in order, and to knowing them all. The token's minting
// is left out: it comes with the first call of all.
func (w *world) wantCalls(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, c := range w.srv.Calls() {
		if !strings.HasSuffix(c.Route, "/access_tokens") {
			got = append(got, strings.NewReplacer("/repos/{owner}/{repo}", "").Replace(c.Route))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	w.srv.ResetCalls()
}

func person(u *forgetest.User) forge.Person { return forge.Person{ID: u.ID(), Login: u.Login()} }

func TestForgeReading(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	p := w.pull(t, "add")
	if _, err := w.bob.ApproveWith(p, "fine"); err != nil {
		t.Fatal(err)
	}
	w.srv.ResetCalls()

	r, err := w.client.Repository(ctx)
	want := forge.Repository{ID: w.repo.ID(), Owner: "acme", Name: "vms", DefaultBranch: "main", CloneURL: w.repo.CloneURL(), URL: w.srv.URL() + "/acme/vms", Methods: forge.MergeMethods{Merge: true, Squash: true, Rebase: true}}
	if r != want || err != nil {
		t.Errorf("repository %+v, %v, want %+v", r, err, want)
	}
	w.wantCalls(t, "GET /repositories/{id}")

	pr := forge.PullRequest{
		Number: p.Number(), Title: "add add", URL: p.URL(), Open: true, Author: person(w.alice),
		HeadSHA: p.HeadSHA(), HeadRef: "add", BaseRef: "main", BaseSHA: w.repo.Head("main"),
	}
	got, err := w.client.PullRequest(ctx, p.Number())
	if since := time.Since(got.UpdatedAt); since < 0 || since > time.Hour {
		t.Errorf("the pull request was updated at %s", got.UpdatedAt)
	}
	pr.UpdatedAt = got.UpdatedAt
	if got != pr || err != nil {
		t.Errorf("pull request: %v\n%s", err, cmp.Diff(pr, got))
	}
	w.wantCalls(t, "GET /pulls/{number}")
	if got, err := w.client.OpenPullRequests(ctx); !cmp.Equal(got, []forge.PullRequest{pr}) || err != nil {
		t.Errorf("open pull requests: %v\n%s", err, cmp.Diff([]forge.PullRequest{pr}, got))
	}
	w.wantCalls(t, "GET /pulls")

	reviews, err := w.client.Reviews(ctx, p.Number())
	if err != nil || len(reviews) != 1 {
		t.Fatalf("reviews %+v, %v", reviews, err)
	}
	if r := reviews[0]; r.Author != person(w.bob) || r.State != forge.Approved || r.CommitSHA != p.HeadSHA() || r.Body != "fine" || r.SubmittedAt.IsZero() || r.ID == 0 {
		t.Errorf("review %+v", r)
	}
	w.wantCalls(t, "GET /pulls/{number}/reviews")

	commits, complete, err := w.client.Commits(ctx, p.Number())
	wantCommits := []forge.Commit{{SHA: p.HeadSHA(), Parents: []string{w.repo.Head("main")}, Author: person(w.alice), Committer: person(w.alice)}}
	if err != nil || !complete || !cmp.Equal(wantCommits, commits) {
		t.Errorf("commits: complete %v, %v\n%s", complete, err, cmp.Diff(wantCommits, commits))
	}
	w.wantCalls(t, "GET /pulls/{number}/commits")
}

func TestForgeMoreThanAPage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull(t, "add")
	for i := range 105 {
		if _, err := w.bob.ReviewComment(p, fmt.Sprintf("remark %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	w.srv.ResetCalls()
	reviews, err := w.client.Reviews(t.Context(), p.Number())
	if err != nil || len(reviews) != 105 || reviews[104].Body != "remark 104" {
		t.Errorf("%d reviews, %v", len(reviews), err)
	}
	w.wantCalls(t, "GET /pulls/{number}/reviews", "GET /pulls/{number}/reviews")
}

func TestForgeUnmappedCommit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := w.alice.Commit(w.repo, "add", "main", forgetest.Files{"a": []byte("a")}, "a", forgetest.AuthoredBy("Some One", "some@one.test"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := w.alice.OpenPull(w.repo, "add", "add", "main", "", false)
	if err != nil {
		t.Fatal(err)
	}
	commits, _, err := w.client.Commits(t.Context(), p.Number())
	if err != nil || len(commits) != 1 || commits[0].Author.Known() || commits[0].Committer != person(w.alice) {
		t.Errorf("commits %+v, %v", commits, err)
	}
}

func TestForgePeople(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	bot := forge.Person{ID: w.app.Bot().ID(), Login: "shepherd[bot]", Bot: true}
	for range 2 {
		if got, err := w.client.Self(ctx); got != bot || err != nil {
			t.Errorf("self %+v, %v", got, err)
		}
	}
	w.wantCalls(t, "GET /app", "GET /users/{login}")
	w.bob.Rename("robert")
	if got, err := w.client.User(ctx, w.bob.ID()); got != (forge.Person{ID: w.bob.ID(), Login: "robert"}) || err != nil {
		t.Errorf("user %+v, %v", got, err)
	}
	if _, err := w.client.User(ctx, 1); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("nobody: %v", err)
	}
	w.wantCalls(t, "GET /user/{id}", "GET /user/{id}")

	org := w.srv.Organization("acme")
	team := org.Team("platform")
	team.Add(w.alice)
	team.SetMember(w.bob, "member", "pending")
	for login, want := range map[string]bool{"alice": true, "Alice": true, "robert": false, "nobody": false} {
		if got, err := w.client.TeamMember(ctx, org.ID(), team.ID(), login); got != want || err != nil {
			t.Errorf("%s in the team: %v, %v", login, got, err)
		}
	}
	if got, err := w.client.TeamMember(ctx, org.ID(), team.ID()+1, "alice"); got || err != nil {
		t.Errorf("in no team: %v, %v", got, err)
	}
}

func TestForgeRename(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull(t, "add")
	w.repo.Rename("machines")
	w.srv.ResetCalls()
	if pr, err := w.client.PullRequest(t.Context(), p.Number()); err != nil || pr.HeadSHA != p.HeadSHA() {
		t.Errorf("got %+v, %v", pr, err)
	}
	w.wantCalls(t, "GET /pulls/{number}", "GET /repositories/{id}", "GET /pulls/{number}")
	if got := w.client.CloneURL(); got != w.repo.CloneURL() {
		t.Errorf("clone from %s, want %s", got, w.repo.CloneURL())
	}
}
