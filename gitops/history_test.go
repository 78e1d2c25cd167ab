package gitops

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// dag makes commits from lines "name: parent parent"; all with the same empty tree and one second
// apart.
func (o *origin) dag(lines ...string) map[string]SHA {
	o.tb.Helper()
	made := make(map[string]SHA)
	for _, line := range lines {
		name, rest, _ := strings.Cut(line, ":")
		var parents []SHA
		for p := range strings.FieldsSeq(rest) {
			parents = append(parents, made[p])
		}
		o.clock++
		made[name] = o.commitAt(o.clock, name, tree{"f": name}, parents...)
		o.ref("refs/heads/"+name, made[name])
	}
	return made
}

func branches(made map[string]SHA) (refs []string) {
	for name := range made {
		refs = append(refs, BranchRef(name))
	}
	return refs
}

func TestMergeBase(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	c := o.dag(
		"root:", "a1: root", "a2: a1", "b1: a1", "b2: b1", // a branch off a1
		"m: a2 b1",         // merged half-way
		"b3: b2",           // and worked on
		"x1: a2", "y1: a2", // criss-cross
		"x2: x1 y1", "y2: y1 x1",
		"x3: x2", "y3: y2",
		"alien:", "back: root", // unrelated, and from the beginning
	)
	m := mirrored(t, o, branches(c)...)
	for _, tt := range []struct{ a, b, want string }{
		{"a2", "b2", "a1"}, {"b2", "a2", "a1"},
		{"m", "b3", "b1"}, // after a merge the base has moved
		{"m", "m", "m"},   // itself
		{"root", "m", "root"}, {"m", "root", "root"},
		{"m", "back", "root"},
		{"x3", "y3", "x1"}, // two best bases: the one on the first side's own line
		{"y3", "x3", "y1"},
	} {
		got, err := m.MergeBase(t.Context(), c[tt.a], c[tt.b])
		if got != c[tt.want] || err != nil {
			t.Errorf("MergeBase(%s, %s) = %s, %v; want %s", tt.a, tt.b, got.Short(), err, tt.want)
		}
	}
	if _, err := m.MergeBase(t.Context(), c["m"], c["alien"]); !errors.Is(err, ErrUnrelated) {
		t.Errorf("unrelated: %v", err)
	}
	missing := SHA(strings.Repeat("1", 40))
	for _, bad := range []SHA{missing, "", "main"} {
		if _, err := m.MergeBase(t.Context(), c["m"], bad); !errors.Is(err, ErrNoCommit) {
			t.Errorf("MergeBase with %q: %v", bad, err)
		}
	}
}

func TestMergeBaseOffTheFirstParentLine(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	// Both sides have merged p and q as second parents, so neither base is on a first-parent line.
	c := o.dag("root:", "p: root", "q: root", "l1: root", "l2: l1 p", "l3: l2 q", "r1: root", "r2: r1 q", "r3: r2 p")
	m := mirrored(t, o, branches(c)...)
	for range 3 {
		if got, err := m.MergeBase(t.Context(), c["l3"], c["r3"]); got != c["q"] || err != nil {
			t.Errorf("MergeBase = %s, %v; want the newest, %s", got, err, c["q"])
		}
	}
}

func TestFirstParents(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	c := o.dag(
		"c0:",
		"p1: c0", "p2: p1", "merge: c0 p2", // a merge commit
		"squash: merge",        // a squash is one commit
		"r1: squash", "r2: r1", // a rebase merge is several
		"rewritten: c0",
	)
	m := mirrored(t, o, branches(c)...)
	names := func(commits []Commit) string {
		var s []string
		for _, c := range commits {
			s = append(s, c.Subject())
		}
		return strings.Join(s, " ")
	}
	for _, tt := range []struct {
		from, to string
		max      int
		want     string
	}{
		{"c0", "r2", 10, "merge squash r1 r2"},
		{"merge", "r2", 10, "squash r1 r2"},
		{"c0", "r2", 2, "merge squash"}, // the oldest first, to go on from
		{"r2", "r2", 10, ""},
		{"c0", "c0", 10, ""},
	} {
		got, err := m.FirstParents(t.Context(), c[tt.from], c[tt.to], tt.max)
		if names(got) != tt.want || err != nil {
			t.Errorf("FirstParents(%s, %s, %d) = %s, %v; want %s", tt.from, tt.to, tt.max, names(got), err, tt.want)
		}
	}
	for _, tt := range []struct{ from, to string }{
		{"r2", "rewritten"}, // a forced push
		{"p1", "r2"},        // an ancestor, but of a side branch
		{"r2", "squash"},    // set back
	} {
		if got, err := m.FirstParents(t.Context(), c[tt.from], c[tt.to], 10); !errors.Is(err, ErrRewritten) {
			t.Errorf("FirstParents(%s, %s) = %s, %v; want ErrRewritten", tt.from, tt.to, names(got), err)
		}
	}
}

