package github_test

import (
	"errors"
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/internal/forgetest"
)

func TestForgeCommitAndPullRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	base := w.repo.Head("main")
	edits := []forge.FileEdit{
		{Path: "systems/a.yaml", Content: []byte("a: é\n")}, {Path: "README.md"}, {Path: "logo", Content: []byte{0xff, 0, 1}},
	}
	sha, err := w.client.CommitFiles(ctx, "shepherd/undo-1", base, edits, "undo")
	if err != nil || w.repo.Head("shepherd/undo-1") != sha {
		t.Fatalf("got %q, %v", sha, err)
	}
	w.wantCalls(t, "GET /git/commits/{sha}", "POST /git/blobs", "POST /git/trees", "GET /git/ref/{ref...}", "POST /git/commits", "POST /git/refs")
	checkFiles(t, w.repo, sha)
	again, err := w.client.CommitFiles(ctx, "shepherd/undo-1", base, edits, "undo")
	if again != sha || err != nil {
		t.Errorf("the second time %q, %v", again, err)
	}
	w.wantCalls(t, "GET /git/commits/{sha}", "POST /git/blobs", "POST /git/trees", "GET /git/ref/{ref...}", "GET /git/commits/{sha}")
	next, err := w.client.CommitFiles(ctx, "shepherd/undo-1", sha, []forge.FileEdit{{Path: "systems/a.yaml", Content: []byte("a: 2\n")}}, "more")
	if err != nil || w.repo.Head("shepherd/undo-1") != next {
		t.Errorf("on top %q, %v", next, err)
	}
	if _, err := w.client.CommitFiles(ctx, "shepherd/undo-1", base, edits, "undo"); !errors.Is(err, forge.ErrConflict) {
		t.Errorf("a branch that went on: %v", err)
	}
	if _, err := w.client.CommitFiles(ctx, "x", strings.Repeat("0", 40), edits, "undo"); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("no such parent: %v", err)
	}

	w.srv.ResetCalls()
	open := forge.NewPullRequest{Title: "undo", Body: "why", Head: "shepherd/undo-1", Base: "main"}
	pr, err := w.client.OpenPullRequest(ctx, open)
	if err != nil || pr.HeadSHA != next || !pr.Open || pr.Author.Login != "shepherd[bot]" || pr.Fork {
		t.Errorf("opened %+v, %v", pr, err)
	}
	w.wantCalls(t, "GET /pulls", "POST /pulls")
	same, err := w.client.OpenPullRequest(ctx, open)
	if same != pr || err != nil {
		t.Errorf("the second time %+v, %v", same, err)
	}
	w.wantCalls(t, "GET /pulls")
	if _, err := w.client.OpenPullRequest(ctx, forge.NewPullRequest{Title: "t", Head: "nowhere", Base: "main"}); !errors.Is(err, forge.ErrRefused) {
		t.Errorf("no such branch: %v", err)
	}
}

func checkFiles(t *testing.T, repo *forgetest.Repository, sha string) {
	t.Helper()
	for path, want := range map[string]string{"systems/a.yaml": "a: é\n", "logo": "\xff\x00\x01"} {
		if got, ok := repo.File(sha, path); !ok || string(got) != want {
			t.Errorf("%s: %q", path, got)
		}
	}
	if _, ok := repo.File(sha, "README.md"); ok {
		t.Error("README.md is still there")
	}
	if c, err := repo.Commit(sha); err != nil || c.Message != "undo" && c.Message != "undo\n" || c.AuthorEmail == "" {
		t.Errorf("commit %+v, %v", c, err)
	}
}

// A branch of the bot that stayed behind moves on; one of somebody else's does not.
func TestForgeCommitOnABranchThatStayedBehind(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	edit := func(s string) []forge.FileEdit { return []forge.FileEdit{{Path: "a", Content: []byte(s)}} }
	first, err := w.client.CommitFiles(ctx, "shepherd/x", w.repo.Head("main"), edit("1"), "one")
	if err != nil {
		t.Fatal(err)
	}
	second, err := w.client.CommitFiles(ctx, "shepherd/other", first, edit("2"), "two")
	if err != nil {
		t.Fatal(err)
	}
	third, err := w.client.CommitFiles(ctx, "shepherd/x", second, edit("3"), "three")
	if err != nil || w.repo.Head("shepherd/x") != third {
		t.Errorf("moved on to %q, %v", third, err)
	}
	if _, err := w.alice.Commit(w.repo, "alices", "main", forgetest.Files{"b": []byte("b")}, "b"); err != nil {
		t.Fatal(err)
	}
	hers := w.repo.Head("alices")
	if _, err := w.client.CommitFiles(ctx, "alices", third, edit("4"), "four"); !errors.Is(err, forge.ErrConflict) || w.repo.Head("alices") != hers {
		t.Errorf("somebody else's branch: %v", err)
	}
}

func TestForgeMerging(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"merge", "squash", "rebase"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ctx := t.Context()
			p := w.pull(t, "add")
			old := p.HeadSHA()
			if _, err := w.alice.Commit(w.repo, "add", "", forgetest.Files{"more": []byte("x")}, "more"); err != nil {
				t.Fatal(err)
			}
			if _, err := w.client.Merge(ctx, p.Number(), old, method); !errors.Is(err, forge.ErrConflict) || p.Merged() {
				t.Fatalf("with an old head: %v", err)
			}
			w.srv.ResetCalls()
			sha, err := w.client.Merge(ctx, p.Number(), p.HeadSHA(), method)
			if err != nil || sha != w.repo.Head("main") {
				t.Fatalf("merged as %q, %v", sha, err)
			}
			w.wantCalls(t, "PUT /pulls/{number}/merge")
			if again, err := w.client.Merge(ctx, p.Number(), p.HeadSHA(), method); again != sha || err != nil {
				t.Errorf("the second time %q, %v", again, err)
			}
			w.wantCalls(t, "PUT /pulls/{number}/merge", "GET /pulls/{number}", "GET /app", "GET /users/{login}", "GET /pulls/{number}")
			pr, err := w.client.PullRequest(ctx, p.Number())
			if err != nil || !pr.Merged || pr.Open || pr.MergeCommit != sha {
				t.Errorf("pull request %+v, %v", pr, err)
			}
			w.srv.ResetCalls()
			if n, err := w.client.MergedPullRequest(ctx, sha, "main"); n != p.Number() || err != nil {
				t.Errorf("it came by %d, %v", n, err)
			}
			if n, err := w.client.MergedPullRequest(ctx, sha, "other"); n != 0 || err != nil {
				t.Errorf("into another branch by %d, %v", n, err)
			}
			w.wantCalls(t, "GET /commits/{ref}/pulls", "GET /commits/{ref}/pulls")
		})
	}
}

func TestForgeDirectPush(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sha, err := w.alice.Commit(w.repo, "main", "", forgetest.Files{"a": []byte("a")}, "straight in")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.client.MergedPullRequest(t.Context(), sha, "main"); n != 0 || err != nil {
		t.Errorf("it came by %d, %v", n, err)
	}
}
