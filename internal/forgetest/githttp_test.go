package forgetest_test

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

func TestGitPushMovesThePullRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hooks := newReceiver(t, "x")
	p := w.pull("redis")
	w.repo.AddHook(hooks.url, "x", "push", "pull_request")
	dir := filepath.Join(t.TempDir(), "alice")
	mustGit(t, ".", "clone", "-q", "-b", "redis", w.repo.CloneURLFor(w.alice), dir)
	do(t, os.WriteFile(filepath.Join(dir, "big.bin"), []byte(strings.Repeat("0123456789abcdef", 150_000)), 0o600))
	mustGit(t, dir, "add", ".")
	mustGit(t, dir, "-c", "core.compression=0", "commit", "-q", "-m", "big")
	mustGit(t, dir, "-c", "core.compression=0", "-c", "http.postBuffer=65536", "push", "-q", "origin", "redis")
	head := mustGit(t, dir, "rev-parse", "HEAD")
	if p.HeadSHA() != head {
		t.Fatalf("head is %s, pushed %s", p.HeadSHA(), head)
	}
	w.wait()
	ev := last[*github.PullRequestEvent](t, hooks)
	if ev.GetAction() != "synchronize" || ev.GetAfter() != head || ev.GetSender().GetLogin() != "alice" {
		t.Errorf("event is %v", ev)
	}
	if refs := mustGit(t, dir, "ls-remote", "origin", "refs/pull/1/head"); !strings.HasPrefix(refs, head) {
		t.Errorf("refs/pull/1/head is %q", refs)
	}
	if out, err := git(t, dir, "push", "origin", "HEAD:refs/pull/1/head"); err == nil {
		t.Errorf("refs/pull/1/head could be pushed: %s", out)
	}
	mustGit(t, dir, "commit", "-q", "--amend", "-m", "big again")
	mustGit(t, dir, "push", "-q", "-f", "origin", "redis")
	w.wait()
	if push := last[*github.PushEvent](t, hooks); !push.GetForced() {
		t.Error("the push is not marked as forced")
	}
	mustGit(t, dir, "push", "-q", "origin", ":redis")
	w.wait()
	if p.State() != "closed" || w.repo.Head("redis") != "" {
		t.Errorf("pull request is %s, branch at %q", p.State(), w.repo.Head("redis"))
	}
	wantRefusal(t, w.alice.Reopen(p), 422, "branch was deleted")
}

func TestGitAccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hidden := must[*forgetest.Repository](t)(w.srv.CreateRepository("acme", "hidden", forgetest.RepositoryOptions{Private: true}))
	app, _ := w.app("")
	token := app.Install(w.repo).Token()
	asBot := strings.Replace(w.repo.CloneURL(), "http://", "http://x-access-token:"+token+"@", 1)
	for name, tc := range map[string]struct {
		url  string
		want string
	}{
		"anybody reads what is public": {w.repo.CloneURL(), ""},
		"an App reads its repository":  {asBot, ""},
		"a private one asks who":       {hidden.CloneURL(), "could not read Username"},
		"a stranger sees nothing":      {hidden.CloneURLFor(w.guest), "not found"},
		"a wrong token is refused":     {strings.Replace(hidden.CloneURL(), "http://", "http://x:nonsense@", 1), "Authentication failed"},
		"nothing is there":             {w.srv.URL() + "/acme/none.git", "could not read Username"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := git(t, ".", "ls-remote", tc.url)
			if (err == nil) != (tc.want == "") || !strings.Contains(out, tc.want) {
				t.Errorf("git says %v: %s", err, out)
			}
		})
	}
	dir := filepath.Join(t.TempDir(), "guest")
	mustGit(t, ".", "clone", "-q", w.repo.CloneURLFor(w.guest), dir)
	out, err := git(t, dir, "push", "origin", "HEAD:refs/heads/x")
	if err == nil || !strings.Contains(out, "403") {
		t.Errorf("guest's push: %v %s", err, out)
	}
	mustGit(t, dir, "push", "-q", asBot, "HEAD:refs/heads/bot/x")
	if w.repo.Head("bot/x") == "" {
		t.Error("the App's push did not arrive")
	}
}

func TestGoGit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull("redis")
	r := must[*gogit.Repository](t)(gogit.PlainClone(t.TempDir(), true, &gogit.CloneOptions{URL: w.repo.CloneURLFor(w.bob)}))
	do(t, r.FetchContext(t.Context(), &gogit.FetchOptions{RefSpecs: []config.RefSpec{"+refs/pull/*/head:refs/pull/*/head"}}))
	ref, err := r.Reference("refs/pull/1/head", true)
	if err != nil || ref.Hash().String() != p.HeadSHA() {
		t.Errorf("fetched %v, %v, want %s", ref, err, p.HeadSHA())
	}
}

