package gitops

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// TestMirrorStaysSmall lives through many pull requests that come and go: packs are joined, and a
// mirror full of what nobody refers to is cloned anew.
func TestMirrorStaysSmall(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	base := o.commit(tree{"systems/shop/01.yaml": "a"})
	o.ref(main, base)
	m := mirrored(t, o, main)
	m.floor = 40 << 10
	r := rand.NewChaCha8([32]byte{1})
	var last SHA
	grown := int64(0)
	for range 3 * maxPacks {
		noise := make([]byte, 2<<10)
		if _, err := r.Read(noise); err != nil {
			t.Fatal(err)
		}
		last = o.commit(tree{"systems/shop/01.yaml": string(noise)}, base)
		o.ref(PullRef(1), last) // a forced push each time
		fetch(t, m, PullRef(1))
		n, size := m.Size()
		grown = max(grown, size)
		if n > maxPacks {
			t.Fatalf("%d packs", n)
		}
		if size > 48<<10 {
			t.Fatalf("%d bytes", size)
		}
	}
	if _, size := m.Size(); grown < 40<<10 || size > grown-4<<10 {
		t.Errorf("%d bytes at most, %d now: it was never cloned anew", grown, size)
	}
	if got, err := m.MergeBase(t.Context(), base, last); got != base || err != nil {
		t.Errorf("MergeBase = %s, %v", got, err)
	}
	if got, err := m.Branch("main"); got != base || err != nil {
		t.Errorf("Branch = %s, %v", got, err)
	}
}

// TestFailedFetchMovesNothing has downloads that fail, for new commits and for a clone anew.
func TestFailedFetchMovesNothing(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	base := o.commit(tree{"a": "1"})
	o.ref(main, base)
	s := serve(t, o)
	m := open(t, s)
	fetch(t, m, main)
	o.ref(main, o.commit(tree{"a": strings.Repeat("2", 4000)}, base))
	m.opt.MaxPack = 10
	for _, damaged := range []bool{false, true} {
		m.damaged.Store(damaged)
		if err := m.Fetch(t.Context(), main); err == nil {
			t.Fatal("a pack over the limit was taken")
		}
		if got, err := m.Branch("main"); got != base || err != nil {
			t.Errorf("Branch = %s, %v", got, err)
		}
		if data, _, err := m.Read(t.Context(), base, "a", 10); string(data) != "1" || err != nil {
			t.Errorf("Read = %q, %v", data, err)
		}
	}
}

func TestRefsForgetTheLongestUnused(t *testing.T) {
	t.Parallel()
	tip := plumbing.NewHash(strings.Repeat("5", 40))
	r := newRefs(map[string]plumbing.Hash{main: tip})
	for n := 0; n < maxPullRefs+10; n += 10 {
		asked, tips := []string{PullRef(5)}, map[string]plumbing.Hash{PullRef(5): tip}
		for i := n; i < n+10; i++ {
			asked, tips[PullRef(i)] = append(asked, PullRef(i)), tip
		}
		r, _ = r.update(asked, tips)
	}
	for name, want := range map[string]bool{main: true, PullRef(5): true, PullRef(0): false, PullRef(9): false,
		PullRef(500): true, PullRef(maxPullRefs + 9): true} {
		if _, ok := r[name]; ok != want {
			t.Errorf("%s: there is %v, want %v", name, ok, want)
		}
	}
	if len(r) != maxPullRefs+1 {
		t.Errorf("%d references", len(r))
	}
	if _, moved := r.update([]string{main}, map[string]plumbing.Hash{main: tip}); moved {
		t.Error("nothing moved")
	}
}

// FuzzPackedRefs reads arbitrary bytes as the references file; what is accepted survives writing.
func FuzzPackedRefs(f *testing.F) {
	f.Add([]byte("# pack-refs with: sorted \n" + strings.Repeat("1", 40) + " refs/heads/main\n"))
	f.Add([]byte("x"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, refsFile), raw, 0o600); err != nil {
			t.Fatal(err)
		}
		tips, err := readRefs(dir)
		if err != nil {
			return
		}
		if err := writeRefs(dir, tips); err != nil {
			t.Fatal(err)
		}
		again, err := readRefs(dir)
		if err != nil || fmt.Sprint(again) != fmt.Sprint(tips) {
			t.Fatalf("%v became %v, %v", tips, again, err)
		}
	})
}

func TestParseSHA(t *testing.T) {
	t.Parallel()
	for in, ok := range map[string]bool{
		strings.Repeat("a", 40): true, strings.Repeat("A", 40): true, strings.Repeat("a", 39): false,
		strings.Repeat("g", 40): false, "": false, strings.Repeat("a", 64): false, "HEAD": false,
	} {
		sha, err := ParseSHA(in)
		if (err == nil) != ok || ok && string(sha) != strings.ToLower(in) {
			t.Errorf("ParseSHA(%q) = %q, %v", in, sha, err)
		}
	}
	if !errors.Is(&LinkError{"a", Symlink}, ErrSymlink) || errors.Is(&LinkError{"a", Submodule}, ErrSymlink) {
		t.Error("LinkError does not tell links from submodules")
	}
}
