package gitops

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// maxNodes bounds the commits whose parents are kept in memory, about 20 MB.
const maxNodes = 100_000

// node is what walking needs of a commit.
type node struct {
	parents []plumbing.Hash
	time    int64 // the committer's, hence only a hint about the order
}

// graph remembers nodes. When it is full it starts over: a walk soon fills it with what is in use.
type graph struct {
	mu    sync.RWMutex
	nodes map[plumbing.Hash]node
}

func (g *graph) get(h plumbing.Hash) (node, bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	n, ok := g.nodes[h]
	return n, ok
}

func (g *graph) put(h plumbing.Hash, n node) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.nodes == nil || len(g.nodes) >= maxNodes {
		g.nodes = make(map[plumbing.Hash]node)
	}
	g.nodes[h] = n
}

func (g *graph) clear() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.nodes = nil
}

func (m *Mirror) node(h plumbing.Hash) (node, error) {
	if n, ok := m.graph.get(h); ok {
		return n, nil
	}
	c, err := m.commit(h)
	if err != nil {
		return node{}, err
	}
	n := node{parents: c.ParentHashes, time: c.Committer.When.Unix()}
	m.graph.put(h, n)
	return n, nil
}

// ancestor is node for a commit that is reached from one that is there. That it is missing is
// damage.
func (m *Mirror) ancestor(h plumbing.Hash) (node, error) {
	n, err := m.node(h)
	if errors.Is(err, ErrNoCommit) {
		return n, m.damage(err)
	}
	return n, err
}

// commit reads a commit; ErrNoCommit when it is not there or is something else.
func (m *Mirror) commit(h plumbing.Hash) (*object.Commit, error) {
	obj, err := m.store.Object(h)
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, fmt.Errorf("%w: %s", ErrNoCommit, h)
	}
	if err != nil {
		return nil, m.damage(err)
	}
	if obj.Type() != plumbing.CommitObject {
		return nil, fmt.Errorf("%w: %s is a %s", ErrNoCommit, h, obj.Type())
	}
	c, err := object.DecodeCommit(nil, obj)
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w: %w", h, ErrMalformed, err)
	}
	return c, nil
}

// damage notes that the mirror must be replaced, and says so.
func (m *Mirror) damage(err error) error {
	m.damaged.Store(true)
	return fmt.Errorf("%w: %w", ErrDamaged, err)
}

// Commit reads one commit.
func (m *Mirror) Commit(sha SHA) (Commit, error) {
	c, err := m.commit(sha.hash())
	if err != nil {
		return Commit{}, err
	}
	return fromCommit(c), nil
}

// FirstParents lists the commits after from up to to along first parents, oldest first, and at most
// the max oldest of them; a caller that gets max goes on from the last. It is empty when from is to.
// ErrRewritten when from is not on that line. Merged side branches do not count, so each commit is
// one step of the branch itself.
func (m *Mirror) FirstParents(ctx context.Context, from, to SHA, max int) ([]Commit, error) {
	if _, err := m.node(from.hash()); err != nil {
		return nil, err
	}
	if _, err := m.node(to.hash()); err != nil {
		return nil, err
	}
	var line []plumbing.Hash // newest first
	for h := to.hash(); h != from.hash(); {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := m.ancestor(h)
		if err != nil {
			return nil, err
		}
		if len(n.parents) == 0 {
			return nil, fmt.Errorf("%w: %s is not on the first-parent line of %s", ErrRewritten, from.Short(), to.Short())
		}
		line = append(line, h)
		h = n.parents[0]
	}
	slices.Reverse(line)
	return m.commits(line[:min(len(line), max)])
}

func (m *Mirror) commits(hashes []plumbing.Hash) ([]Commit, error) {
	all := make([]Commit, 0, len(hashes))
	for _, h := range hashes {
		c, err := m.commit(h)
		if err != nil {
			return nil, err
		}
		all = append(all, fromCommit(c))
	}
	return all, nil
}