func TestForks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hooks := newReceiver(t, "x")
	w.repo.AddHook(hooks.url, "x", "pull_request")
	fork := must[*forgetest.Repository](t)(w.guest.Fork(w.repo))
	sha := must[string](t)(w.guest.Commit(fork, "mine", "main", forgetest.Files{"mine.yaml": []byte("m\n")}, "mine"))
	pr := got[*github.PullRequest](t)(w.as(w.guest).PullRequests.Create(t.Context(), "acme", "vms", &github.NewPullRequest{
		Title: github.String("from a fork"), Head: github.String("guest:mine"), Base: github.String("main"),
	}))
	if pr.GetHead().GetRepo().GetID() != fork.ID() || pr.GetHead().GetSHA() != sha || pr.GetHead().GetLabel() != "guest:mine" || !pr.GetHead().GetRepo().GetFork() {
		t.Errorf("head is %v", pr.GetHead())
	}
	if text, there := w.repo.File("refs/pull/1/head", "mine.yaml"); !there || string(text) != "m\n" {
		t.Errorf("refs/pull/1/head has %q", text)
	}
	next := must[string](t)(w.guest.Commit(fork, "mine", "", forgetest.Files{"mine.yaml": []byte("n\n")}, "more"))
	p := w.repo.Pull(1)
	if p.HeadSHA() != next {
		t.Errorf("head is %s, want %s", p.HeadSHA(), next)
	}
	w.commit(w.root, "main", "elsewhere.yaml", "x\n")
	do(t, w.bob.UpdateBranch(p))
	if fork.Head("mine") != p.HeadSHA() || p.HeadSHA() == next {
		t.Errorf("fork is at %s, head at %s", fork.Head("mine"), p.HeadSHA())
	}
	w.wait()
	if ev := last[*github.PullRequestEvent](t, hooks); ev.GetAction() != "synchronize" || ev.GetSender().GetLogin() != "bob" {
		t.Errorf("event is %s by %s", ev.GetAction(), ev.GetSender().GetLogin())
	}
	do(t, second(w.bob.Merge(p, "squash")))
	if _, there := w.repo.File("main", "mine.yaml"); !there {
		t.Error("the fork's file is not on main")
	}
	_, err := w.guest.OpenPull(w.repo, "x", "stranger:mine", "main", "", false)
	wantRefusal(t, err, 422, "head")
}

func TestSuggestionNamesTheCoAuthor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull("redis")
	sha := must[string](t)(w.alice.CommitSuggestion(p, w.bob, forgetest.Files{"redis.yaml": []byte("better\n")}, "Apply suggestion"))
	c := must[forgetest.CommitInfo](t)(w.repo.Commit(sha))
	if p.HeadSHA() != sha || c.AuthorEmail != w.alice.Email() || !strings.Contains(c.Message, "Co-authored-by: Bob <bob@example.com>") {
		t.Errorf("suggestion is %+v", c)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, bot := w.app("")
	p := w.pull("redis")
	got[*github.CheckRun](t)(bot.Checks.CreateCheckRun(t.Context(), "acme", "vms", github.CreateCheckRunOptions{
		Name: "shepherd/validate", HeadSHA: p.HeadSHA(), Conclusion: github.String("failure"),
		Output: &github.CheckRunOutput{Title: github.String("1 problem"), Summary: github.String("| a | b |\n|---|---|\n| c | d |"),
			Annotations: []*github.CheckRunAnnotation{{Path: github.String("redis.yaml"), StartLine: github.Int(1), EndLine: github.Int(1),
				AnnotationLevel: github.String("failure"), Message: github.String("this is <wrong>")}}},
	}))
	do(t, second(w.bob.Comment(p, "<details><summary>plan</summary>\n\n**bold**\n\n</details>")), second(w.bob.RequestChanges(p, "not yet")))
	fetch := func(path string) string {
		t.Helper()
		resp := must[*http.Response](t)(http.Get(w.srv.URL() + path))
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("%s answers %s", path, resp.Status)
		}
		return string(must[[]byte](t)(io.ReadAll(resp.Body)))
	}
	page := fetch("/acme/vms/pull/1")
	for _, want := range []string{
		"add redis", "shepherd/validate", "1 problem", "<td>c</td>", "redis.yaml:1", "this is &lt;wrong&gt;", "<details><summary>plan</summary>",
		"<strong>bold</strong>", "requested changes", "not yet", "&#43;name: redis",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not have %q", want)
		}
	}
	for path, want := range map[string]string{
		"/": "acme/vms", "/acme/vms/pulls": "add redis", "/acme/vms": "add redis", "/acme/vms/blob/redis/redis.yaml": `id="L1"`,
		"/acme/vms/raw/redis/redis.yaml": "name: redis\n",
	} {
		if !strings.Contains(fetch(path), want) {
			t.Errorf("%s does not have %q", path, want)
		}
	}
	if resp := must[*http.Response](t)(http.Get(w.srv.URL() + "/acme/vms/pull/9")); resp.StatusCode != http.StatusNotFound {
		t.Errorf("a missing pull request answers %s", resp.Status)
	}
}
