package gitops

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// diffLines renders changes as git's raw format does: modes, ids, letter, path.
func diffLines(changes []FileChange) []string {
	lines := []string{}
	for _, c := range changes {
		letter, before, after := "M", "000000", "000000"
		zero := SHA(strings.Repeat("0", 40))
		from, to := zero, zero
		switch {
		case c.Before == nil:
			letter = "A"
		case c.After == nil:
			letter = "D"
		case kind(c.Before.Mode) != kind(c.After.Mode):
			letter = "T"
		}
		if c.Before != nil {
			before, from = gitMode(c.Before.Mode), c.Before.Hash
		}
		if c.After != nil {
			after, to = gitMode(c.After.Mode), c.After.Hash
		}
		lines = append(lines, fmt.Sprintf(":%s %s %s %s %s\t%s", before, after, from, to, letter, c.Path))
	}
	return lines
}

func gitMode(m Mode) string {
	return map[Mode]string{Regular: "100644", Executable: "100755", Symlink: "120000", Submodule: "160000"}[m]
}

func kind(m Mode) string { return gitMode(m)[:3] }

// gitDiff is git's own answer, sorted like ours. An empty from is the empty tree.
func gitDiff(o *origin, from, to SHA, under ...string) []string {
	o.tb.Helper()
	if from == "" {
		from = fromHash(emptyTree)
		git(o.tb, o.dir, strings.NewReader(""), "hash-object", "-w", "-t", "tree", "--stdin")
	}
	args := []string{"diff-tree", "-r", "-z", "--no-renames", "--raw", "--no-abbrev", string(from), string(to)}
	if len(under) > 0 {
		args = append(append(args, "--"), under...)
	}
	fields := strings.Split(o.git(args...), "\x00")
	lines := []string{}
	for i := 0; i+1 < len(fields); i += 2 {
		lines = append(lines, fields[i]+"\t"+fields[i+1])
	}
	slices.SortFunc(lines, func(a, b string) int { return strings.Compare(a[strings.Index(a, "\t"):], b[strings.Index(b, "\t"):]) })
	return lines
}

func TestDiff(t *testing.T) {
	t.Parallel()
	base := tree{
		"README.md": "hello", "systems/shop/redis/prod/01.yaml": "one", "systems/shop/redis/prod/02.yaml": "two",
		"systems/shop/system.yaml": "shop", "platform/sizes/small.yaml": "s", "tools/run": "100755 x",
	}
	sub := strings.Repeat("ab", 20)
	for _, tt := range []struct {
		name   string
		change func(tree) tree
		under  []string
		want   []string // letter and path
	}{
		{"nothing", func(t tree) tree { return t }, nil, nil},
		{"nested change", func(t tree) tree { return t.with("systems/shop/redis/prod/02.yaml", "2") }, nil,
			[]string{"M systems/shop/redis/prod/02.yaml"}},
		{"move is removal and addition", func(t tree) tree {
			return t.without("systems/shop/redis/prod/02.yaml").with("systems/shop/redis/test/02.yaml", "two")
		}, nil, []string{"D systems/shop/redis/prod/02.yaml", "A systems/shop/redis/test/02.yaml"}},
		{"file becomes folder", func(t tree) tree {
			return t.without("systems/shop/system.yaml").with("systems/shop/system.yaml/01.yaml", "x")
		}, nil, []string{"D systems/shop/system.yaml", "A systems/shop/system.yaml/01.yaml"}},
		{"folder becomes file", func(t tree) tree {
			return t.without("platform/sizes/small.yaml").with("platform/sizes", "x")
		}, nil, []string{"A platform/sizes", "D platform/sizes/small.yaml"}},
		{"mode only", func(t tree) tree { return t.with("tools/run", "x") }, nil, []string{"M tools/run"}},
		{"file becomes symlink", func(t tree) tree { return t.with("README.md", "120000 tools/run") }, nil, []string{"T README.md"}},
		{"folder becomes symlink", func(t tree) tree {
			return t.without("platform/sizes/small.yaml").with("platform/sizes", "120000 ../systems")
		}, nil, []string{"A platform/sizes", "D platform/sizes/small.yaml"}},
		{"submodule", func(t tree) tree { return t.with("systems/evil", "160000 "+sub) }, nil, []string{"A systems/evil"}},
		{"everything removed", func(tree) tree { return tree{} }, []string{"systems", "platform/"},
			[]string{"D platform/sizes/small.yaml", "D systems/shop/redis/prod/01.yaml", "D systems/shop/redis/prod/02.yaml", "D systems/shop/system.yaml"}},
		{"under a prefix that is no folder", func(t tree) tree {
			return t.with("systems2/x", "x").with("system", "x").with("systems/y", "y")
		}, []string{"systems"}, []string{"A systems/y"}},
		{"under one file", func(t tree) tree { return t.with("README.md", "x").with("README.md2", "x") },
			[]string{"README.md"}, []string{"M README.md"}},
		{"strange names", func(t tree) tree { return t.with("systems/\xff\xfe", "x").with("systems/a\tb", "x").with("-", "x") }, nil,
			[]string{"A -", "A systems/a\tb", "A systems/\xff\xfe"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t)
			from := o.commit(base)
			to := o.commit(tt.change(base), from)
			o.ref(main, to)
			m := mirrored(t, o, main)
			changes, err := m.Diff(t.Context(), from, to, tt.under...)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, line := range diffLines(changes) {
				meta, path, _ := strings.Cut(line, "\t")
				got = append(got, meta[len(meta)-1:]+" "+path)
			}
			if d := cmp.Diff(tt.want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
			if d := cmp.Diff(gitDiff(o, from, to, tt.under...), diffLines(changes)); d != "" {
				t.Errorf("(-git +mirror)\n%s", d)
			}
		})
	}
}

