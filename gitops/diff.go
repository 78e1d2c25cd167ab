package gitops

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Diff lists the paths at which the trees of two commits differ, in the order of their bytes; given
// under, only those paths and what lies below them. It compares tree with tree: no file is read, no
// folder that is the same on both sides, no history. A moved file is a removal and an addition; where
// a file became a folder, the file is removed and what the folder holds is added. An empty from is the
// empty tree, for the first commit of a branch. ErrTooLarge for more than a few hundred thousand
// changes.
func (m *Mirror) Diff(ctx context.Context, from, to SHA, under ...string) ([]FileChange, error) {
	d := differ{walk: m.newWalk(ctx, under)}
	a, b := object.TreeEntry{Mode: filemode.Dir, Hash: emptyTree}, object.TreeEntry{}
	var err error
	if from != "" {
		a, err = m.root(from)
	}
	if err == nil {
		b, err = m.root(to)
	}
	if err == nil {
		err = d.folders("", a, b)
	}
	if err != nil {
		return nil, fmt.Errorf("diff %s..%s: %w", from.Short(), to.Short(), err)
	}
	slices.SortFunc(d.changes, func(x, y FileChange) int { return strings.Compare(x.Path, y.Path) })
	return d.changes, nil
}

type differ struct {
	*walk
	changes []FileChange
}

// folders compares two folders at one path.
func (d *differ) folders(dir string, a, b object.TreeEntry) error {
	if a.Hash == b.Hash || !d.leads(dir) {
		return nil
	}
	before, err := d.enter(a, dir)
	if err != nil {
		return err
	}
	after, err := d.enter(b, dir)
	if err != nil {
		return err
	}
	for len(before) > 0 || len(after) > 0 {
		var x, y *object.TreeEntry
		x, y, before, after = nextPair(before, after)
		if err := d.entry(dir, x, y); err != nil {
			return err
		}
	}
	return nil
}

// nextPair takes what comes first in git's order off two lists: entries of one name and kind (file or
// folder) together, else one alone. A file and a folder of one name thus come apart.
func nextPair(a, b []object.TreeEntry) (x, y *object.TreeEntry, restA, restB []object.TreeEntry) {
	switch {
	case len(b) == 0:
		return &a[0], nil, a[1:], b
	case len(a) == 0:
		return nil, &b[0], a, b[1:]
	}
	switch c := compareEntries(a[0], b[0]); {
	case c < 0:
		return &a[0], nil, a[1:], b
	case c > 0:
		return nil, &b[0], a, b[1:]
	default:
		return &a[0], &b[0], a[1:], b[1:]
	}
}

// entry compares what two folders have at one name. Both sides are folders or neither is.
func (d *differ) entry(dir string, x, y *object.TreeEntry) error {
	if x != nil && y != nil && x.Hash == y.Hash && x.Mode == y.Mode {
		return nil
	}
	some := x
	if some == nil {
		some = y
	}
	path := child(dir, some.Name)
	if some.Mode == filemode.Dir {
		return d.folders(path, orEmpty(x), orEmpty(y))
	}
	if !d.wants(path) {
		return nil
	}
	d.changes = append(d.changes, FileChange{Path: path, Before: toBlob(x), After: toBlob(y)})
	return d.spend(path)
}

func orEmpty(e *object.TreeEntry) object.TreeEntry {
	if e == nil {
		return object.TreeEntry{Mode: filemode.Dir, Hash: emptyTree}
	}
	return *e
}

func toBlob(e *object.TreeEntry) *Blob {
	if e == nil {
		return nil
	}
	return &Blob{Hash: fromHash(e.Hash), Mode: fromFileMode(e.Mode)}
}
