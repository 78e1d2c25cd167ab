package gitops

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/object"
)

// walk is what all ways through trees share: the paths that are wanted, the budget, and the end of
// patience.
type walk struct {
	ctx    context.Context
	m      *Mirror
	under  []string
	budget int
}

func (m *Mirror) newWalk(ctx context.Context, under []string) *walk {
	clean := make([]string, 0, len(under))
	for _, u := range under {
		if u = strings.Trim(u, "/"); u == "" {
			clean = nil // everything
			break
		}
		clean = append(clean, u)
	}
	return &walk{ctx: ctx, m: m, under: clean, budget: walkBudget}
}

// enter reads a folder, after asking whether the walk may go on.
func (w *walk) enter(e object.TreeEntry, path string) ([]object.TreeEntry, error) {
	if err := w.ctx.Err(); err != nil {
		return nil, err
	}
	if err := w.spend(path); err != nil {
		return nil, err
	}
	if len(path) > maxPathBytes {
		return nil, fmt.Errorf("%w: path of %d bytes", ErrMalformed, len(path))
	}
	entries, err := w.m.tree(e.Hash)
	w.budget -= len(entries) * entryPrice
	return entries, err
}

func (w *walk) spend(path string) error {
	w.budget -= len(path) + pathPrice
	if w.budget < 0 {
		return fmt.Errorf("%w: too many entries", ErrTooLarge)
	}
	return nil
}

// wants reports whether a path is one of those asked for or lies below one.
func (w *walk) wants(path string) bool {
	if len(w.under) == 0 {
		return true
	}
	for _, u := range w.under {
		if rest, ok := strings.CutPrefix(path, u); ok && (rest == "" || rest[0] == '/') {
			return true
		}
	}
	return false
}

// leads reports whether a folder may hold a wanted path.
func (w *walk) leads(dir string) bool {
	if dir == "" || w.wants(dir) {
		return true
	}
	for _, u := range w.under {
		if strings.HasPrefix(u, dir) && u[len(dir)] == '/' {
			return true
		}
	}
	return false
}

func child(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}
