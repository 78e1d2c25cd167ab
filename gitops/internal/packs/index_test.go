package packs

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/go-git/go-git/v5/plumbing"
)

// randomEntries has every sixth object twice and some offsets beyond 2 GiB.
func randomEntries(r *rand.Rand, n int) []entry {
	all := make([]entry, n)
	offset := uint64(headerSize)
	for i := range all {
		binary.BigEndian.PutUint64(all[i].hash[:], r.Uint64())
		if i%6 == 5 {
			all[i].hash = all[i-1].hash
		}
		all[i].offset, all[i].crc = offset, r.Uint32()
		offset += 1 + r.Uint64N(1<<28)
	}
	return all
}

func TestIndexRoundTrip(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{0, 1, 2, 100, 3000} {
		entries := randomEntries(r, n)
		first := make(map[plumbing.Hash]uint64)
		for _, e := range entries {
			if _, ok := first[e.hash]; !ok {
				first[e.hash] = e.offset
			}
		}
		pack := plumbing.NewHash("00112233445566778899aabbccddeeff00112233")
		x, err := parseIndex(newIndex(pack, append([]entry(nil), entries...)).encode())
		if err != nil || x.pack != pack {
			t.Fatalf("n=%d: %v", n, err)
		}
		for _, e := range entries {
			if o, err := x.FindOffset(e.hash); uint64(o) != first[e.hash] || err != nil {
				t.Fatalf("FindOffset = %d, %v; want the first copy at %d", o, err, first[e.hash])
			}
			if h, err := x.FindHash(int64(e.offset)); h != e.hash || err != nil {
				t.Fatalf("FindHash(%d) = %s, %v", e.offset, h, err)
			}
			if _, err := x.FindHash(int64(e.offset) + 1); err == nil && n == 1 {
				t.Fatal("found a hash between two objects")
			}
		}
		if _, err := x.FindOffset(plumbing.NewHash("ff")); err != plumbing.ErrObjectNotFound {
			t.Errorf("an object that is not there: %v", err)
		}
		checkIteration(t, x, n)
	}
}

func checkIteration(t *testing.T, x *index, n int) {
	t.Helper()
	it, err := x.EntriesByOffset()
	if err != nil {
		t.Fatal(err)
	}
	last, count := uint64(0), 0
	for {
		e, err := it.Next()
		if err == io.EOF {
			break
		}
		if e.Offset <= last {
			t.Fatalf("entry at %d after %d", e.Offset, last)
		}
		if o, _ := x.FindOffset(e.Hash); uint64(o) == e.Offset {
			if crc, err := x.FindCRC32(e.Hash); crc != e.CRC32 || err != nil {
				t.Fatalf("FindCRC32 = %d, %v; want %d", crc, err, e.CRC32)
			}
		}
		last, count = e.Offset, count+1
	}
	if total, _ := x.Count(); count != n || total != int64(n) {
		t.Errorf("%d entries, Count = %d, want %d", count, total, n)
	}
}

// FuzzParseIndex expects no panic, and that what is accepted can be written and read again.
func FuzzParseIndex(f *testing.F) {
	f.Add(newIndex(plumbing.ZeroHash, randomEntries(rand.New(rand.NewPCG(3, 4)), 5)).encode())
	f.Add([]byte(idxMagic))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) >= 20 { // a right checksum, or nothing would get past it
			sum := checksum(raw[:len(raw)-20])
			raw = append(append([]byte(nil), raw[:len(raw)-20]...), sum[:]...)
		}
		x, err := parseIndex(raw)
		if err != nil {
			return
		}
		y, err := parseIndex(x.encode())
		if err != nil || len(y.entries) != len(x.entries) {
			t.Fatalf("%d entries became %v", len(x.entries), err)
		}
	})
}
