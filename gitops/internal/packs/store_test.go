package packs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

const limit = 64 << 20

func git(t *testing.T, dir, stdin string, args ...string) []byte {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_NOSYSTEM=1", "GIT_CONFIG_GLOBAL="+os.DevNull)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, errs.String())
	}
	return out
}

// versions makes a repository in which one long file and a folder change n times, so that packs hold
// deltas, and gives its folder.
func versions(t *testing.T, n int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "r.git")
	git(t, ".", "", "init", "-q", "--bare", "-b", "main", dir)
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "commit refs/heads/main\ncommitter B <b@b> %d +0000\ndata 1\nx\n", 1_700_000_000+i)
		long := strings.Repeat("the same line again and again\n", 400) + fmt.Sprint("version ", i)
		fmt.Fprintf(&b, "M 100644 inline long\ndata %d\n%s\nM 100644 inline dir/f%d\ndata 1\nx\n", len(long), long, i)
	}
	git(t, dir, b.String(), "fast-import", "--quiet")
	return dir
}

// packOf is a pack of everything that a revision reaches.
func packOf(t *testing.T, dir, revs string, flags ...string) []byte {
	t.Helper()
	args := append([]string{"pack-objects", "--revs", "--stdout", "-q", "--no-reuse-delta"}, flags...)
	return git(t, dir, revs+"\n", args...)
}

func openStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "pack"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func add(t *testing.T, s *Store, pack []byte) {
	t.Helper()
	if err := s.Add(bytes.NewReader(pack), limit); err != nil {
		t.Fatal(err)
	}
}

// compare reads every object of a repository from the store, and checks it against its own id.
func compare(t *testing.T, s *Store, dir string) {
	t.Helper()
	ids := strings.Fields(string(git(t, dir, "", "rev-list", "--objects", "--no-object-names", "main")))
	for _, id := range ids {
		h := plumbing.NewHash(id)
		obj, err := s.Object(h)
		if err != nil {
			t.Fatal(err)
		}
		r, err := obj.Reader()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil || plumbing.ComputeHash(obj.Type(), data) != h {
			t.Fatalf("%s reads as something else: %v", id, err)
		}
		if n, err := s.Size(h); n != int64(len(data)) || err != nil {
			t.Fatalf("Size(%s) = %d, %v; want %d", id, n, err, len(data))
		}
		if !s.Has(h) {
			t.Fatalf("Has(%s) is false", id)
		}
	}
	if len(ids) < 10 {
		t.Fatalf("only %d objects", len(ids))
	}
}

// TestJoin joins packs that overlap, with deltas by distance and by id: each object must still read
// as itself, now and after opening again.
func TestJoin(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--delta-base-offset", "--no-delta-base-offset"} {
		t.Run(flag, func(t *testing.T) {
			t.Parallel()
			dir, s := versions(t, 12), openStore(t)
			for i := 11; i >= 0; i-- { // each holds all that the later ones hold
				add(t, s, packOf(t, dir, fmt.Sprintf("main~%d", i), flag))
			}
			add(t, s, packOf(t, dir, "main~3", flag)) // the same bytes again
			if n, _ := s.Stats(); n != 12 {
				t.Fatalf("%d packs", n)
			}
			if err := s.Compact(12); err != nil {
				t.Fatal(err)
			}
			if n, _ := s.Stats(); n != 12 {
				t.Errorf("joined though there were not too many: %d packs", n)
			}
			if err := s.Compact(4); err != nil {
				t.Fatal(err)
			}
			if n, _ := s.Stats(); n != 1 {
				t.Errorf("%d packs of nearly one size were left", n)
			}
			compare(t, s, dir)
			again, err := Open(s.dir, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			compare(t, again, dir)
			files, err := os.ReadDir(s.dir)
			if err != nil || len(files) != 2 {
				t.Errorf("files left: %v, %v", files, err)
			}
		})
	}
}

