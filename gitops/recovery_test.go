package gitops

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// one gives the only file that matches, inside the mirror's folder.
func one(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found[0]
}

func edit(t *testing.T, path string, f func([]byte) []byte) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, f(raw), 0o600); err != nil {
		t.Fatal(err)
	}
}

func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[(at+len(b))%len(b)] ^= 0x40
		return b
	}
}

func half(b []byte) []byte { return b[:len(b)/2] }

// TestOpenAfterDamage damages each file of a mirror and expects a mirror that works after one fetch.
func TestOpenAfterDamage(t *testing.T) {
	t.Parallel()
	pack, idx := "objects/pack/*.pack", "objects/pack/*.idx"
	for _, tt := range []struct {
		name    string
		damage  func(t *testing.T, dir string)
		survive bool // what was fetched is still there without a new fetch
	}{
		{"nothing", func(*testing.T, string) {}, true},
		{"pack truncated", func(t *testing.T, dir string) { edit(t, one(t, dir, pack), half) }, false},
		{"pack empty", func(t *testing.T, dir string) { edit(t, one(t, dir, pack), func([]byte) []byte { return nil }) }, false},
		{"bit flipped in the pack", func(t *testing.T, dir string) { edit(t, one(t, dir, pack), flip(40)) }, false},
		{"bit flipped in the trailer", func(t *testing.T, dir string) { edit(t, one(t, dir, pack), flip(-1)) }, false},
		{"index truncated", func(t *testing.T, dir string) { edit(t, one(t, dir, idx), half) }, false},
		{"bit flipped in the index", func(t *testing.T, dir string) { edit(t, one(t, dir, idx), flip(1050)) }, false},
		{"pack gone", func(t *testing.T, dir string) { remove(t, one(t, dir, pack)) }, false},
		{"index gone", func(t *testing.T, dir string) { remove(t, one(t, dir, idx)) }, false},
		{"everything gone but the description", func(t *testing.T, dir string) { remove(t, filepath.Join(dir, "objects")) }, false},
		{"references garbled", func(t *testing.T, dir string) { edit(t, filepath.Join(dir, refsFile), half) }, false},
		{"description garbled", func(t *testing.T, dir string) { edit(t, filepath.Join(dir, descriptionFile), half) }, false},
		{"died before the references were written", func(t *testing.T, dir string) { remove(t, filepath.Join(dir, refsFile)) }, false},
		{"died during a fetch", func(t *testing.T, dir string) {
			write(t, filepath.Join(dir, "objects/pack/tmp_pack_1"), "PACK")
			write(t, filepath.Join(dir, "objects/pack/pack-"+strings.Repeat("a", 40)+".idx"), "x")
			write(t, filepath.Join(dir, refsFile+".new"), "x")
		}, true},
		{"garbage beside it", func(t *testing.T, dir string) { write(t, filepath.Join(dir, "objects/pack/pack-x.pack"), "garbage") }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t)
			tip := o.commit(tree{"a": "1"}, o.commit(tree{"a": "0"}))
			o.ref(main, tip)
			s, dir := serve(t, o), filepath.Join(t.TempDir(), "m")
			m := openIn(t, s, dir)
			fetch(t, m, main)
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			tt.damage(t, dir)
			m = openIn(t, s, dir)
			if got, err := m.Branch("main"); (got == tip && err == nil) != tt.survive {
				t.Errorf("after the damage Branch = %s, %v", got, err)
			}
			fetch(t, m, main)
			if data, _, err := m.Read(t.Context(), tip, "a", 10); string(data) != "1" || err != nil {
				t.Errorf("Read = %q, %v", data, err)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, "objects/pack/tmp_*")); len(left) > 0 {
				t.Errorf("left over: %v", left)
			}
			git(t, dir, nil, "fsck", "--strict") // still a repository for git
		})
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
}

// TestDamageWhileRunning overwrites the pack of an open mirror: reading says so, the next fetch
// repairs it.
func TestDamageWhileRunning(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	big := strings.Repeat("a line of a file that compresses to something\n", 1000)
	tip := o.commit(tree{"a": "1", "dir/b": big})
	o.ref(main, tip)
	o.ref(PullRef(3), tip)
	m := mirrored(t, o, main, PullRef(3))
	edit(t, one(t, m.opt.Dir, "objects/pack/*.pack"), func(b []byte) []byte {
		return append(b[:12:12], bytes.Repeat([]byte{0xff}, len(b)-12)...)
	})
	if _, _, err := m.Read(t.Context(), tip, "dir/b", 1<<20); !errors.Is(err, ErrDamaged) {
		t.Fatalf("Read of a damaged mirror: %v", err)
	}
	fetch(t, m, main)
	if data, _, err := m.Read(t.Context(), tip, "dir/b", 1<<20); string(data) != big || err != nil {
		t.Errorf("after the repair: %d bytes, %v", len(data), err)
	}
	if got, err := m.Ref(PullRef(3)); got != tip || err != nil {
		t.Errorf("a reference that the repairing fetch did not name: %s, %v", got, err)
	}
}

func TestOpenRefusesWhatIsNotItsOwn(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.ref(main, o.commit(tree{"a": "1"}))
	s := serve(t, o)
	home := t.TempDir()
	write(t, filepath.Join(home, "precious"), "x")
	if _, err := Open(t.Context(), Options{Dir: home, URL: s.url()}); err == nil {
		t.Error("a folder with other files was taken")
	}
	if _, err := os.Stat(filepath.Join(home, "precious")); err != nil {
		t.Error(err)
	}

	dir := filepath.Join(t.TempDir(), "m")
	m := openIn(t, s, dir)
	fetch(t, m, main)
	if _, err := Open(t.Context(), Options{Dir: dir, URL: s.url()}); !errors.Is(err, ErrInUse) {
		t.Errorf("opened twice: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := m.Fetch(t.Context(), main); !errors.Is(err, ErrClosed) {
		t.Errorf("fetch after Close: %v", err)
	}

	// Another repository, or larger files than were kept: nothing of the old mirror may be used.
	for _, opt := range []Options{{URL: s.URL + "/other.git"}, {URL: s.URL + "/other.git", MaxBlob: 1 << 30}} {
		opt.Dir = dir
		m, err := Open(t.Context(), opt)
		if err != nil {
			t.Fatal(err)
		}
		if refs := m.Refs(); len(refs) != 0 {
			t.Errorf("%+v: old references %v", opt, refs)
		}
		if n, _ := m.Size(); n != 0 {
			t.Errorf("%+v: %d old packs", opt, n)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}

	for _, url := range []string{"", "git@github.com:a/b", "file:///tmp/x", "https://u:p@host/x", "http://", "ht tp://x"} {
		if _, err := Open(t.Context(), Options{Dir: t.TempDir(), URL: url}); err == nil || strings.Contains(err.Error(), "u:p") {
			t.Errorf("URL %q: %v", url, err)
		}
	}
}
