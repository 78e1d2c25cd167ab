package forgetest_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// forked makes main and the branch of a pull request with two commits part, so that a merge has something to do.
func (w *world) forked() *forgetest.Pull {
	w.t.Helper()
	p := w.pull("redis")
	w.commit(w.bob, "redis", "second.yaml", "by bob\n")
	w.commit(w.root, "main", "elsewhere.yaml", "x\n")
	return p
}

// mergeChecks is what is special about each way to merge.
var mergeChecks = map[string]func(w *world, p *forgetest.Pull, tip string, c forgetest.CommitInfo){
	"merge": func(w *world, p *forgetest.Pull, tip string, c forgetest.CommitInfo) {
		if diff := cmp.Diff([]string{tip, p.HeadSHA()}, c.Parents); diff != "" {
			w.t.Errorf("parents (-want +got):\n%s", diff)
		}
		if c.AuthorEmail != "bob@example.com" {
			w.t.Errorf("merge is by %s", c.AuthorEmail)
		}
	},
	"squash": func(w *world, p *forgetest.Pull, tip string, c forgetest.CommitInfo) {
		if diff := cmp.Diff([]string{tip}, c.Parents); diff != "" {
			w.t.Errorf("parents (-want +got):\n%s", diff)
		}
		want := "add redis (#1)\n\n* change redis.yaml\n\n* change second.yaml\n\nCo-authored-by: Bob <bob@example.com>\n"
		if diff := cmp.Diff(want, c.Message); diff != "" || c.AuthorEmail != "alice@example.com" {
			w.t.Errorf("squash by %s, message (-want +got):\n%s", c.AuthorEmail, diff)
		}
	},
	"rebase": func(w *world, p *forgetest.Pull, tip string, c forgetest.CommitInfo) {
		before := must[forgetest.CommitInfo](w.t)(w.repo.Commit(c.Parents[0]))
		if len(c.Parents) != 1 || before.Parents[0] != tip || c.AuthorEmail != "bob@example.com" || before.AuthorEmail != "alice@example.com" {
			w.t.Errorf("rebased to %+v on %+v", c, before)
		}
		if _, there := w.repo.File(before.SHA, "second.yaml"); there {
			w.t.Error("the first commit already has the second one's file")
		}
	},
}

func TestMergeMethods(t *testing.T) {
	t.Parallel()
	for method, check := range mergeChecks {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			p := w.forked()
			tip := w.repo.Head("main")
			res := got[*github.PullRequestMergeResult](t)(w.as(w.bob).PullRequests.Merge(t.Context(), "acme", "vms", p.Number(), "",
				&github.PullRequestOptions{MergeMethod: method, SHA: p.HeadSHA()}))
			if !res.GetMerged() || w.repo.Head("main") != res.GetSHA() || p.MergeCommitSHA() != res.GetSHA() {
				t.Fatalf("merged as %v, main %s", res, w.repo.Head("main"))
			}
			c := must[forgetest.CommitInfo](t)(w.repo.Commit("main"))
			if c.CommitterEmail != "noreply@github.com" {
				t.Errorf("committed by %s", c.CommitterEmail)
			}
			for _, path := range []string{"redis.yaml", "second.yaml", "elsewhere.yaml", "README.md"} {
				if _, there := w.repo.File("main", path); !there {
					t.Errorf("%s is not on main", path)
				}
			}
			check(w, p, tip, c)
			pr := got[*github.PullRequest](t)(w.as(w.alice).PullRequests.Get(t.Context(), "acme", "vms", p.Number()))
			if !pr.GetMerged() || pr.GetState() != "closed" || pr.GetMergedBy().GetLogin() != "bob" || pr.GetBase().GetSHA() != tip {
				t.Errorf("pull request is %v", pr)
			}
			of := got[[]*github.PullRequest](t)(w.as(w.alice).PullRequests.ListPullRequestsWithCommit(t.Context(), "acme", "vms", c.SHA, nil))
			if len(of) != 1 || of[0].GetNumber() != p.Number() {
				t.Errorf("commit belongs to %v", of)
			}
			if out, err := git(t, w.repo.Dir(), "fsck", "--strict"); err != nil {
				t.Errorf("git fsck: %v\n%s", err, out)
			}
		})
	}
}

func TestMergeRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	bob := w.as(w.bob)
	merge := func(p *forgetest.Pull, sha string) error {
		_, _, err := bob.PullRequests.Merge(t.Context(), "acme", "vms", p.Number(), "", &github.PullRequestOptions{SHA: sha})
		return err
	}
	p := w.pull("redis")
	wantStatus(t, merge(p, w.repo.Head("main")), 409, "Head branch was modified")
	do(t, w.alice.MarkDraft(p))
	wantStatus(t, merge(p, ""), 405, "draft")
	do(t, w.alice.MarkReady(p), merge(p, p.HeadSHA()))
	wantStatus(t, merge(p, ""), 405, "not mergeable")

	q := w.pull("conflict")
	w.commit(w.root, "main", "conflict.yaml", "something else\n")
	wantStatus(t, merge(q, ""), 405, "not mergeable")
	if q.Mergeable() != "dirty" {
		t.Errorf("mergeable is %s", q.Mergeable())
	}
	wantRefusal(t, w.alice.UpdateBranch(q), 422, "merge conflict")
	do(t, w.alice.Close(q))
	wantStatus(t, merge(q, ""), 405, "not mergeable")
	_, err := w.guest.Merge(w.pull("third"), "merge")
	wantRefusal(t, err, 403, "write rights")
}

func TestUpdateBranch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hooks := newReceiver(t, "x")
	w.repo.AddHook(hooks.url, "x", "pull_request", "push")
	p := w.pull("redis")
	head := p.HeadSHA()
	wantRefusal(t, w.bob.UpdateBranch(p), 422, "no new commits")
	w.commit(w.root, "main", "elsewhere.yaml", "x\n")
	_, _, err := w.as(w.bob).PullRequests.UpdateBranch(t.Context(), "acme", "vms", p.Number(), &github.PullRequestBranchUpdateOptions{ExpectedHeadSHA: github.String(w.repo.Head("main"))})
	wantStatus(t, err, 422, "expected head sha")
	_, _, err = w.as(w.bob).PullRequests.UpdateBranch(t.Context(), "acme", "vms", p.Number(), &github.PullRequestBranchUpdateOptions{ExpectedHeadSHA: github.String(head)})
	if accepted := new(github.AcceptedError); !errors.As(err, &accepted) {
		t.Fatal(err)
	}
	w.wait()
	c := must[forgetest.CommitInfo](t)(w.repo.Commit(p.HeadSHA()))
	if diff := cmp.Diff([]string{head, w.repo.Head("main")}, c.Parents); diff != "" {
		t.Errorf("parents (-want +got):\n%s", diff)
	}
	ev := last[*github.PullRequestEvent](t, hooks)
	if ev.GetAction() != "synchronize" || ev.GetSender().GetLogin() != "bob" {
		t.Errorf("event is %s by %s", ev.GetAction(), ev.GetSender().GetLogin())
	}
}

func TestIndirectMerge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull("redis")
	do(t, w.bob.Push(w.repo, "main", p.HeadSHA(), false))
	if !p.Merged() || p.MergeCommitSHA() != p.HeadSHA() {
		t.Errorf("merged %v as %s", p.Merged(), p.MergeCommitSHA())
	}
}
