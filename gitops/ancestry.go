package gitops

import (
	"bytes"
	"cmp"
	"container/heap"
	"context"
	"fmt"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// paint says from where a commit was reached.
type paint uint8

const (
	left    paint = 1 << iota // from the first commit
	right                     // from the second
	settled                   // below a common ancestor: of no interest any more
	both    = left | right
)

// painter walks back from two commits at once, newest commits first, until everything that is left
// to visit lies below a common ancestor. Times are only a hint for the order: a commit that is reached
// again in another colour is visited again, so that wrong clocks cost time and can make a base look
// like two (which redundant finds out), but lose none.
type painter struct {
	m      *Mirror
	colour map[plumbing.Hash]paint
	queue  commitHeap
	open   int // entries of the queue that are not settled
	bases  []plumbing.Hash
}

type queued struct {
	hash   plumbing.Hash
	time   int64
	colour paint // at the time of queueing
}

func (m *Mirror) paintFrom(ctx context.Context, a, b plumbing.Hash) (*painter, error) {
	p := &painter{m: m, colour: make(map[plumbing.Hash]paint)}
	for _, start := range []struct {
		hash   plumbing.Hash
		colour paint
	}{{a, left}, {b, right}} {
		if _, err := m.node(start.hash); err != nil {
			return nil, err
		}
		if err := p.reach(start.hash, start.colour); err != nil {
			return nil, err
		}
	}
	for p.open > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := p.visit(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *painter) reach(h plumbing.Hash, c paint) error {
	had := p.colour[h]
	if had|c == had {
		return nil
	}
	n, err := p.m.ancestor(h)
	if err != nil {
		return err
	}
	p.colour[h] = had | c
	heap.Push(&p.queue, queued{h, n.time, had | c})
	if (had|c)&settled == 0 {
		p.open++
	}
	return nil
}

func (p *painter) visit() error {
	q := heap.Pop(&p.queue).(queued)
	if q.colour&settled == 0 {
		p.open--
	}
	c := p.colour[q.hash]
	if c != q.colour {
		return nil // it was reached again since, and is queued in that colour
	}
	if c == both {
		p.bases = append(p.bases, q.hash)
		c |= settled
	}
	n, err := p.m.ancestor(q.hash)
	if err != nil {
		return err
	}
	for _, parent := range n.parents {
		if err := p.reach(parent, c); err != nil {
			return err
		}
	}
	return nil
}

// best is the bases that were not found to lie below another one.
func (p *painter) best() []plumbing.Hash {
	return slices.DeleteFunc(p.bases, func(h plumbing.Hash) bool { return p.colour[h]&settled != 0 })
}

// MergeBase is the best common ancestor of a and b: one that is no ancestor of another common
// ancestor. ErrUnrelated when there is none. When there are several (after criss-cross merges), it is
// the one nearest to a on a's first-parent line; if that line meets none of them, the newest, and of
// equally new ones the one with the smallest id. a is therefore the governed branch.
func (m *Mirror) MergeBase(ctx context.Context, a, b SHA) (SHA, error) {
	bases, err := m.mergeBases(ctx, a.hash(), b.hash())
	switch {
	case err != nil:
		return "", fmt.Errorf("merge base of %s and %s: %w", a.Short(), b.Short(), err)
	case len(bases) == 0:
		return "", fmt.Errorf("%w: %s and %s", ErrUnrelated, a.Short(), b.Short())
	case len(bases) == 1:
		return fromHash(bases[0]), nil
	}
	base, err := m.nearest(ctx, a.hash(), bases)
	return fromHash(base), err
}

func (m *Mirror) mergeBases(ctx context.Context, a, b plumbing.Hash) ([]plumbing.Hash, error) {
	p, err := m.paintFrom(ctx, a, b)
	if err != nil {
		return nil, err
	}
	bases := p.best()
	if len(bases) < 2 {
		return bases, nil
	}
	return m.independent(ctx, bases)
}

// independent removes those that are ancestors of others. It runs only for several candidates, which
// criss-cross merges and wrong clocks make.
func (m *Mirror) independent(ctx context.Context, bases []plumbing.Hash) ([]plumbing.Hash, error) {
	below := make(map[plumbing.Hash]bool)
	for i, a := range bases {
		for _, b := range bases[i+1:] {
			p, err := m.paintFrom(ctx, a, b)
			if err != nil {
				return nil, err
			}
			below[a] = below[a] || p.colour[a]&right != 0
			below[b] = below[b] || p.colour[b]&left != 0
		}
	}
	return slices.DeleteFunc(bases, func(h plumbing.Hash) bool { return below[h] }), nil
}

func (m *Mirror) nearest(ctx context.Context, a plumbing.Hash, bases []plumbing.Hash) (plumbing.Hash, error) {
	for h := a; ; {
		if slices.Contains(bases, h) {
			return h, nil
		}
		if err := ctx.Err(); err != nil {
			return h, err
		}
		n, err := m.ancestor(h)
		if err != nil {
			return h, err
		}
		if len(n.parents) == 0 {
			break
		}
		h = n.parents[0]
	}
	times := make(map[plumbing.Hash]int64, len(bases))
	for _, h := range bases {
		n, err := m.ancestor(h)
		if err != nil {
			return h, err
		}
		times[h] = n.time
	}
	return slices.MinFunc(bases, func(x, y plumbing.Hash) int {
		return cmp.Or(cmp.Compare(times[y], times[x]), bytes.Compare(x[:], y[:]))
	}), nil
}

// IsAncestor reports whether a is b or one of its ancestors.
func (m *Mirror) IsAncestor(ctx context.Context, a, b SHA) (bool, error) {
	p, err := m.paintFrom(ctx, a.hash(), b.hash())
	if err != nil {
		return false, fmt.Errorf("ancestry of %s and %s: %w", a.Short(), b.Short(), err)
	}
	return p.colour[a.hash()]&right != 0, nil
}

// Commits lists the commits that head has and base has not, over all parents, newest first. More
// than max is ErrTooLarge. With wrong clocks a commit that base has too may be listed; none that it has
// not is ever missing.
func (m *Mirror) Commits(ctx context.Context, base, head SHA, max int) ([]Commit, error) {
	p, err := m.paintFrom(ctx, base.hash(), head.hash())
	if err != nil {
		return nil, fmt.Errorf("commits %s..%s: %w", base.Short(), head.Short(), err)
	}
	var only []plumbing.Hash
	for h, c := range p.colour {
		if c&both == right {
			only = append(only, h)
		}
	}
	if len(only) > max {
		return nil, fmt.Errorf("commits %s..%s: %w: %d, at most %d", base.Short(), head.Short(), ErrTooLarge, len(only), max)
	}
	return m.newestFirst(only)
}

func (m *Mirror) newestFirst(hashes []plumbing.Hash) ([]Commit, error) {
	all, err := m.commits(hashes)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b Commit) int {
		return cmp.Or(b.Committer.Time.Compare(a.Committer.Time), cmp.Compare(a.SHA, b.SHA))
	})
	return all, nil
}

// commitHeap has the newest commit on top, and of equally new ones the smallest id, so that every
// walk is the same.
type commitHeap []queued

// Len implements heap.Interface.
func (h commitHeap) Len() int { return len(h) }

// Less implements heap.Interface.
func (h commitHeap) Less(i, j int) bool {
	if h[i].time != h[j].time {
		return h[i].time > h[j].time
	}
	return bytes.Compare(h[i].hash[:], h[j].hash[:]) < 0
}

// Swap implements heap.Interface.
func (h commitHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *commitHeap) Push(x any) { *h = append(*h, x.(queued)) }

// Pop implements heap.Interface.
func (h *commitHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