func TestCommit(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	root := o.commitAt(1_700_000_000, "add redis\n\nfor the sale", tree{"a": "1"})
	o.ref(main, o.commitAt(1_700_000_005, "bad \xff byte", tree{"a": "2"}, root))
	m := mirrored(t, o, main)
	got, err := m.Commit(root)
	if err != nil {
		t.Fatal(err)
	}
	if got.SHA != root || len(got.Parents) != 0 || got.Tree != SHA(o.git("rev-parse", string(root)+"^{tree}")) {
		t.Errorf("got %+v", got)
	}
	if got.Author.Name != "Ann" || got.Author.Email != "ann@example.org" || got.Committer.Name != "Bob" ||
		got.Committer.Time.Unix() != 1_700_000_000 || got.Subject() != "add redis" {
		t.Errorf("got %+v", got)
	}
	tip, _ := m.Branch("main")
	if c, err := m.Commit(tip); c.Message != "bad \uFFFD byte" || err != nil || !slices.Equal(c.Parents, []SHA{root}) {
		t.Errorf("got %+v, %v", c, err)
	}
	if _, err := m.Commit(got.Tree); !errors.Is(err, ErrNoCommit) {
		t.Errorf("a tree taken for a commit: %v", err)
	}
}

func TestCommitsIsBounded(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	c := o.dag("c0:", "b1: c0", "b2: b1", "p1: c0", "p2: p1", "p3: p2 b1")
	m := mirrored(t, o, branches(c)...)
	got, err := m.Commits(t.Context(), c["b2"], c["p3"], 3)
	if err != nil || len(got) != 3 || got[0].SHA != c["p3"] || got[2].SHA != c["p1"] {
		t.Errorf("Commits = %v, %v", got, err)
	}
	if _, err := m.Commits(t.Context(), c["b2"], c["p3"], 2); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too many: %v", err)
	}
}

// randomDAG makes n commits with one to three parents each, most of them recent; skew is by how many
// seconds their clocks may be wrong.
func randomDAG(o *origin, r *rand.Rand, n, skew int) []SHA {
	o.tb.Helper()
	var b bytes.Buffer
	for i := 1; i <= n; i++ {
		when := 1_700_000_000 + i*10
		if skew > 0 {
			when += r.IntN(2*skew) - skew
		}
		fmt.Fprintf(&b, "commit refs/heads/c%d\nmark :%d\ncommitter B <b@b> %d +0000\ndata 1\nx\n", i, i, when)
		verb := "from"
		for range r.IntN(4) {
			if i > 1 && r.IntN(12) > 0 {
				fmt.Fprintf(&b, "%s :%d\n", verb, i-1-r.IntN(min(i-1, 6)))
				verb = "merge"
			}
		}
	}
	marks := filepath.Join(o.tb.TempDir(), "marks")
	git(o.tb, o.dir, &b, "fast-import", "--quiet", "--export-marks="+marks)
	return readMarks(o.tb, marks, n)
}

func readMarks(tb testing.TB, path string, n int) []SHA {
	tb.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	all := make([]SHA, n)
	for line := range strings.Lines(string(raw)) {
		var i int
		var sha string
		if _, err := fmt.Sscanf(line, ":%d %s", &i, &sha); err != nil {
			tb.Fatal(err)
		}
		all[i-1] = SHA(sha)
	}
	return all
}

// TestAncestryEqualsGit compares merge bases, ancestry and commit ranges with git's on random
// histories, with clocks right and wrong.
func TestAncestryEqualsGit(t *testing.T) {
	t.Parallel()
	for _, skew := range []int{0, 30, 1000} {
		t.Run(fmt.Sprintf("skew=%d", skew), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(42, uint64(skew)))
			o := newOrigin(t)
			all := randomDAG(o, r, 60, skew)
			var refs []string
			for i := range all {
				refs = append(refs, fmt.Sprintf("refs/heads/c%d", i+1))
			}
			m := mirrored(t, o, refs...)
			for range 40 {
				compareAncestry(t, o, m, all[r.IntN(len(all))], all[r.IntN(len(all))], skew > 0)
			}
		})
	}
}

func compareAncestry(t *testing.T, o *origin, m *Mirror, a, b SHA, skewed bool) {
	t.Helper()
	// Reachability by brute force, because git itself errs when clocks are wrong.
	inA, inB := reach(o, a), reach(o, b)
	bases, err := m.mergeBases(t.Context(), a.hash(), b.hash())
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, h := range bases {
		got = append(got, h.String())
	}
	slices.Sort(got)
	want := strings.Fields(o.gitMaybe("merge-base", "--all", string(a), string(b)))
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("merge bases of %s and %s (-git +mirror):\n%s", a, b, d)
	}
	if is, err := m.IsAncestor(t.Context(), a, b); err != nil || is != inB[a] {
		t.Errorf("IsAncestor(%s, %s) = %v, %v", a, b, is, err)
	}
	commits, err := m.Commits(t.Context(), a, b, 1000)
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[SHA]bool)
	for _, c := range commits {
		listed[c.SHA] = true
		if !inB[c.SHA] || (inA[c.SHA] && !skewed) {
			t.Errorf("Commits(%s, %s) lists %s", a, b, c.SHA)
		}
	}
	for sha := range inB {
		if !inA[sha] && !listed[sha] {
			t.Errorf("Commits(%s, %s) misses %s", a, b, sha)
		}
	}
}

func reach(o *origin, tip SHA) map[SHA]bool {
	all := make(map[SHA]bool)
	for line := range strings.FieldsSeq(o.git("rev-list", string(tip))) {
		all[SHA(line)] = true
	}
	return all
}

// gitMaybe is for commands that answer "none" with exit code 1.
func (o *origin) gitMaybe(args ...string) string {
	o.tb.Helper()
	return git(o.tb, o.dir, nil, append([]string{"-c", "alias.try=!git \"$@\" || true; :", "try"}, args...)...)
}
