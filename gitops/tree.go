package gitops

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

const (
	maxPathBytes = 4096 // as long as a path can be on Linux
	// walkBudget bounds what one walk may visit and list: a few crafted trees that contain each other's
	// copies describe billions of files. Each folder and each file listed costs its path and
	// pathPrice, each entry looked at entryPrice; half a million files fit.
	walkBudget = 64 << 20
	pathPrice  = 64
	entryPrice = 16
)

// tree reads the entries of a folder, in git's order. It refuses what git fsck refuses and what could
// be read in two ways: unsorted or repeated names, "", ".", "..", and names with a slash.
func (m *Mirror) tree(h plumbing.Hash) ([]object.TreeEntry, error) {
	if h == emptyTree {
		return nil, nil // git lets trees refer to it without storing it
	}
	obj, err := m.store.Object(h)
	if err != nil {
		return nil, m.damage(fmt.Errorf("read tree %s: %w", h, err))
	}
	entries, err := decodeTree(obj)
	if err != nil {
		return nil, fmt.Errorf("tree %s: %w: %w", h, ErrMalformed, err)
	}
	return entries, nil
}

func decodeTree(obj plumbing.EncodedObject) ([]object.TreeEntry, error) {
	t, err := object.DecodeTree(nil, obj)
	if err != nil {
		return nil, err
	}
	return t.Entries, checkEntries(t.Entries)
}

var emptyTree = plumbing.NewHash("4b825dc642cb6eb9a060e54bf8d69288fbee4904")

func checkEntries(entries []object.TreeEntry) error {
	for i, e := range entries {
		if e.Name == "" || e.Name == "." || e.Name == ".." || strings.ContainsRune(e.Name, '/') {
			return fmt.Errorf("entry %.100q", e.Name)
		}
		if i > 0 && compareEntries(entries[i-1], e) >= 0 {
			return fmt.Errorf("entry %.100q repeated or out of order", e.Name)
		}
		// A file and a folder of one name are not neighbours in git's order.
		if e.Mode == filemode.Dir && hasFile(entries[:i], e.Name) {
			return fmt.Errorf("entry %.100q repeated", e.Name)
		}
	}
	return nil
}

func hasFile(entries []object.TreeEntry, name string) bool {
	_, ok := findEntry(entries, object.TreeEntry{Name: name})
	return ok
}

func findEntry(entries []object.TreeEntry, want object.TreeEntry) (int, bool) {
	return slices.BinarySearchFunc(entries, want, compareEntries)
}

// compareEntries is git's order: by name, where a folder's ends with a slash.
func compareEntries(a, b object.TreeEntry) int {
	n := min(len(a.Name), len(b.Name))
	if c := strings.Compare(a.Name[:n], b.Name[:n]); c != 0 {
		return c
	}
	return int(after(a, n)) - int(after(b, n))
}

// after is the byte of the entry's sort name at n, or 0 at its end. Names hold no NUL.
func after(e object.TreeEntry, n int) byte {
	switch {
	case n < len(e.Name):
		return e.Name[n]
	case e.Mode == filemode.Dir:
		return '/'
	default:
		return 0
	}
}

// lookup finds one name in a folder, whether it is a file or a folder.
func lookup(entries []object.TreeEntry, name string) (object.TreeEntry, bool) {
	for _, mode := range []filemode.FileMode{filemode.Regular, filemode.Dir} {
		if i, ok := findEntry(entries, object.TreeEntry{Name: name, Mode: mode}); ok {
			return entries[i], true
		}
	}
	return object.TreeEntry{}, false
}

// root is the tree of a commit, as an entry.
func (m *Mirror) root(commit SHA) (object.TreeEntry, error) {
	c, err := m.commit(commit.hash())
	if err != nil {
		return object.TreeEntry{}, err
	}
	return object.TreeEntry{Mode: filemode.Dir, Hash: c.TreeHash}, nil
}

// resolve follows a path down from a commit. "" is the root. A link on the way is a LinkError, a file
// on the way and an absent name are ErrNotFound; what stands at the end is the caller's to judge.
func (m *Mirror) resolve(commit SHA, path string) (object.TreeEntry, error) {
	at, err := m.root(commit)
	if err != nil || path == "" {
		return at, err
	}
	if len(path) > maxPathBytes {
		return at, fmt.Errorf("%w: the path that begins with %.100q", ErrNotFound, path)
	}
	walked := 0
	for name := range strings.SplitSeq(path, "/") {
		if at, err = m.step(at, name, path[:max(0, walked-1)]); err != nil {
			return at, err
		}
		walked += len(name) + 1
	}
	return at, nil
}

// step goes from the entry at a path to one of its children.
func (m *Mirror) step(at object.TreeEntry, name, path string) (object.TreeEntry, error) {
	switch mode := fromFileMode(at.Mode); {
	case mode == Symlink || mode == Submodule:
		return at, &LinkError{Path: path, Mode: mode}
	case mode != Directory:
		return at, fmt.Errorf("%w: %q is a file", ErrNotFound, path)
	}
	entries, err := m.tree(at.Hash)
	if err != nil {
		return at, err
	}
	e, ok := lookup(entries, name)
	if !ok {
		return at, fmt.Errorf("%w: %q has no %.100q", ErrNotFound, path, name)
	}
	return e, nil
}

// TreeHash is the id of the folder at a path ("" is the root), and "" when there is none. Equal ids
// mean equal content, so it is the key for anything computed from the folder.
func (m *Mirror) TreeHash(commit SHA, path string) (SHA, error) {
	e, err := m.resolve(commit, path)
	switch {
	case errors.Is(err, ErrNotFound):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("folder %q at %s: %w", path, commit.Short(), err)
	case e.Mode == filemode.Dir:
		return fromHash(e.Hash), nil
	case fromFileMode(e.Mode).IsFile():
		return "", nil
	default:
		return "", fmt.Errorf("folder at %s: %w", commit.Short(), &LinkError{path, fromFileMode(e.Mode)})
	}
}