func TestDiffOfRootCommitAndEmptyTree(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	root := o.commit(tree{"a/b": "1", "c": "2"})
	empty := o.commit(tree{}, root)
	o.ref(main, empty)
	m := mirrored(t, o, main)
	for _, tt := range []struct{ from, to SHA }{{"", root}, {root, empty}, {empty, root}, {"", empty}} {
		got, err := m.Diff(t.Context(), tt.from, tt.to)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(gitDiff(o, tt.from, tt.to), diffLines(got)); d != "" {
			t.Errorf("%s..%s (-git +mirror)\n%s", tt.from, tt.to, d)
		}
	}
	if _, err := m.Diff(t.Context(), root, SHA(strings.Repeat("2", 40))); !errors.Is(err, ErrNoCommit) {
		t.Errorf("diff to a commit that is not there: %v", err)
	}
}

// randomTree changes a tree at random. The names are chosen so that files and folders sort around
// each other ("a" < "a.b" < "a/" < "a0").
func randomTree(r *rand.Rand, t tree) tree {
	names := []string{"a", "a.b", "a0", "b", "a-"}
	next := maps.Clone(t)
	for range 1 + r.IntN(6) {
		var parts []string
		for range 1 + r.IntN(4) {
			parts = append(parts, names[r.IntN(len(names))])
		}
		path := strings.Join(parts, "/")
		maps.DeleteFunc(next, func(p, _ string) bool {
			return strings.HasPrefix(p, path+"/") || strings.HasPrefix(path, p+"/")
		})
		mode := []string{"", "", "", "100755 ", "120000 "}[r.IntN(5)]
		if r.IntN(4) == 0 {
			delete(next, path)
		} else {
			next[path] = mode + fmt.Sprint(r.IntN(5))
		}
	}
	return next
}

func randomSnapshots(o *origin, r *rand.Rand, n int) []SHA {
	o.tb.Helper()
	var b bytes.Buffer
	t := tree{}
	for i := 1; i <= n; i++ {
		t = randomTree(r, t)
		fmt.Fprintf(&b, "commit %s\nmark :%d\ncommitter B <b@b> %d +0000\ndata 1\nx\ndeleteall\n", main, i, 1_700_000_000+i)
		for path, content := range t {
			writeEntry(&b, path, content)
		}
	}
	marks := filepath.Join(o.tb.TempDir(), "marks")
	git(o.tb, o.dir, &b, "fast-import", "--quiet", "--export-marks="+marks)
	return readMarks(o.tb, marks, n)
}

// TestDiffEqualsGit compares with git diff-tree on random histories.
func TestDiffEqualsGit(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(7, seed))
			o := newOrigin(t)
			all := randomSnapshots(o, r, 120)
			m := mirrored(t, o, main)
			for range 60 {
				from, to := all[r.IntN(len(all))], all[r.IntN(len(all))]
				under := [][]string{nil, {"a"}, {"a/a.b", "b"}}[r.IntN(3)]
				got, err := m.Diff(t.Context(), from, to, under...)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(gitDiff(o, from, to, under...), diffLines(got)); d != "" {
					t.Fatalf("%s..%s under %q (-git +mirror)\n%s", from, to, under, d)
				}
			}
		})
	}
}
