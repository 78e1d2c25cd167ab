package forgetest_test

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

func TestGitData(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, bot := w.app("")
	g := bot.Git
	main := w.repo.Head("main")
	base := got[*github.Commit](t)(g.GetCommit(t.Context(), "acme", "vms", main))
	blob := got[*github.Blob](t)(g.CreateBlob(t.Context(), "acme", "vms", &github.Blob{Content: github.String("aGVsbG8="), Encoding: github.String("base64")}))
	if raw, _, err := g.GetBlobRaw(t.Context(), "acme", "vms", blob.GetSHA()); err != nil || len(raw) == 0 {
		t.Errorf("raw blob: %q, %v", raw, err)
	}
	tree := got[*github.Tree](t)(g.CreateTree(t.Context(), "acme", "vms", base.GetTree().GetSHA(), []*github.TreeEntry{
		{Path: github.String("a/b/hello.txt"), Mode: github.String("100644"), Type: github.String("blob"), SHA: blob.SHA},
		{Path: github.String("a/link"), Mode: github.String("120000"), Type: github.String("blob"), Content: github.String("b/hello.txt")},
		{Path: github.String("README.md"), Mode: github.String("100644"), Type: github.String("blob")},
	}))
	full := got[*github.Tree](t)(g.GetTree(t.Context(), "acme", "vms", tree.GetSHA(), true))
	var paths []string
	for _, e := range full.Entries {
		paths = append(paths, e.GetMode()+" "+e.GetPath())
	}
	want := []string{"040000 a", "040000 a/b", "100644 a/b/hello.txt", "120000 a/link"}
	if diff := cmp.Diff(want, paths); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	c := got[*github.Commit](t)(g.CreateCommit(t.Context(), "acme", "vms", &github.Commit{
		Message: github.String("by hand"), Tree: tree, Parents: []*github.Commit{{SHA: &main}},
	}, nil))
	ref := got[*github.Reference](t)(g.CreateRef(t.Context(), "acme", "vms", &github.Reference{
		Ref: github.String("refs/heads/bot/undo"), Object: &github.GitObject{SHA: c.SHA},
	}))
	if w.repo.Head("bot/undo") != c.GetSHA() || ref.GetObject().GetSHA() != c.GetSHA() {
		t.Errorf("branch is at %s, want %s", w.repo.Head("bot/undo"), c.GetSHA())
	}
	refusals(t, w, bot, c.GetSHA())
	do(t, second(g.DeleteRef(t.Context(), "acme", "vms", "refs/heads/bot/undo")))
	if w.repo.Head("bot/undo") != "" {
		t.Error("the branch is still there")
	}
	if out, err := git(t, w.repo.Dir(), "fsck", "--strict"); err != nil {
		t.Errorf("git fsck: %v\n%s", err, out)
	}
}

func refusals(t *testing.T, w *world, bot *github.Client, sha string) {
	t.Helper()
	g := bot.Git
	ref := func(name, sha string) *github.Reference {
		return &github.Reference{Ref: &name, Object: &github.GitObject{SHA: &sha}}
	}
	_, _, err := g.CreateRef(t.Context(), "acme", "vms", ref("refs/heads/bot/undo", sha))
	wantStatus(t, err, 422, "already exists")
	_, _, err = g.CreateRef(t.Context(), "acme", "vms", ref("refs/pull/9/head", sha))
	wantStatus(t, err, 422, "must start with")
	_, _, err = g.UpdateRef(t.Context(), "acme", "vms", ref("refs/heads/bot/undo", w.repo.Head("main")), false)
	wantStatus(t, err, 422, "not a fast forward")
	got[*github.Reference](t)(g.UpdateRef(t.Context(), "acme", "vms", ref("refs/heads/bot/undo", w.repo.Head("main")), true))
	_, _, err = g.UpdateRef(t.Context(), "acme", "vms", ref("refs/heads/none", sha), false)
	wantStatus(t, err, 422, "does not exist")
	_, _, err = g.GetRef(t.Context(), "acme", "vms", "refs/heads/none")
	wantStatus(t, err, 404, "Not Found")
	got[*github.Reference](t)(g.GetRef(t.Context(), "acme", "vms", "refs/heads/bot/undo"))
	if n := len(got[[]*github.Reference](t)(g.ListMatchingRefs(t.Context(), "acme", "vms", &github.ReferenceListOptions{Ref: "heads/bot"}))); n != 1 {
		t.Errorf("%d matching references", n)
	}
	_, _, err = g.CreateTree(t.Context(), "acme", "vms", "", []*github.TreeEntry{{Path: github.String("x"), Mode: github.String("100644"), SHA: github.String(sha)}})
	wantStatus(t, err, 422, "not a valid blob")
	_, _, err = w.as(w.guest).Git.CreateBlob(t.Context(), "acme", "vms", &github.Blob{Content: github.String("x")})
	wantStatus(t, err, 403, "write rights")
}

