package github_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/internal/forgetest"
)

func TestForgeDismissals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo.Protect("main", forgetest.Protection{DismissStale: true})
	p := w.pull(t, "add")
	stale, err := w.bob.Approve(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.alice.Commit(w.repo, "add", "", forgetest.Files{"b": []byte("b")}, "more"); err != nil {
		t.Fatal(err)
	}
	veto, err := w.bob.RequestChanges(p, "no")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.alice.DismissReview(p, veto.ID, "it is fine"); err != nil {
		t.Fatal(err)
	}
	w.srv.ResetCalls()
	got, err := w.client.Dismissals(t.Context(), p.Number())
	want := []forge.Dismissal{
		{ReviewID: stale.ID, By: person(w.alice), State: forge.Approved, ByCommit: p.HeadSHA()},
		{ReviewID: veto.ID, By: person(w.alice), State: forge.ChangesRequested, Message: "it is fine"},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(forge.Dismissal{}, "At")); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, d := range got {
		if d.At.IsZero() {
			t.Errorf("no time: %+v", d)
		}
	}
	w.wantCalls(t, "GET /issues/{number}/events")
}

func TestForgeRestarted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull(t, "add")
	restarted := func() time.Time {
		t.Helper()
		at, err := w.client.Restarted(t.Context(), p.Number())
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	do := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	do(w.alice.Close(p))
	if at := restarted(); !at.IsZero() {
		t.Errorf("closed counts: %s", at)
	}
	do(w.alice.Reopen(p))
	if at := restarted(); time.Since(at) > time.Minute {
		t.Errorf("reopened at %s", at)
	}
	other := w.pull(t, "other")
	if _, err := w.alice.Commit(w.repo, "elsewhere", "main", forgetest.Files{"b": []byte("b")}, "elsewhere"); err != nil {
		t.Fatal(err)
	}
	do(w.alice.Retarget(other, "elsewhere"))
	w.srv.ResetCalls()
	if at, err := w.client.Restarted(t.Context(), other.Number()); time.Since(at) > time.Minute || err != nil {
		t.Errorf("aimed elsewhere at %s, %v", at, err)
	}
	w.wantCalls(t, "GET /issues/{number}/events")
}

func TestForgeReviewRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull(t, "add")
	team := w.srv.Organization("acme").Team("platform")
	team.Grant(w.repo, "write")
	w.srv.User("mallory")
	for range 2 {
		refused, err := w.client.RequestReviewers(t.Context(), p.Number(),
			[]string{"alice", "bob", "mallory", "nobody", "shepherd[bot]"}, []string{"platform", "nowhere"})
		if diff := cmp.Diff([]string{"alice", "mallory", "nobody", "shepherd[bot]", "nowhere"}, refused); diff != "" || err != nil {
			t.Errorf("refused: %v (-want +got):\n%s", err, diff)
		}
		if got := p.RequestedReviewers(); !cmp.Equal(got, []string{"bob"}) {
			t.Errorf("requested %v", got)
		}
		if got := p.RequestedTeams(); !cmp.Equal(got, []string{"platform"}) {
			t.Errorf("requested teams %v", got)
		}
	}
	w.srv.ResetCalls()
	if refused, err := w.client.RequestReviewers(t.Context(), p.Number(), []string{"bob"}, []string{"platform"}); refused != nil || err != nil {
		t.Errorf("who is asked already: %v, %v", refused, err)
	}
	w.wantCalls(t, "POST /pulls/{number}/requested_reviewers")
}

func TestForgeMergeRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	p := w.pull(t, "add")
	refused := func(want error, words string) {
		t.Helper()
		if _, err := w.client.Merge(ctx, p.Number(), p.HeadSHA(), ""); !errors.Is(err, want) || !strings.Contains(err.Error(), words) {
			t.Errorf("got %v, want %v: %s", err, want, words)
		}
	}
	w.repo.Protect("main", forgetest.Protection{Checks: []forgetest.RequiredCheck{{Context: "shepherd/approval"}}, EnforceAdmins: true})
	refused(forge.ErrRefused, `Required status check "shepherd/approval" is expected`)
	w.repo.Unprotect("main")
	if err := w.alice.MarkDraft(p); err != nil {
		t.Fatal(err)
	}
	refused(forge.ErrRefused, "still a draft")
	if err := w.alice.MarkReady(p); err != nil {
		t.Fatal(err)
	}
	if _, err := w.bob.Commit(w.repo, "main", "", forgetest.Files{"add.yaml": []byte("b: 1\n")}, "in the way"); err != nil {
		t.Fatal(err)
	}
	refused(forge.ErrConflict, "not mergeable")
	if _, err := w.alice.ForcePush(w.repo, "add", "main", forgetest.Files{"add.yaml": []byte("a: 2\n")}, "again"); err != nil {
		t.Fatal(err)
	}
	w.repo.AllowMerging("rebase", "squash")
	if _, err := w.client.Merge(ctx, p.Number(), p.HeadSHA(), "merge"); !errors.Is(err, forge.ErrRefused) || !strings.Contains(err.Error(), "not allowed") {
		t.Errorf("a method that is off: %v", err)
	}
	w.srv.ResetCalls()
	sha, err := w.client.Merge(ctx, p.Number(), p.HeadSHA(), "")
	if c, _ := w.repo.Commit(sha); err != nil || !strings.HasPrefix(c.Message, "add add (#1)") {
		t.Errorf("merged as %+v, %v", c, err)
	}
	w.wantCalls(t, "GET /repositories/{id}", "PUT /pulls/{number}/merge")
	if err := w.alice.Close(w.pull(t, "other")); err != nil {
		t.Fatal(err)
	}
	p = w.repo.Pull(2)
	refused(forge.ErrConflict, "not mergeable")
}

