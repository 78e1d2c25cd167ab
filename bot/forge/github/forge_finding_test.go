package github_test

import (
	"errors"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/bot/forge/github"
	"kv-shepherd.io/shepherd/internal/forgetest"
)

// What was done although its answer was lost is found again, and nothing else is taken for it.
func TestForgeFindCheck(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull(t, "add")
	check := forge.Check{Name: "shepherd/approval", HeadSHA: p.HeadSHA(), Conclusion: forge.Success, Title: "Approved", Summary: "s", ExternalID: "x1"}
	find := func(c forge.Check) (forge.Posted, error) { return w.client.FindCheck(t.Context(), c) }
	if _, err := find(check); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("before it was made: %v", err)
	}
	w.srv.Fail(forgetest.Fault{Route: "POST /repos/{owner}/{repo}/check-runs", Kind: forgetest.BadGateway, After: true})
	if _, err := w.client.CreateCheck(t.Context(), check); err == nil {
		t.Fatal("no fault")
	}
	ahead := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	w.srv.SetClock(func() time.Time { return ahead })
	got, err := find(check)
	if made, _ := p.Check(check.Name); err != nil || got.ID != made.ID || got.URL == "" || !got.At.Equal(ahead) {
		t.Errorf("found %+v, %v", got, err)
	}
	for what, other := range map[string]forge.Check{
		"another name":   {Name: "shepherd/validate", HeadSHA: check.HeadSHA, ExternalID: "x1"},
		"another commit": {Name: check.Name, HeadSHA: w.repo.Head("main"), ExternalID: "x1"},
		"another id":     {Name: check.Name, HeadSHA: check.HeadSHA, ExternalID: "x2"},
	} {
		if got, err := find(other); !errors.Is(err, forge.ErrNotFound) {
			t.Errorf("%s: %+v, %v", what, got, err)
		}
	}
	// What was said after it has taken its place.
	later := check
	later.ExternalID = "x2"
	if _, err := w.client.CreateCheck(t.Context(), later); err != nil {
		t.Fatal(err)
	}
	if got, err := find(check); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("what stands there no more: %+v, %v", got, err)
	}
	token := w.connect(t, func(cfg *github.Config) { cfg.App, cfg.Token = nil, w.bob.Token() })
	if got, err := token.FindCheck(t.Context(), later); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("with a token: %+v, %v", got, err)
	}
	if _, err := find(forge.Check{Name: check.Name, HeadSHA: check.HeadSHA}); !errors.Is(err, forge.ErrRefused) {
		t.Errorf("without an id: %v", err)
	}
}

func TestForgeFindSuggestion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull(t, "add")
	find := func(c *github.Client, path, body string) (int64, error) {
		return c.FindSuggestion(t.Context(), p.Number(), path, body)
	}
	if _, err := find(w.client, "add.yaml", "body"); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("before it was made: %v", err)
	}
	posted, err := w.client.Suggest(t.Context(), p.Number(), p.HeadSHA(), "add.yaml", 1, 1, "body")
	if err != nil {
		t.Fatal(err)
	}
	if id, err := find(w.client, "add.yaml", "body"); id != posted.ID || err != nil {
		t.Errorf("found %d, %v, want %d", id, err, posted.ID)
	}
	bob := w.connect(t, func(cfg *github.Config) { cfg.App, cfg.Token = nil, w.bob.Token() })
	for what, err := range map[string]error{
		"another file":    second(find(w.client, "other.yaml", "body")),
		"another text":    second(find(w.client, "add.yaml", "bod")),
		"somebody else's": second(find(bob, "add.yaml", "body")),
	} {
		if !errors.Is(err, forge.ErrNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

// A pull request of the bot's is found, also when it is closed; one of somebody else's is not.
func TestForgeFindPullRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.pull(t, "add")
	edits := []forge.FileEdit{{Path: "a.yaml", Content: []byte("a: 1\n")}}
	if _, err := w.client.CommitFiles(t.Context(), "shepherd/undo-1", w.repo.Head("main"), edits, "undo"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.FindPullRequest(t.Context(), "shepherd/undo-1", "main"); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("before it was opened: %v", err)
	}
	opened, err := w.client.OpenPullRequest(t.Context(), forge.NewPullRequest{Title: "undo", Head: "shepherd/undo-1", Base: "main"})
	if err != nil {
		t.Fatal(err)
	}
	for _, pull := range w.repo.Pulls() {
		if pull.Number() == opened.Number {
			if err := w.bob.Close(pull); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := w.client.FindPullRequest(t.Context(), "shepherd/undo-1", "main")
	if err != nil || got.Number != opened.Number || got.Open {
		t.Errorf("found %+v, %v", got, err)
	}
	for head, base := range map[string]string{"add": "main", "shepherd/undo-1": "other"} {
		if got, err := w.client.FindPullRequest(t.Context(), head, base); !errors.Is(err, forge.ErrNotFound) {
			t.Errorf("%s into %s, beside #%d: %+v, %v", head, base, other.Number(), got, err)
		}
	}
}

// Only the bot's own merge is the bot's.
func TestForgeFindMerge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ours, theirs := w.pull(t, "ours"), w.pull(t, "theirs")
	if _, err := w.client.FindMerge(t.Context(), ours.Number(), ours.HeadSHA()); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("before: %v", err)
	}
	sha, err := w.client.Merge(t.Context(), ours.Number(), ours.HeadSHA(), "")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := w.client.FindMerge(t.Context(), ours.Number(), ours.HeadSHA()); got != sha || err != nil {
		t.Errorf("found %q, %v, want %q", got, err, sha)
	}
	if got, err := w.client.Merge(t.Context(), ours.Number(), ours.HeadSHA(), "merge"); got != sha || err != nil {
		t.Errorf("merged again as %q, %v, want %q", got, err, sha)
	}
	if _, err := w.client.FindMerge(t.Context(), ours.Number(), w.repo.Head("main")); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("another head: %v", err)
	}
	if _, err := w.bob.Merge(theirs, "merge"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.FindMerge(t.Context(), theirs.Number(), theirs.HeadSHA()); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("somebody else's: %v", err)
	}
	if _, err := w.client.Merge(t.Context(), theirs.Number(), theirs.HeadSHA(), "merge"); !errors.Is(err, forge.ErrConflict) {
		t.Errorf("merging what somebody else merged: %v", err)
	}
}