func TestToJoin(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		sizes string
		want  int
	}{
		{"1000", 1}, {"10 1000", 1}, {"10 20 1000", 1}, {"10 19 1000", 2},
		{"5 5 5 1000", 3}, {"5 5 5 29", 4}, {"5 5 5 30 90 270", 3}, {"100 100", 2},
	} {
		var all []*pack
		for size := range strings.FieldsSeq(tt.sizes) {
			p := &pack{}
			if _, err := fmt.Sscan(size, &p.size); err != nil {
				t.Fatal(err)
			}
			all = append([]*pack{p}, all...)
		}
		if got := len(toJoin(all)); got != tt.want {
			t.Errorf("toJoin(%s) = %d packs, want %d", tt.sizes, got, tt.want)
		}
	}
}

func TestReplace(t *testing.T) {
	t.Parallel()
	dir, other, s := versions(t, 5), versions(t, 9), openStore(t)
	add(t, s, packOf(t, dir, "main"))
	add(t, s, packOf(t, dir, "main~2"))
	old := plumbing.NewHash(strings.TrimSpace(string(git(t, dir, "", "rev-parse", "main:dir"))))
	compare(t, s, dir)
	if err := s.Replace(strings.NewReader("PACK nonsense"), limit); err == nil {
		t.Error("nonsense was taken")
	}
	compare(t, s, dir)
	for range 2 { // the second time with the very same bytes
		if err := s.Replace(bytes.NewReader(packOf(t, other, "main")), limit); err != nil {
			t.Fatal(err)
		}
		compare(t, s, other)
	}
	if n, _ := s.Stats(); n != 1 {
		t.Errorf("%d packs", n)
	}
	only := plumbing.NewHash(strings.TrimSpace(string(git(t, other, "", "rev-parse", "main:dir"))))
	if !s.Has(only) || old == only {
		t.Fatal("the test needs two different folders")
	}
	if err := s.Replace(bytes.NewReader(packOf(t, dir, "main")), limit); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Object(only); !errors.Is(err, plumbing.ErrObjectNotFound) {
		t.Errorf("what was replaced is still read, from the cache: %v", err)
	}
}

func TestAddRefusesBrokenPacks(t *testing.T) {
	t.Parallel()
	dir, s := versions(t, 5), openStore(t)
	good := packOf(t, dir, "main")
	thin := packOf(t, dir, "main\n^main~1", "--thin")
	flipped := bytes.Clone(good)
	flipped[len(flipped)/2] ^= 1
	for name, raw := range map[string][]byte{
		"nothing": nil, "no pack": []byte("hello"), "truncated": good[:len(good)-30], "cut trailer": good[:len(good)-3],
		"bit flipped": flipped, "thin": thin,
	} {
		if err := s.Add(bytes.NewReader(raw), limit); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	if err := s.Add(bytes.NewReader(good), int64(len(good))-1); !errors.Is(err, ErrPackTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
	if files, err := os.ReadDir(s.dir); len(files) != 0 || err != nil {
		t.Errorf("left over: %v, %v", files, err)
	}
	empty := git(t, dir, "", "pack-objects", "--stdout", "-q")
	if err := s.Add(bytes.NewReader(empty), limit); err != nil {
		t.Errorf("a pack without objects: %v", err)
	}
	if err := s.Add(bytes.NewReader(good), int64(len(good))); err != nil {
		t.Error(err)
	}
	compare(t, s, dir)
}

// TestReadersAndChanges is for the race detector.
func TestReadersAndChanges(t *testing.T) {
	t.Parallel()
	dir, s := versions(t, 10), openStore(t)
	packs := make([][]byte, 10)
	for i := range packs {
		packs[i] = packOf(t, dir, fmt.Sprintf("main~%d", i))
	}
	add(t, s, packs[0])
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range 3 {
				compare(t, s, dir)
			}
		})
	}
	wg.Go(func() {
		for i := 9; i >= 0; i-- {
			add(t, s, packs[i])
			if err := s.Compact(2); err != nil {
				t.Error(err)
			}
			if err := s.Replace(bytes.NewReader(packs[0]), limit); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
}