// The same reaction a second time is the same reaction.
func TestForgeReactsOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull(t, "add")
	c, err := w.bob.Comment(p, "/plan")
	if err != nil {
		t.Fatal(err)
	}
	review, err := w.bob.ReviewComment(p, "/plan")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.client.React(t.Context(), c.ID, "eyes"); err != nil {
			t.Error(err)
		}
	}
	if got := p.Comments()[0].Reactions; !cmp.Equal(got, []string{"eyes"}) {
		t.Errorf("reactions %v", got)
	}
	if err := w.client.React(t.Context(), review.ID, "eyes"); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("to a review: %v", err)
	}
}

func TestForgeSuggestion(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull(t, "add")
	body := forge.Suggestion("a: 2\n")
	got, err := w.client.Suggest(t.Context(), p.Number(), p.HeadSHA(), "add.yaml", 1, 1, body)
	if err != nil || got.ID == 0 || got.URL == "" {
		t.Errorf("posted %+v, %v", got, err)
	}
	w.wantCalls(t, "POST /pulls/{number}/comments")
	want := []forgetest.LineComment{{ID: got.ID, Author: "shepherd[bot]", Body: body, Path: "add.yaml", StartLine: 1, Line: 1, CommitID: p.HeadSHA()}}
	if diff := cmp.Diff(want, p.LineComments()); diff != "" {
		t.Errorf("comments (-want +got):\n%s", diff)
	}
	for name, at := range map[string]struct {
		path       string
		start, end int
	}{"past its end": {"add.yaml", 1, 2}, "another file": {"README.md", 1, 1}} {
		if _, err := w.client.Suggest(t.Context(), p.Number(), p.HeadSHA(), at.path, at.start, at.end, body); !errors.Is(err, forge.ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What an approver changed is committed on the pull request's head, and only there.
func TestForgeCommitOnHead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	p := w.pull(t, "add")
	old := p.HeadSHA()
	edits := []forge.FileEdit{{Path: "add.yaml", Content: []byte("a: 2\n")}}
	sha, err := w.client.CommitOnHead(ctx, "add", old, edits, "as planned")
	if err != nil || p.HeadSHA() != sha {
		t.Fatalf("got %q, %v; the head is %s", sha, err, p.HeadSHA())
	}
	commits, _, err := w.client.Commits(ctx, p.Number())
	if bot := w.app.Bot(); err != nil || len(commits) != 2 || commits[1].Author.ID != bot.ID() || !commits[1].Author.Bot {
		t.Errorf("commits %+v, %v", commits, err)
	}
	for _, head := range []string{old, sha} {
		if again, err := w.client.CommitOnHead(ctx, "add", head, edits, "as planned"); again != sha || err != nil {
			t.Errorf("again on %s: %q, %v", head, again, err)
		}
	}
	hers, err := w.alice.Commit(w.repo, "add", "", forgetest.Files{"b.yaml": []byte("b")}, "more")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.CommitOnHead(ctx, "add", sha, edits, "as planned"); !errors.Is(err, forge.ErrConflict) || p.HeadSHA() != hers {
		t.Errorf("a head that moved: %v", err)
	}
	// Rewound to the bot's own commit: CommitFiles would take it along, a lease does not.
	if err := w.alice.Push(w.repo, "add", sha, true); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.CommitOnHead(ctx, "add", hers, edits[:1], "as planned"); !errors.Is(err, forge.ErrConflict) || p.HeadSHA() != sha {
		t.Errorf("a head that was rewound: %v", err)
	}
	if err := w.alice.DeleteBranch(w.repo, "add"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.CommitOnHead(ctx, "add", sha, edits, "as planned"); !errors.Is(err, forge.ErrConflict) || w.repo.Head("add") != "" {
		t.Errorf("a branch that is gone: %v", err)
	}
}
