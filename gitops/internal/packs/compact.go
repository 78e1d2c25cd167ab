package packs

import (
	"cmp"
	"crypto/sha1" //nolint:gosec // git's own checksum
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
)

// Compact joins packs when there are more than max, so that their sizes again form a progression in
// which each pack is at least twice the sum of all smaller ones. The number of packs is then
// logarithmic in their size, and so is how often a byte is copied over the store's life.
func (s *Store) Compact(max int) error {
	s.change.Lock()
	defer s.change.Unlock()
	all := s.list()
	if len(all) <= max {
		return nil
	}
	small := toJoin(all)
	if len(small) < 2 {
		return nil
	}
	joined, err := join(s.dir, small)
	if err != nil {
		return fmt.Errorf("join %d packs: %w", len(small), err)
	}
	s.swap(small, joined)
	return nil
}

// toJoin is the set of packs that spoil the progression, smallest first.
func toJoin(all []*pack) []*pack {
	slices.SortFunc(all, func(a, b *pack) int { return cmp.Compare(a.size, b.size) })
	below := make([]int64, len(all)+1)
	for i, p := range all {
		below[i+1] = below[i] + p.size
	}
	n := len(all)
	for n > 1 && all[n-1].size >= 2*below[n-1] {
		n--
	}
	return all[:n]
}

// join copies the entries of several packs, as they are, behind one header. Deltas stay valid: they
// name their base by a distance inside the same stretch, or by hash.
func join(dir string, packs []*pack) (*pack, error) {
	f, err := os.CreateTemp(dir, tempPrefix+"join_*")
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name())
	}()
	entries, size, sum, err := writeJoined(f, dir, packs)
	if err != nil {
		return nil, err
	}
	return install(dir, f, size, newIndex(sum, entries))
}

func writeJoined(f io.Writer, dir string, packs []*pack) (entries []entry, size int64, sum plumbing.Hash, err error) {
	h := sha1.New() //nolint:gosec // see the import
	w := io.MultiWriter(f, h)
	total, err := totalCount(dir, packs)
	if err != nil {
		return nil, 0, sum, err
	}
	header := binary.BigEndian.AppendUint32([]byte("PACK\x00\x00\x00\x02"), total)
	if _, err := w.Write(header); err != nil {
		return nil, 0, sum, err
	}
	size = headerSize
	for _, p := range packs {
		n, err := copyEntries(w, dir, p)
		if err != nil {
			return nil, 0, sum, err
		}
		for _, e := range p.idx.entries {
			e.offset += uint64(size - headerSize)
			entries = append(entries, e)
		}
		size += n
	}
	h.Sum(sum[:0])
	if _, err := f.Write(sum[:]); err != nil {
		return nil, 0, sum, err
	}
	return entries, size + 20, sum, nil
}

func totalCount(dir string, packs []*pack) (total uint32, err error) {
	for _, p := range packs {
		f, err := os.Open(filepath.Join(dir, p.name+".pack"))
		if err != nil {
			return 0, err
		}
		n, err := packCount(f)
		_ = f.Close()
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}

func copyEntries(w io.Writer, dir string, p *pack) (int64, error) {
	f, err := os.Open(filepath.Join(dir, p.name+".pack"))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	body := p.size - headerSize - 20
	return io.Copy(w, io.NewSectionReader(f, headerSize, body))
}
