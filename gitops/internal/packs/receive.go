package packs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

const tempPrefix = "tmp_"

// receive writes a pack from r into the folder, parses it, and gives it its name. The caller makes
// it visible. A pack without objects gives nil.
func receive(dir string, r io.Reader, limit int64) (_ *pack, err error) {
	f, err := os.CreateTemp(dir, tempPrefix+"pack_*")
	if err != nil {
		return nil, err
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name()) // after a rename there is nothing left under this name
	}()
	size, err := io.Copy(f, io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("receive pack: %w", err)
	}
	if size > limit {
		return nil, fmt.Errorf("receive pack: %w of %d bytes", ErrPackTooLarge, limit)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	idx, err := parsePack(f)
	if err != nil {
		return nil, fmt.Errorf("parse pack: %w", err)
	}
	if len(idx.entries) == 0 {
		return nil, nil
	}
	return install(dir, f, size, idx)
}

// install writes the index and moves both files to their names, the index first: a pack with its
// name always has an index.
func install(dir string, f *os.File, size int64, idx *index) (*pack, error) {
	name := packName(idx.pack)
	tmp := f.Name() + ".idx"
	if err := os.WriteFile(tmp, idx.encode(), 0o600); err != nil {
		return nil, err
	}
	if err := os.Rename(tmp, filepath.Join(dir, name+".idx")); err != nil {
		return nil, errors.Join(err, os.Remove(tmp))
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, name+".pack")); err != nil {
		return nil, err
	}
	return newPack(name, size, idx), nil
}

// parsePack inflates every object, checks the pack's checksum and collects its index.
func parsePack(f *os.File) (*index, error) {
	var c collector
	p, err := packfile.NewParser(packfile.NewScanner(f), &c)
	if err != nil {
		return nil, err
	}
	if _, err := p.Parse(); err != nil {
		return nil, err
	}
	return newIndex(c.sum, c.entries), nil
}

// collector hears from go-git's parser where each object lies.
type collector struct {
	entries []entry
	sum     plumbing.Hash
}

var _ packfile.Observer = (*collector)(nil)

// OnHeader implements packfile.Observer.
func (c *collector) OnHeader(uint32) error { return nil }

// OnInflatedObjectHeader implements packfile.Observer.
func (c *collector) OnInflatedObjectHeader(plumbing.ObjectType, int64, int64) error { return nil }

// OnInflatedObjectContent implements packfile.Observer.
func (c *collector) OnInflatedObjectContent(h plumbing.Hash, pos int64, crc uint32, _ []byte) error {
	c.entries = append(c.entries, entry{hash: h, crc: crc, offset: uint64(pos)})
	return nil
}

// OnFooter implements packfile.Observer.
func (c *collector) OnFooter(sum plumbing.Hash) error {
	c.sum = sum
	return nil
}
