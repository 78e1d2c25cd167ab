package github_test

import (
	"context"
	"errors"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/bot/forge/github"
	"kv-shepherd.io/shepherd/internal/forgetest"
)

func TestForgeScopeOfTheToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.srv.Repository("acme", "other")
	w.app.Install(w.repo, other)
	c := w.connect(t)
	_, token, err := c.GitCredentials(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for repo, want := range map[*forgetest.Repository]int{w.repo: 200, other: 404} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.srv.URL()+"/api/v3/repos/"+repo.FullName()+"/commits", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", repo.FullName(), resp.StatusCode, want)
		}
	}
}

func TestForgeGitCredentials(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, c := range map[string]*github.Client{
		"app":   w.client,
		"token": w.connect(t, func(cfg *github.Config) { cfg.App, cfg.Token = nil, w.alice.Token() }),
	} {
		user, token, err := c.GitCredentials(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		address := strings.Replace(c.CloneURL(), "://", "://"+user+":"+token+"@", 1)
		out, err := exec.CommandContext(t.Context(), "git", "ls-remote", address, "refs/heads/main").CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), w.repo.Head("main")) {
			t.Errorf("as %s: %v\n%s", name, err, out)
		}
	}
}

func TestForgeFailures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull(t, "add")
	get := func(ctx context.Context) error {
		_, err := w.connect(t).PullRequest(ctx, p.Number())
		return err
	}
	for _, f := range []forgetest.Fault{
		{Kind: forgetest.ServerError}, {Kind: forgetest.BadGateway}, {Kind: forgetest.Reset},
		{Kind: forgetest.SecondaryLimit, RetryAfter: 90 * time.Second}, {Kind: forgetest.TooMany, RetryAfter: 90 * time.Second},
	} {
		f.Route, f.Times = "GET /repos/{owner}/{repo}/pulls/{number}", -1
		w.srv.Fail(f)
		before := time.Now()
		err := get(t.Context())
		w.srv.ClearFaults()
		var later forge.LaterError
		limited := f.RetryAfter > 0
		if err == nil || errors.As(err, &later) != limited {
			t.Errorf("%s: %v", f.Kind, err)
		}
		if wait := later.Until.Sub(before); limited && (wait < 80*time.Second || wait > 100*time.Second) {
			t.Errorf("%s: wait %v", f.Kind, wait)
		}
		for _, kind := range []error{forge.ErrNotFound, forge.ErrConflict, forge.ErrRefused} {
			if errors.Is(err, kind) {
				t.Errorf("%s: %v", f.Kind, err)
			}
		}
	}
	if err := get(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
}

func TestForgeHourlyLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull(t, "add")
	w.srv.SetRateLimit(2)
	w.srv.ResetCalls()
	var later forge.LaterError
	for n := range 5 {
		_, err := w.client.PullRequest(t.Context(), p.Number())
		if got := errors.As(err, &later); got != (err != nil) || n > 2 && !got {
			t.Errorf("call %d: %v", n, err)
		}
	}
	if wait := time.Until(later.Until); wait < time.Minute || wait > time.Hour+time.Minute {
		t.Errorf("wait %v", wait)
	}
	if got := w.srv.CallCounts()["GET /repos/{owner}/{repo}/pulls/{number}"]; got > 3 {
		t.Errorf("%d calls after the limit was told", got)
	}
}

func TestForgePermissions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull(t, "add")
	mallory := w.srv.User("mallory") // may read, no more
	c := w.connect(t, func(cfg *github.Config) { cfg.App, cfg.Token = nil, mallory.Token() })
	if _, err := c.CreateCheck(t.Context(), forge.Check{Name: "x", HeadSHA: p.HeadSHA(), Conclusion: forge.Success, Title: "t"}); !errors.Is(err, forge.ErrRefused) {
		t.Errorf("status: %v", err)
	}
	if _, err := c.Merge(t.Context(), p.Number(), p.HeadSHA(), "merge"); !errors.Is(err, forge.ErrRefused) {
		t.Errorf("merge: %v", err)
	}
	bad := w.connect(t, func(cfg *github.Config) { cfg.App, cfg.Token = nil, "ghp_nobody" })
	if _, err := bad.PullRequest(t.Context(), p.Number()); !errors.Is(err, forge.ErrRefused) {
		t.Errorf("bad credentials: %v", err)
	}
}
