package gitops

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// rawTree stores a tree object as given, entries "mode name" with an id each, unsorted and unchecked.
func (o *origin) rawTree(entries ...string) SHA {
	o.tb.Helper()
	var b bytes.Buffer
	for _, e := range entries {
		head, id, _ := strings.Cut(e, "\x00")
		raw, err := hex.DecodeString(id)
		if err != nil {
			o.tb.Fatal(err)
		}
		b.WriteString(head + "\x00")
		b.Write(raw)
	}
	return SHA(git(o.tb, o.dir, &b, "hash-object", "-t", "tree", "-w", "--literally", "--stdin"))
}

func (o *origin) rawBlob(content string) SHA {
	o.tb.Helper()
	return SHA(git(o.tb, o.dir, strings.NewReader(content), "hash-object", "-w", "--stdin"))
}

func (o *origin) commitTree(tree SHA) SHA {
	o.tb.Helper()
	return SHA(o.git("commit-tree", "-m", "x", string(tree)))
}

func TestHostileTrees(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	good := o.commit(tree{"a": "1"})
	blob := string(o.rawBlob("x"))
	sub := string(o.rawTree("100644 f\x00" + blob))
	file := func(name string) string { return "100644 " + name + "\x00" + blob }
	dir := func(name string) string { return "40000 " + name + "\x00" + sub }
	for _, tt := range []struct {
		name    string
		entries []string
		want    string // one path of the diff; "" is ErrMalformed
	}{
		{"dot dot", []string{file("..")}, ""},
		{"dot", []string{dir(".")}, ""},
		{"slash in a name", []string{file("systems/shop/01.yaml")}, ""},
		{"absolute", []string{file("/etc/passwd")}, ""},
		{"repeated", []string{file("x"), file("x")}, ""},
		{"file and folder", []string{file("x"), file("x.y"), dir("x")}, ""},
		{"unsorted", []string{file("y"), file("x")}, ""},
		{"git folder", []string{dir(".git")}, ".git/f"},
		{"backslash", []string{file(`..\x`)}, `..\x`},
		{"not UTF-8", []string{file("\xff\xfe")}, "\xff\xfe"},
		{"newline", []string{file("a\nb")}, "a\nb"},
		{"long name", []string{file(strings.Repeat("n", 4000))}, strings.Repeat("n", 4000)},
		{"padded mode", []string{"040000 p\x00" + sub}, "p/f"},
		{"group-writable mode", []string{"100664 w\x00" + blob}, "w"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tip := o.commitTree(o.rawTree(tt.entries...))
			o.ref(main, tip)
			o.ref("refs/heads/good", good)
			m := mirrored(t, o, main, "refs/heads/good")
			changes, err := m.Diff(t.Context(), good, tip)
			files, listErr := m.List(t.Context(), tip, "", 10)
			if tt.want == "" {
				if !errors.Is(err, ErrMalformed) || !errors.Is(listErr, ErrMalformed) || changes != nil || files != nil {
					t.Errorf("Diff = %v, %v; List = %v, %v; want ErrMalformed", changes, err, files, listErr)
				}
				return
			}
			if err != nil || listErr != nil || len(files) != 1 || files[0].Path != tt.want {
				t.Fatalf("Diff: %v; List = %.100v, %v", err, files, listErr)
			}
			data, _, err := m.Read(t.Context(), tip, tt.want, 10)
			if string(data) != "x" || err != nil {
				t.Errorf("Read = %q, %v", data, err)
			}
		})
	}
}

func TestHostileDepthAndBreadth(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.git("config", "uploadpack.allowFilter", "false") // git itself would walk the bomb to filter it
	good := o.commit(tree{"a": "1"})
	blob := string(o.rawBlob("x"))
	deep := o.commit(tree{strings.Repeat("d/", 2100) + "f": "x"})
	bomb := o.rawTree("100644 f\x00" + blob)
	for range 9 { // 10^9 files in ten small objects
		var entries []string
		for i := range 10 {
			entries = append(entries, fmt.Sprintf("40000 d%d\x00%s", i, bomb))
		}
		bomb = o.rawTree(entries...)
	}
	for name, tt := range map[string]struct {
		tip  SHA
		want error
	}{"deep": {deep, ErrMalformed}, "bomb": {o.commitTree(bomb), ErrTooLarge}} {
		t.Run(name, func(t *testing.T) {
			tip := tt.tip
			o.ref("refs/heads/"+name, tip)
			o.ref(main, good)
			m := mirrored(t, o, main, "refs/heads/"+name)
			if _, err := m.Diff(t.Context(), good, tip); !errors.Is(err, tt.want) {
				t.Errorf("Diff: %v, want %v", err, tt.want)
			}
			if _, err := m.List(t.Context(), tip, "", 1000_000_000); !errors.Is(err, tt.want) {
				t.Errorf("List: %v, want %v", err, tt.want)
			}
		})
	}
}

// FuzzTree feeds arbitrary bytes as a tree object. What is accepted must have one reading: names that
// are unique, can be looked up, and cannot be taken for a path.
func FuzzTree(f *testing.F) {
	id := strings.Repeat("\x11", 20)
	f.Add([]byte("100644 a\x00" + id + "40000 b\x00" + id))
	f.Add([]byte("100644 a\x00" + id + "100644 a.b\x00" + id + "40000 a\x00" + id))
	f.Add([]byte("160000 ..\x00" + id))
	f.Add([]byte("999999 \x00" + id))
	f.Fuzz(func(t *testing.T, raw []byte) {
		obj := &plumbing.MemoryObject{}
		obj.SetType(plumbing.TreeObject)
		if _, err := obj.Write(raw); err != nil {
			t.Fatal(err)
		}
		entries, err := decodeTree(obj)
		if err != nil {
			return
		}
		seen := make(map[string]bool)
		for _, e := range entries {
			if seen[e.Name] || e.Name == "" || e.Name == ".." || strings.Contains(e.Name, "/") {
				t.Fatalf("accepted the name %q", e.Name)
			}
			seen[e.Name] = true
			if got, ok := lookup(entries, e.Name); !ok || got != e {
				t.Fatalf("%q cannot be looked up", e.Name)
			}
		}
	})
}
