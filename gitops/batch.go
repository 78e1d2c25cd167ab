package gitops

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-git/go-git/v5/plumbing"
)

// batch is one round with the server on behalf of everybody who asked since the round before began.
type batch struct {
	refs    map[string]bool
	commits map[plumbing.Hash]bool
	waiting int // callers that still want it, under Mirror.mu

	ctx    context.Context // ends when nobody waits any more
	cancel context.CancelFunc
	done   chan struct{}

	err    error // of the round as a whole
	result map[string]error
}

// Fetch brings references to where the server has them, with all that is missing of their history.
// References are full names (BranchRef, PullRef). A moved, rewritten or recreated reference is
// simply replaced. ErrNoRef names one that the server does not have (the others are fetched); it is
// then gone from the mirror too.
//
// At any time one fetch runs. Callers that come while it does share the next one, so a call never
// returns what the server had before the call. When ctx ends the call returns; the round is given up
// when its last caller has gone.
func (m *Mirror) Fetch(ctx context.Context, refs ...string) error {
	for _, name := range refs {
		if err := checkRefName(name); err != nil {
			return fmt.Errorf("fetch: %w", err)
		}
	}
	b, err := m.round(ctx, refs, nil)
	if err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	var errs []error
	for _, name := range refs {
		if e := b.result[name]; e != nil {
			errs = append(errs, e)
		}
	}
	return errors.Join(errs...)
}

// FetchCommits makes sure that commits are in the mirror even if no reference leads to them any
// more; ErrNoCommit when the server does not have one. It asks the server only for those that are
// missing.
func (m *Mirror) FetchCommits(ctx context.Context, commits ...SHA) error {
	for _, sha := range commits {
		if m.Has(sha) {
			continue
		}
		if _, err := ParseSHA(string(sha)); err != nil {
			return fmt.Errorf("fetch: %w", err)
		}
		// One by one: the server refuses a request as a whole for one commit that it does not have.
		if _, err := m.round(ctx, nil, []plumbing.Hash{sha.hash()}); err != nil {
			return fmt.Errorf("fetch commit %s: %w", sha.Short(), err)
		}
		if !m.Has(sha) {
			return fmt.Errorf("fetch: %w: %s", ErrNoCommit, sha)
		}
	}
	return nil
}

// round joins or starts the batch that has not begun yet, and waits for it.
func (m *Mirror) round(ctx context.Context, refs []string, commits []plumbing.Hash) (*batch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b := m.join(ctx, refs, commits)
	if b == nil {
		return nil, ErrClosed
	}
	defer m.leave(b)
	select {
	case <-b.done:
		return b, b.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *Mirror) join(ctx context.Context, refs []string, commits []plumbing.Hash) *batch {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	b := m.pending
	if b == nil || len(commits) > 0 {
		b = &batch{refs: map[string]bool{}, commits: map[plumbing.Hash]bool{}, done: make(chan struct{})}
		b.ctx, b.cancel = context.WithCancel(context.WithoutCancel(ctx))
		go m.run(b)
	}
	for _, name := range refs {
		b.refs[name] = true
	}
	for _, h := range commits {
		b.commits[h] = true
	}
	if len(commits) == 0 {
		m.pending = b
	}
	b.waiting++
	return b
}

func (m *Mirror) leave(b *batch) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b.waiting--
	if b.waiting > 0 {
		return
	}
	b.cancel()
	if m.pending == b {
		m.pending = nil // nobody may join what was given up
	}
}

// run waits for its turn and does the round.
func (m *Mirror) run(b *batch) {
	defer close(b.done)
	select {
	case _, ok := <-m.fetching:
		if !ok {
			b.err = ErrClosed
			return
		}
	case <-b.ctx.Done():
		b.err = b.ctx.Err()
		return
	}
	defer func() { m.fetching <- struct{}{} }()
	m.mu.Lock()
	if m.pending == b {
		m.pending = nil
	}
	m.mu.Unlock()
	b.result, b.err = m.sync(b)
}
