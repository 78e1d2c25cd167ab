package forgetest_test

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// Pushes by git, REST calls, people and deliveries at once must neither lose anything nor race.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	w := newWorld(t, forgetest.Options{DeliveryConcurrency: 4})
	hooks := newReceiver(t, "x")
	w.repo.AddHook(hooks.url, "x", "pull_request", "push")
	const workers, rounds = 4, 3
	dir := t.TempDir()
	var wg sync.WaitGroup
	for n := range workers {
		wg.Go(func() {
			clone := filepath.Join(dir, fmt.Sprint("clone", n))
			if out, err := git(t, ".", "clone", "-q", w.repo.CloneURLFor(w.alice), clone); err != nil {
				t.Errorf("clone: %v %s", err, out)
				return
			}
			for i := range rounds {
				if err := w.oneLife(clone, fmt.Sprintf("w%d-%d", n, i)); err != nil {
					t.Errorf("worker %d: %v", n, err)
				}
			}
		})
	}
	wg.Wait()
	w.wait()
	closed := 0
	for _, p := range w.repo.Pulls() {
		if _, there := w.repo.File("main", p.HeadRef()+".yaml"); !p.Merged() || !there {
			t.Errorf("#%d merged %v, file on main %v", p.Number(), p.Merged(), there)
		}
	}
	for _, a := range hooks.all() {
		if a.action == "closed" {
			closed++
		}
	}
	if closed != workers*rounds {
		t.Errorf("%d closed events, want %d", closed, workers*rounds)
	}
}

// oneLife takes a pull request from commit to merge, with an empty commit pushed by git in between.
func (w *world) oneLife(clone, branch string) error {
	files := forgetest.Files{branch + ".yaml": []byte(branch)}
	if _, err := w.alice.Commit(w.repo, branch, "main", files, branch); err != nil {
		return err
	}
	p, err := w.alice.OpenPull(w.repo, branch, branch, "main", "", false)
	if err != nil {
		return err
	}
	for _, args := range [][]string{{"fetch", "-q", "origin"}, {"checkout", "-q", branch}, {"commit", "-q", "--allow-empty", "-m", "by git"}, {"push", "-q", "origin", branch}} {
		if out, err := git(w.t, clone, args...); err != nil {
			return fmt.Errorf("git %v: %w: %s", args, err, out)
		}
	}
	_, _, err = w.as(w.bob).PullRequests.Merge(w.t.Context(), "acme", "vms", p.Number(), "", &github.PullRequestOptions{SHA: p.HeadSHA()})
	return err
}
