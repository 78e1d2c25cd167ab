package gitops

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"

	"kv-shepherd.io/shepherd/gitops/internal/smarthttp"
)

const (
	// maxHaves is how many commits a fetch names as known. They are the tips and a few older ones of
	// the same branches, so that a rewritten branch still shares ground.
	maxHaves = 128
	// A mirror that has grown to growth times its size after the last clone, and by more than
	// growthFloor bytes, is replaced by a fresh clone.
	growth      = 4
	growthFloor = 256 << 20
)

// sync does one round: asks where the references are, downloads what is missing, and only then
// moves the references. Only one runs at a time.
func (m *Mirror) sync(b *batch) (map[string]error, error) {
	asked := slices.Sorted(maps.Keys(b.refs))
	fresh := m.damaged.Load() || m.outgrown()
	if fresh {
		asked = slices.Compact(slices.Sorted(slices.Values(append(asked, m.refNames()...))))
	}
	tips, err := m.remoteTips(b.ctx, asked)
	if err != nil {
		return nil, err
	}
	wants := slices.Collect(maps.Values(tips))
	wants = append(wants, slices.Collect(maps.Keys(b.commits))...)
	if fresh {
		err = m.reclone(b.ctx, wants)
	} else {
		err = m.download(b.ctx, asked, wants)
	}
	if err != nil {
		return nil, err
	}
	if err := m.move(asked, tips); err != nil {
		return nil, fmt.Errorf("record references: %w", err)
	}
	missing := make(map[string]error)
	for name := range b.refs {
		if _, ok := tips[name]; !ok {
			missing[name] = fmt.Errorf("fetch: %w: %s", ErrNoRef, name)
		}
	}
	return missing, nil
}

func (m *Mirror) refNames() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.refs))
}

func (m *Mirror) remoteTips(ctx context.Context, asked []string) (map[string]plumbing.Hash, error) {
	if len(asked) == 0 {
		return nil, nil
	}
	tips, err := m.client.Refs(ctx, asked)
	return tips, remoteError(err)
}

// download gets what is missing of wants. What is there is whole: every pack was sent against
// commits that were there with all their history.
func (m *Mirror) download(ctx context.Context, asked []string, wants []plumbing.Hash) error {
	wants = slices.DeleteFunc(wants, m.store.Has)
	if len(wants) == 0 {
		return nil
	}
	body, err := m.client.Fetch(ctx, smarthttp.Fetch{
		Wants: wants, Haves: m.haves(asked), BlobLimit: m.opt.MaxBlob,
	})
	if err != nil {
		return remoteError(err)
	}
	defer body.Close()
	if err := m.store.Add(body, m.opt.MaxPack); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	if i := slices.IndexFunc(wants, func(h plumbing.Hash) bool { return !m.store.Has(h) }); i >= 0 {
		return fmt.Errorf("the server's pack lacks %s", wants[i])
	}
	if err := m.store.Compact(maxPacks); err != nil {
		m.log.Warn("packs of the mirror could not be joined", "error", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.first == 0 {
		_, m.first = m.store.Stats()
	}
	return nil
}

// reclone replaces all packs by one with what is wanted now. Readers go on; commits that no known
// reference reaches are gone afterwards.
func (m *Mirror) reclone(ctx context.Context, wants []plumbing.Hash) error {
	if len(wants) == 0 {
		return errors.New("nothing to clone the mirror from")
	}
	body, err := m.client.Fetch(ctx, smarthttp.Fetch{Wants: wants, BlobLimit: m.opt.MaxBlob})
	if err != nil {
		return remoteError(err)
	}
	defer body.Close()
	if err := m.store.Replace(body, m.opt.MaxPack); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	m.graph.clear()
	m.damaged.Store(false)
	n, size := m.store.Stats()
	m.mu.Lock()
	m.first = size
	m.mu.Unlock()
	m.log.Info("mirror was cloned anew", "packs", n, "bytes", size)
	return nil
}

func (m *Mirror) outgrown() bool {
	_, size := m.store.Stats()
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.first > 0 && size > growth*m.first && size > m.first+m.floor
}

// haves names what the server need not send: the old tips of what is asked for, every branch, the
// pull requests seen last, and older commits of the branches at growing distances.
func (m *Mirror) haves(asked []string) []plumbing.Hash {
	m.mu.Lock()
	known := maps.Clone(m.refs)
	m.mu.Unlock()
	names := slices.Collect(maps.Keys(known))
	rank := func(name string) int {
		switch {
		case slices.Contains(asked, name):
			return 0
		case isBranch(name):
			return 1
		default:
			return 2
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		if c := rank(a) - rank(b); c != 0 {
			return c
		}
		return known[b].used - known[a].used
	})
	var haves []plumbing.Hash
	for _, name := range names[:min(len(names), maxHaves/2)] {
		haves = append(haves, known[name].tip)
	}
	for _, name := range names {
		if len(haves) < maxHaves {
			haves = append(haves, m.olderThan(known[name].tip)...)
		}
	}
	return haves[:min(len(haves), maxHaves)]
}

// olderThan samples the first parents of a commit at distances 1, 2, 4, ... up to 1024.
func (m *Mirror) olderThan(h plumbing.Hash) (sample []plumbing.Hash) {
	for step, next := 1, 1; step <= 1024; step++ {
		n, err := m.node(h)
		if err != nil || len(n.parents) == 0 {
			return sample
		}
		h = n.parents[0]
		if step == next {
			sample, next = append(sample, h), next*2
		}
	}
	return sample
}

// move records where the references are, on the disk and then in memory.
func (m *Mirror) move(asked []string, tips map[string]plumbing.Hash) error {
	m.mu.Lock()
	next, moved := m.refs.update(asked, tips)
	m.mu.Unlock()
	if moved {
		if err := writeRefs(m.opt.Dir, next.tips()); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.refs = next
	return nil
}

// remoteError gives the client's errors this package's names.
func remoteError(err error) error {
	var status *smarthttp.StatusError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &status):
		return &RemoteError{Status: status.Status, RetryAfter: status.RetryAfter}
	case errors.Is(err, smarthttp.ErrNotOurRef):
		return fmt.Errorf("%w, nor on the server", ErrNoCommit)
	default:
		return err
	}
}
