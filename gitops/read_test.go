package gitops

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRead(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	sub := strings.Repeat("cd", 20)
	tip := o.commit(tree{
		"systems/shop/01.yaml": "spec: {}", "run": "100755 #!", "empty": "",
		"link": "120000 systems/shop/01.yaml", "systems/dirlink": "120000 shop", "mod": "160000 " + sub,
	})
	o.ref(main, tip)
	m := mirrored(t, o, main)
	for _, tt := range []struct {
		path string
		max  int64
		data string
		mode Mode
		err  error
		at   string // the offending component
	}{
		{path: "systems/shop/01.yaml", max: 8, data: "spec: {}", mode: Regular},
		{path: "run", max: 8, data: "#!", mode: Executable},
		{path: "empty", max: 0, mode: Regular},
		{path: "systems/shop/01.yaml", max: 7, mode: Regular, err: ErrTooLarge},
		{path: "systems/shop/02.yaml", max: 8, err: ErrNotFound},
		{path: "systems/shop/01.yaml/x", max: 8, err: ErrNotFound},
		{path: "systems/none/x", max: 8, err: ErrNotFound},
		{path: "systems/shop", max: 8, mode: Directory, err: ErrDirectory},
		{path: "", max: 8, mode: Directory, err: ErrDirectory},
		{path: "link", max: 100, mode: Symlink, err: ErrSymlink, at: "link"},
		{path: "systems/dirlink/01.yaml", max: 100, err: ErrSymlink, at: "systems/dirlink"},
		{path: "mod", max: 100, mode: Submodule, err: ErrSubmodule, at: "mod"},
		{path: "mod/a/b", max: 100, err: ErrSubmodule, at: "mod"},
		{path: "/run", max: 100, err: ErrNotFound},
		{path: "systems//shop", max: 100, err: ErrNotFound},
		{path: "systems/../run", max: 100, err: ErrNotFound},
		{path: "systems/shop/", max: 100, err: ErrNotFound},
		{path: strings.Repeat("a/", 3000), max: 100, err: ErrNotFound},
	} {
		data, mode, err := m.Read(t.Context(), tip, tt.path, tt.max)
		if string(data) != tt.data || mode != tt.mode || !errors.Is(err, tt.err) {
			t.Errorf("Read(%.40q, %d) = %q, %v, %v; want %q, %v, %v", tt.path, tt.max, data, mode, err, tt.data, tt.mode, tt.err)
		}
		var link *LinkError
		if errors.As(err, &link) && link.Path != tt.at {
			t.Errorf("Read(%q) blames %q, want %q", tt.path, link.Path, tt.at)
		}
	}
	if _, _, err := m.Read(t.Context(), SHA(strings.Repeat("3", 40)), "run", 8); !errors.Is(err, ErrNoCommit) || errors.Is(err, ErrNotFound) {
		t.Errorf("a missing commit must not look like a missing file: %v", err)
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := m.Read(done, tip, "run", 8); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestReadLargeFile has a file of 10 MB, on a server that can leave it out and on one that cannot.
func TestReadLargeFile(t *testing.T) {
	t.Parallel()
	for _, filter := range []bool{true, false} {
		t.Run(fmt.Sprintf("filter=%v", filter), func(t *testing.T) {
			t.Parallel()
			o := newOrigin(t)
			o.git("config", "uploadpack.allowFilter", fmt.Sprint(filter))
			noise := make([]byte, 10<<20)
			r := rand.NewChaCha8([32]byte{})
			if _, err := r.Read(noise); err != nil {
				t.Fatal(err)
			}
			base := o.commit(tree{"small": "x"})
			tip := o.commit(tree{"small": "x", "big": string(noise)}, base)
			o.ref(main, tip)
			s := serve(t, o)
			m := open(t, s)
			fetch(t, m, main)
			if _, _, err := m.Read(t.Context(), tip, "big", 64<<10); !errors.Is(err, ErrTooLarge) {
				t.Errorf("Read = %v", err)
			}
			if data, _, err := m.Read(t.Context(), tip, "small", 64<<10); string(data) != "x" || err != nil {
				t.Errorf("Read = %q, %v", data, err)
			}
			data, _, err := m.Read(t.Context(), tip, "big", 20<<20)
			if filter != errors.Is(err, ErrTooLarge) || !filter && string(data) != string(noise) {
				t.Errorf("Read of %d bytes: %v", len(data), err)
			}
			if got := s.bytes.Load(); filter != (got < 1<<20) {
				t.Errorf("%d bytes were downloaded", got)
			}
			changes, err := m.Diff(t.Context(), base, tip)
			if err != nil || len(changes) != 1 || changes[0].Path != "big" {
				t.Fatalf("Diff = %v, %v", changes, err)
			}
			if _, err := m.ReadBlob(changes[0].After.Hash, 64<<10); !errors.Is(err, ErrTooLarge) {
				t.Errorf("ReadBlob = %v", err)
			}
		})
	}
}

func TestReadTreeAndList(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	tip := o.commit(tree{
		"platform/sizes/small.yaml": "small", "platform/sizes/large.yaml": "large!", "platform/README.md": "read",
		"platform/link": "120000 /etc/passwd", "platformx": "x",
	})
	o.ref(main, tip)
	m := mirrored(t, o, main)
	got := map[string]string{}
	files, err := m.ReadTree(t.Context(), tip, "platform", 4, 15)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		got[f.Path] = f.Mode.String() + " " + string(f.Data)
	}
	want := map[string]string{
		"platform/README.md": "regular read", "platform/link": "symlink ",
		"platform/sizes/large.yaml": "regular large!", "platform/sizes/small.yaml": "regular small",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if _, err := m.ReadTree(t.Context(), tip, "platform", 3, 15); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too many files: %v", err)
	}
	if _, err := m.ReadTree(t.Context(), tip, "platform", 4, 14); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too many bytes: %v", err)
	}
	if files, err := m.List(t.Context(), tip, "", 5); len(files) != 5 || err != nil {
		t.Errorf("List of all = %v, %v", files, err)
	}
	if files, err := m.List(t.Context(), tip, "nowhere", 5); len(files) != 0 || err != nil {
		t.Errorf("List of nothing = %v, %v", files, err)
	}
	if files, err := m.List(t.Context(), tip, "platformx", 5); len(files) != 1 || err != nil {
		t.Errorf("List of a file = %v, %v", files, err)
	}
	if _, err := m.List(t.Context(), tip, "platform/link/x", 5); !errors.Is(err, ErrSymlink) {
		t.Errorf("List below a link: %v", err)
	}
}

func TestTreeHash(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	a := o.commit(tree{"platform/x": "1", "systems/y": "1", "link": "120000 platform"})
	b := o.commit(tree{"platform/x": "1", "systems/y": "2"}, a)
	o.ref(main, b)
	m := mirrored(t, o, main)
	hash := func(commit SHA, path string) SHA {
		t.Helper()
		h, err := m.TreeHash(commit, path)
		if err != nil {
			t.Error(err)
		}
		return h
	}
	if hash(a, "platform") != hash(b, "platform") || hash(a, "platform") != SHA(o.git("rev-parse", string(a)+":platform")) {
		t.Error("the same folder has two hashes")
	}
	if hash(a, "systems") == hash(b, "systems") || hash(a, "") == hash(b, "") {
		t.Error("different folders have one hash")
	}
	if hash(a, "nowhere") != "" || hash(a, "platform/x") != "" {
		t.Error("what is no folder has a hash")
	}
	if _, err := m.TreeHash(a, "link"); !errors.Is(err, ErrSymlink) {
		t.Errorf("link: %v", err)
	}
}
