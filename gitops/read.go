package gitops

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// Read is the content of a regular file at a commit. ErrNotFound when the commit has no such path,
// ErrTooLarge when it is longer than max (nothing is inflated then), ErrDirectory for a folder, and a
// LinkError when the path or a folder on it is a symbolic link or a submodule.
func (m *Mirror) Read(ctx context.Context, commit SHA, path string, max int64) ([]byte, Mode, error) {
	data, mode, err := m.read(ctx, commit, path, max)
	if err != nil {
		return nil, mode, fmt.Errorf("read %q at %s: %w", path, commit.Short(), err)
	}
	return data, mode, nil
}

func (m *Mirror) read(ctx context.Context, commit SHA, path string, max int64) ([]byte, Mode, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	e, err := m.resolve(commit, path)
	if err != nil {
		return nil, 0, err
	}
	mode := fromFileMode(e.Mode)
	switch mode {
	case Directory:
		return nil, mode, ErrDirectory
	case Symlink, Submodule:
		return nil, mode, &LinkError{Path: path, Mode: mode}
	}
	data, err := m.blob(e.Hash, max)
	return data, mode, err
}

// ReadBlob is the content behind an id from Diff or List; ErrTooLarge when it is longer than max or
// was too large to be mirrored.
func (m *Mirror) ReadBlob(hash SHA, max int64) ([]byte, error) {
	data, err := m.blob(hash.hash(), max)
	if err != nil {
		return nil, fmt.Errorf("read blob %s: %w", hash.Short(), err)
	}
	return data, nil
}

func (m *Mirror) blob(h plumbing.Hash, max int64) ([]byte, error) {
	size, err := m.store.Size(h)
	switch {
	case errors.Is(err, plumbing.ErrObjectNotFound):
		// All objects of a commit come with it, but for the files that were left out for their size.
		return nil, fmt.Errorf("%w: %d bytes or more, not mirrored", ErrTooLarge, m.opt.MaxBlob)
	case err != nil:
		return nil, m.damage(err)
	case size > max:
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, size, max)
	}
	obj, err := m.store.Object(h)
	if err != nil {
		return nil, m.damage(err)
	}
	if obj.Type() != plumbing.BlobObject {
		return nil, fmt.Errorf("%w: a %s where a file is named", ErrMalformed, obj.Type())
	}
	r, err := obj.Reader()
	if err != nil {
		return nil, m.damage(err)
	}
	defer r.Close()
	data := make([]byte, size)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, m.damage(err)
	}
	return data, nil
}

// List names the files under a path at a commit ("" for all), in git's order, without reading them.
// Symbolic links and submodules are listed with their mode. Nothing there is an empty list; more than
// maxFiles is ErrTooLarge.
func (m *Mirror) List(ctx context.Context, commit SHA, under string, maxFiles int) ([]File, error) {
	l := lister{walk: m.newWalk(ctx, nil), max: maxFiles}
	e, err := m.resolve(commit, under)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err == nil {
		err = l.visit(under, e)
	}
	if err != nil {
		return nil, fmt.Errorf("list %q at %s: %w", under, commit.Short(), err)
	}
	return l.files, nil
}

type lister struct {
	*walk
	files []File
	max   int
}

func (l *lister) visit(path string, e object.TreeEntry) error {
	if e.Mode != filemode.Dir {
		if len(l.files) >= l.max {
			return fmt.Errorf("%w: more than %d files", ErrTooLarge, l.max)
		}
		l.files = append(l.files, File{Path: path, Blob: *toBlob(&e)})
		return l.spend(path)
	}
	entries, err := l.enter(e, path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := l.visit(child(path, e.Name), e); err != nil {
			return err
		}
	}
	return nil
}

// ReadTree is List with the content of all regular files, together at most maxBytes. Links and
// submodules come without content: it is for the caller to refuse them.
func (m *Mirror) ReadTree(ctx context.Context, commit SHA, under string, maxFiles int, maxBytes int64) ([]File, error) {
	files, err := m.List(ctx, commit, under, maxFiles)
	if err != nil {
		return nil, err
	}
	for i := range files {
		f := &files[i]
		if !f.Mode.IsFile() {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if f.Data, err = m.blob(SHA(f.Hash).hash(), maxBytes); err != nil {
			return nil, fmt.Errorf("read %q at %s: %w", f.Path, commit.Short(), err)
		}
		maxBytes -= int64(len(f.Data))
	}
	return files, nil
}
