package packs

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
)

// index says where in a pack each object lies. It is immutable after newIndex and therefore safe
// for concurrent use. It differs from go-git's MemoryIndex in that it may list an object twice
// (joined packs do), keeps about half the memory and takes no lock.
type index struct {
	pack     plumbing.Hash // the pack's checksum
	entries  []entry       // by hash, copies of one object by offset
	byOffset []uint32      // positions in entries, by offset
	fanout   [257]uint32   // where in entries the hashes begin that start with a byte
}

type entry struct {
	hash   plumbing.Hash
	crc    uint32
	offset uint64
}

var _ idxfile.Index = (*index)(nil)

func newIndex(pack plumbing.Hash, entries []entry) *index {
	slices.SortFunc(entries, func(a, b entry) int {
		if c := bytes.Compare(a.hash[:], b.hash[:]); c != 0 {
			return c
		}
		return cmp.Compare(a.offset, b.offset)
	})
	x := &index{pack: pack, entries: entries, byOffset: make([]uint32, len(entries))}
	for i, e := range entries {
		x.byOffset[i] = uint32(i)
		x.fanout[int(e.hash[0])+1]++
	}
	for b := range 256 {
		x.fanout[b+1] += x.fanout[b]
	}
	slices.SortFunc(x.byOffset, func(a, b uint32) int {
		return cmp.Compare(entries[a].offset, entries[b].offset)
	})
	return x
}

func (x *index) find(h plumbing.Hash) (entry, bool) {
	bucket := x.entries[x.fanout[h[0]]:x.fanout[int(h[0])+1]]
	i, ok := slices.BinarySearchFunc(bucket, h, func(e entry, h plumbing.Hash) int {
		return bytes.Compare(e.hash[:], h[:])
	})
	if !ok {
		return entry{}, false
	}
	return bucket[i], true
}

// Contains implements idxfile.Index.
func (x *index) Contains(h plumbing.Hash) (bool, error) {
	_, ok := x.find(h)
	return ok, nil
}

// FindOffset implements idxfile.Index. Of several copies it finds the first: in joined packs a
// delta therefore never leads to a later pack, so that no cycle can arise.
func (x *index) FindOffset(h plumbing.Hash) (int64, error) {
	e, ok := x.find(h)
	if !ok {
		return 0, plumbing.ErrObjectNotFound
	}
	return int64(e.offset), nil
}

// FindCRC32 implements idxfile.Index.
func (x *index) FindCRC32(h plumbing.Hash) (uint32, error) {
	e, ok := x.find(h)
	if !ok {
		return 0, plumbing.ErrObjectNotFound
	}
	return e.crc, nil
}

// FindHash implements idxfile.Index.
func (x *index) FindHash(offset int64) (plumbing.Hash, error) {
	i, ok := slices.BinarySearchFunc(x.byOffset, uint64(offset), func(i uint32, o uint64) int {
		return cmp.Compare(x.entries[i].offset, o)
	})
	if !ok {
		return plumbing.ZeroHash, plumbing.ErrObjectNotFound
	}
	return x.entries[x.byOffset[i]].hash, nil
}

// Count implements idxfile.Index.
func (x *index) Count() (int64, error) { return int64(len(x.entries)), nil }

// Entries implements idxfile.Index.
func (x *index) Entries() (idxfile.EntryIter, error) {
	return &entryIter{len(x.entries), func(i int) entry { return x.entries[i] }, 0}, nil
}

// EntriesByOffset implements idxfile.Index.
func (x *index) EntriesByOffset() (idxfile.EntryIter, error) {
	return &entryIter{len(x.entries), func(i int) entry { return x.entries[x.byOffset[i]] }, 0}, nil
}

type entryIter struct {
	n    int
	at   func(int) entry
	next int
}

func (it *entryIter) Next() (*idxfile.Entry, error) {
	if it.next >= it.n {
		return nil, io.EOF
	}
	e := it.at(it.next)
	it.next++
	return &idxfile.Entry{Hash: e.hash, CRC32: e.crc, Offset: e.offset}, nil
}

func (it *entryIter) Close() error {
	it.next = it.n
	return nil
}

// The idx file, version 2: magic, version, fan-out, names, CRCs, 4-byte offsets, 8-byte offsets for
// those that do not fit in 31 bits, the pack's checksum, the file's own.
const (
	idxMagic   = "\xfftOc\x00\x00\x00\x02"
	idxFanout  = 256 * 4
	idxTrailer = 2 * 20
	longOffset = 1 << 31
)

var errBadIndex = errors.New("malformed pack index")

func (x *index) encode() []byte {
	n := len(x.entries)
	out := make([]byte, 0, len(idxMagic)+idxFanout+n*28+idxTrailer)
	out = append(out, idxMagic...)
	for b := range 256 {
		out = binary.BigEndian.AppendUint32(out, x.fanout[b+1])
	}
	for _, e := range x.entries {
		out = append(out, e.hash[:]...)
	}
	for _, e := range x.entries {
		out = binary.BigEndian.AppendUint32(out, e.crc)
	}
	var long []byte
	for _, e := range x.entries {
		if e.offset < longOffset {
			out = binary.BigEndian.AppendUint32(out, uint32(e.offset))
			continue
		}
		out = binary.BigEndian.AppendUint32(out, longOffset|uint32(len(long)/8))
		long = binary.BigEndian.AppendUint64(long, e.offset)
	}
	out = append(out, long...)
	out = append(out, x.pack[:]...)
	sum := checksum(out)
	return append(out, sum[:]...)
}

// parseIndex reads what encode or git wrote, and checks its checksum.
func parseIndex(raw []byte) (*index, error) {
	head := len(idxMagic) + idxFanout
	if len(raw) < head+idxTrailer || string(raw[:len(idxMagic)]) != idxMagic {
		return nil, errBadIndex
	}
	body, trailer := raw[:len(raw)-20], raw[len(raw)-20:]
	if sum := checksum(body); !bytes.Equal(sum[:], trailer) {
		return nil, errBadIndex
	}
	n := int(binary.BigEndian.Uint32(raw[head-4:]))
	tables := raw[head : len(raw)-idxTrailer]
	if n < 0 || len(tables)/28 < n {
		return nil, errBadIndex
	}
	entries, err := parseEntries(tables, n)
	if err != nil {
		return nil, err
	}
	return newIndex(plumbing.Hash(raw[len(raw)-idxTrailer:len(raw)-20]), entries), nil
}

func parseEntries(tables []byte, n int) ([]entry, error) {
	names, crcs, offsets, long := tables[:20*n], tables[20*n:24*n], tables[24*n:28*n], tables[28*n:]
	entries := make([]entry, n)
	for i := range entries {
		e := &entries[i]
		copy(e.hash[:], names[20*i:])
		e.crc = binary.BigEndian.Uint32(crcs[4*i:])
		e.offset = uint64(binary.BigEndian.Uint32(offsets[4*i:]))
		if e.offset < longOffset {
			continue
		}
		at := int(e.offset&^longOffset) * 8
		if at+8 > len(long) {
			return nil, errBadIndex
		}
		e.offset = binary.BigEndian.Uint64(long[at:])
	}
	return entries, nil
}
