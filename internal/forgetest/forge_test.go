package forgetest_test

import (
	"context"
	"errors"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/forgetest/published"
)

// world is a server with a repository and a few people.
type world struct {
	t                       *testing.T
	srv                     *forgetest.Server
	repo                    *forgetest.Repository
	alice, bob, root, guest *forgetest.User
}

func newWorld(t *testing.T, opts ...forgetest.Options) *world {
	t.Helper()
	srv := published.Start(t, opts...)
	w := &world{t: t, srv: srv, repo: srv.Repository("acme", "vms")}
	w.alice, w.bob, w.root, w.guest = srv.User("alice"), srv.User("bob"), srv.User("root"), srv.User("guest")
	w.repo.SetPermission(w.alice, "write")
	w.repo.SetPermission(w.bob, "write")
	w.repo.SetPermission(w.root, "admin")
	t.Cleanup(func() {
		for _, c := range srv.Unhandled() {
			t.Errorf("the server does not know %s %s", c.Method, c.Path)
		}
	})
	return w
}

// client is go-github with a token, set up as for Enterprise Server.
func (w *world) client(token string) *github.Client {
	w.t.Helper()
	c, err := github.NewClient(&http.Client{Timeout: 20 * time.Second}).WithAuthToken(token).WithEnterpriseURLs(w.srv.URL(), w.srv.URL())
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) as(u *forgetest.User) *github.Client { return w.client(u.Token()) }

// app registers an App on the repository and returns it with a client that acts as its bot.
func (w *world) app(hookURL string) (*forgetest.App, *github.Client) {
	w.t.Helper()
	app, err := w.srv.CreateApp("shepherd", forgetest.AppOptions{HookURL: hookURL, HookSecret: "s3cret"})
	if err != nil {
		w.t.Fatal(err)
	}
	return app, w.client(app.Install(w.repo).Token())
}

// pull opens a pull request by alice with one new file.
func (w *world) pull(branch string) *forgetest.Pull {
	w.t.Helper()
	w.commit(w.alice, branch, branch+".yaml", "name: "+branch+"\n")
	p, err := w.alice.OpenPull(w.repo, "add "+branch, branch, "main", "please", false)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) commit(u *forgetest.User, branch, path, text string) string {
	w.t.Helper()
	sha, err := u.Commit(w.repo, branch, "main", forgetest.Files{path: []byte(text)}, "change "+path)
	if err != nil {
		w.t.Fatal(err)
	}
	return sha
}

func (w *world) wait() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	if err := w.srv.WaitIdle(ctx); err != nil {
		w.t.Fatalf("deliveries: %v", err)
	}
}

// must fails the test on an error and hands the value through.
func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// got is must for go-github's three results.
func got[T any](t *testing.T) func(T, *github.Response, error) T {
	return func(v T, _ *github.Response, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// wantStatus checks that a REST call was refused with a status and a text.
func wantStatus(t *testing.T, err error, status int, text string) {
	t.Helper()
	var e *github.ErrorResponse
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want status %d", err, status)
	}
	if e.Response.StatusCode != status || !strings.Contains(e.Error(), text) {
		t.Fatalf("refused with %v, want %d and %q", e, status, text)
	}
}

// wantRefusal checks that acting as a person was refused.
func wantRefusal(t *testing.T, err error, status int, text string) {
	t.Helper()
	var e *forgetest.Error
	if !errors.As(err, &e) {
		t.Fatalf("error is %v, want status %d", err, status)
	}
	if e.Status != status || !strings.Contains(e.Error(), text) {
		t.Fatalf("refused with %v, want %d and %q", e, status, text)
	}
}

func git(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=Alice", "-c", "user.email=alice@example.com"}, args...)...)
	cmd.Env = append(cmd.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_TERMINAL_PROMPT=0")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func mustGit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := git(t, dir, args...)
	if err != nil {
		t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return out
}

func TestJourney(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, bot := w.app("")
	p := w.pull("redis")
	if _, err := w.bob.Approve(p); err != nil {
		t.Fatal(err)
	}
	run := got[*github.CheckRun](t)(bot.Checks.CreateCheckRun(t.Context(), "acme", "vms", github.CreateCheckRunOptions{
		Name: "shepherd/validate", HeadSHA: p.HeadSHA(), Conclusion: github.String("success"),
	}))
	if run.GetStatus() != "completed" || run.GetApp().GetSlug() != "shepherd" {
		t.Errorf("check run is %v", run)
	}
	pr := got[*github.PullRequest](t)(w.as(w.alice).PullRequests.Get(t.Context(), "acme", "vms", p.Number()))
	if !pr.GetMergeable() || pr.GetMergeableState() != "clean" || pr.GetCommits() != 1 || pr.GetAdditions() != 1 {
		t.Errorf("pull request is %v", pr)
	}
	sha := must[string](t)(w.bob.Merge(p, "merge"))
	if w.repo.Head("main") != sha || !p.Merged() || p.MergeCommitSHA() != sha {
		t.Errorf("merged %v as %s, main is %s", p.Merged(), sha, w.repo.Head("main"))
	}
}

func TestCloneAndPush(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := filepath.Join(t.TempDir(), "work")
	mustGit(t, ".", "clone", "-q", w.repo.CloneURLFor(w.alice), dir)
	mustGit(t, dir, "checkout", "-q", "-b", "feature/one")
	mustGit(t, dir, "commit", "-q", "--allow-empty", "-m", "one")
	mustGit(t, dir, "push", "-q", "origin", "feature/one")
	head := mustGit(t, dir, "rev-parse", "HEAD")
	if w.repo.Head("feature/one") != head {
		t.Fatalf("branch is at %q, pushed %s", w.repo.Head("feature/one"), head)
	}
}
