package github_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/bot/forge/github"
	"kv-shepherd.io/shepherd/internal/forgetest"
)

// hearing is a webhook endpoint that verifies and parses what comes.
type hearing struct {
	secret []byte
	mu     sync.Mutex
	events []forge.Event
	bodies map[string][]byte
	errs   []error
}

func (h *hearing) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	err = github.Verify(r.Header, raw, [][]byte{h.secret})
	_, name, derr := github.Delivery(r.Header)
	event, perr := github.Parse(name, raw)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, event)
	h.bodies[name+"/"+event.Action] = raw
	if err := errors.Join(err, derr, perr); err != nil {
		h.errs = append(h.errs, fmt.Errorf("%s: %w", name, err))
	}
}

func TestForgeWebhooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := &hearing{secret: []byte("hush"), bodies: map[string][]byte{}}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	w.app.SetHook(srv.URL, "hush")
	p, first := live(t, w)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := w.srv.WaitIdle(ctx); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, err := range h.errs {
		t.Error(err)
	}
	checkHeard(t, w, p, first, h.events)
	for name, body := range h.bodies {
		of, _, _ := strings.Cut(name, "/")
		for _, other := range []string{"push", "issue_comment", "pull_request", "pull_request_review", "check_run"} {
			if _, err := github.Parse(other, body); errors.Is(err, github.ErrMismatch) != (other != of) {
				t.Errorf("%s with a body of %s: %v", other, name, err)
			}
		}
	}
}

// live lets a pull request live from its first push to its merge.
func live(t *testing.T, w *world) (p *forgetest.Pull, first string) {
	t.Helper()
	p = w.pull(t, "add")
	first = p.HeadSHA()
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.client.CreateCheck(t.Context(), forge.Check{Name: "shepherd/validate", HeadSHA: first, Conclusion: forge.Success, Title: "t"}))
	must(nil, w.alice.Rerun(p, "shepherd/validate"))
	must(w.bob.Commit(w.repo, "add", "", forgetest.Files{"b": []byte("b")}, "more"))
	must(w.bob.Comment(p, "/hold"))
	must(w.bob.ApproveWith(p, "fine"))
	must(w.alice.Merge(p, "squash"))
	must(nil, w.alice.DeleteBranch(w.repo, "add"))
	return p, first
}

func checkHeard(t *testing.T, w *world, p *forgetest.Pull, first string, events []forge.Event) {
	t.Helper()
	var got []string
	for _, e := range events {
		if e.Kind == forge.Ignored {
			continue
		}
		if e.RepositoryID != w.repo.ID() {
			t.Errorf("about another repository: %+v", e)
		}
		got = append(got, summary(e))
	}
	n, head := p.Number(), p.HeadSHA()
	zero := strings.Repeat("0", 40)
	for _, want := range []string{
		fmt.Sprintf("push by alice refs/heads/add %s..%s", zero, first),
		fmt.Sprintf("pull_request opened #%d", n),
		fmt.Sprintf("check rerequested %s [%d]", first, n),
		fmt.Sprintf("push by bob refs/heads/add %s..%s", first, head),
		fmt.Sprintf("pull_request synchronize #%d by bob refs/pull/%d/head %s..%s", n, n, first, head),
		fmt.Sprintf("comment created #%d by bob: /hold", n),
		fmt.Sprintf("review submitted #%d by bob approved on %s: fine", n, head),
		fmt.Sprintf("pull_request closed #%d merged", n),
		fmt.Sprintf("push by alice refs/heads/add %s..%s deleted", head, zero),
	} {
		if !slices.Contains(got, want) {
			t.Errorf("not heard: %s", want)
		}
	}
	if t.Failed() {
		t.Logf("heard:\n%s", strings.Join(got, "\n"))
	}
}

func summary(e forge.Event) string {
	s := string(e.Kind)
	if e.Action != "" {
		s += " " + e.Action
	}
	if e.PullRequest != 0 && e.Kind != forge.CheckRerequested {
		s += fmt.Sprintf(" #%d", e.PullRequest)
	}
	switch {
	case e.Merged:
		s += " merged"
	case e.Kind == forge.CheckRerequested:
		s += fmt.Sprintf(" %s %v", e.HeadSHA, e.PullRequests)
	case e.Review != nil:
		s += fmt.Sprintf(" by %s %s on %s: %s", e.Review.Author.Login, e.Review.State, e.Review.CommitSHA, e.Review.Body)
	case e.Comment != nil:
		s += fmt.Sprintf(" by %s: %s", e.Comment.Author.Login, e.Comment.Body)
	case e.Push != nil:
		s += fmt.Sprintf(" by %s %s %s..%s", e.Push.Pusher.Login, e.Push.Ref, e.Push.Before, e.Push.After)
		if strings.Trim(e.Push.After, "0") == "" {
			s += " deleted"
		}
	}
	return s
}