func TestContents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	c := w.as(w.alice).Repositories
	put := func(text, sha, branch string) (*github.RepositoryContentResponse, error) {
		opts := &github.RepositoryContentFileOptions{Message: github.String("write"), Content: []byte(text), Branch: &branch}
		if sha != "" {
			opts.SHA = &sha
		}
		res, _, err := c.UpdateFile(t.Context(), "acme", "vms", "dir/file.yaml", opts)
		return res, err
	}
	made := must[*github.RepositoryContentResponse](t)(put("one\n", "", "main"))
	_, err := put("two\n", "", "main")
	wantStatus(t, err, 422, "wasn't supplied")
	_, err = put("two\n", w.repo.Head("main"), "main")
	wantStatus(t, err, 409, "does not match")
	_, err = put("two\n", "", "nothing")
	wantStatus(t, err, 404, "not found")
	must[*github.RepositoryContentResponse](t)(put("two\n", made.GetContent().GetSHA(), "main"))
	file, _, _, err := c.GetContents(t.Context(), "acme", "vms", "dir/file.yaml", &github.RepositoryContentGetOptions{Ref: "main"})
	do(t, err)
	if text := must[string](t)(file.GetContent()); text != "two\n" {
		t.Errorf("file is %q", text)
	}
	_, dir, _, err := c.GetContents(t.Context(), "acme", "vms", "", nil)
	if err != nil || len(dir) != 2 || dir[1].GetName() != "dir" || dir[1].GetType() != "dir" {
		t.Errorf("directory is %v, %v", dir, err)
	}
	_, _, _, err = c.GetContents(t.Context(), "acme", "vms", "none", nil)
	wantStatus(t, err, 404, "Not Found")
	got[*github.RepositoryContentResponse](t)(c.DeleteFile(t.Context(), "acme", "vms", "dir/file.yaml",
		&github.RepositoryContentFileOptions{Message: github.String("gone"), SHA: file.SHA}))
	if _, there := w.repo.File("main", "dir/file.yaml"); there {
		t.Error("the file is still there")
	}
}

func TestCompareAndCommits(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.forked()
	c := w.as(w.alice).Repositories
	for name, tc := range map[string]struct {
		base, head, status string
		ahead, behind      int
	}{
		"diverged":  {"main", "redis", "diverged", 2, 1},
		"by commit": {w.repo.Head("main"), p.HeadSHA(), "diverged", 2, 1},
		"identical": {"main", "main", "identical", 0, 0},
		"qualified": {"acme:main", "acme:redis", "diverged", 2, 1},
	} {
		cmpr := got[*github.CommitsComparison](t)(c.CompareCommits(t.Context(), "acme", "vms", tc.base, tc.head, nil))
		if cmpr.GetStatus() != tc.status || cmpr.GetAheadBy() != tc.ahead || cmpr.GetBehindBy() != tc.behind {
			t.Errorf("%s: %s, %d ahead, %d behind", name, cmpr.GetStatus(), cmpr.GetAheadBy(), cmpr.GetBehindBy())
		}
	}
	_, _, err := c.CompareCommits(t.Context(), "acme", "vms", "main", "nothing", nil)
	wantStatus(t, err, 404, "Not Found")
	one := got[*github.RepositoryCommit](t)(c.GetCommit(t.Context(), "acme", "vms", "redis", nil))
	if one.GetSHA() != p.HeadSHA() || len(one.Files) != 1 || one.GetStats().GetTotal() != 1 || one.GetCommitter().GetLogin() != "bob" {
		t.Errorf("commit is %v", one)
	}
	_, _, err = c.GetCommit(t.Context(), "acme", "vms", "0123456789012345678901234567890123456789", nil)
	wantStatus(t, err, 422, "No commit found")
	if n := len(got[[]*github.RepositoryCommit](t)(c.ListCommits(t.Context(), "acme", "vms", &github.CommitsListOptions{SHA: "redis"}))); n != 3 {
		t.Errorf("%d commits", n)
	}
	if n := len(got[[]*github.Branch](t)(c.ListBranches(t.Context(), "acme", "vms", nil))); n != 2 {
		t.Errorf("%d branches", n)
	}
	w.commit(w.alice, "feature/with/slashes", "x", "x")
	got[*github.Branch](t)(c.GetBranch(t.Context(), "acme", "vms", "feature/with/slashes", 0))
	got[*github.CombinedStatus](t)(c.GetCombinedStatus(t.Context(), "acme", "vms", "feature/with/slashes", nil))
}

func TestAttribution(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	do(t, second(w.alice.Commit(w.repo, "odd", "main", forgetest.Files{"x": []byte("y")}, "odd", forgetest.AuthoredBy("Nobody", "nobody@nowhere"), forgetest.CommittedBy("Bob", "bob@example.com"))))
	c := got[*github.RepositoryCommit](t)(w.as(w.alice).Repositories.GetCommit(t.Context(), "acme", "vms", "odd", nil))
	if c.Author != nil || c.GetCommitter().GetLogin() != "bob" || c.GetCommit().GetAuthor().GetName() != "Nobody" {
		t.Errorf("commit by %v, %v", c.Author, c.Committer)
	}
}

func TestOddFiles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	sub := w.repo.Head("main")
	do(t, second(w.alice.Commit(w.repo, "odd", "main", forgetest.Files{"link": []byte("README.md"), "sub": []byte(sub), "run": []byte("#!")}, "odd",
		forgetest.WithMode("link", "120000"), forgetest.WithMode("sub", "160000"), forgetest.WithMode("run", "100755"))))
	dir := filepath.Join(t.TempDir(), "odd")
	mustGit(t, ".", "clone", "-q", "-b", "odd", w.repo.CloneURL(), dir)
	want := "100644 README.md\n120000 link\n100755 run\n160000 sub"
	if diff := cmp.Diff(want, mustGit(t, dir, "ls-files", "--format=%(objectmode) %(path)")); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
