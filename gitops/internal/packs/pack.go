package packs

import (
	"bytes"
	"crypto/sha1" //nolint:gosec // git's own checksum; it guards against accidents, not attackers
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

// headerSize is what stands before the first entry of a pack: "PACK", version, count.
const headerSize = 12

// idleReaders is how many open files a pack keeps for readers to come.
const idleReaders = 4

func checksum(b []byte) [20]byte { return sha1.Sum(b) } //nolint:gosec // see the import

// pack is one pack file and its index.
type pack struct {
	name string // the file without its ending, inside the store's folder
	size int64
	idx  *index
	idle chan *packfile.Packfile
}

func packName(sum plumbing.Hash) string { return "pack-" + sum.String() }

// load opens a pack that is on the disk and checks it and its index from end to end: a machine that
// lost power may have kept the names of files whose bytes it lost.
func load(dir, name string) (*pack, error) {
	raw, err := os.ReadFile(filepath.Join(dir, name+".idx"))
	if err != nil {
		return nil, err
	}
	idx, err := parseIndex(raw)
	if err != nil {
		return nil, fmt.Errorf("%s.idx: %w", name, err)
	}
	size, err := verify(filepath.Join(dir, name+".pack"), idx.pack)
	if err != nil {
		return nil, fmt.Errorf("%s.pack: %w", name, err)
	}
	return newPack(name, size, idx), nil
}

func newPack(name string, size int64, idx *index) *pack {
	return &pack{name: name, size: size, idx: idx, idle: make(chan *packfile.Packfile, idleReaders)}
}

// verify hashes a pack and compares with its trailer and with what the index expects.
func verify(path string, want plumbing.Hash) (int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() < headerSize+20 {
		return 0, errors.New("truncated pack")
	}
	sum := sha1.New() //nolint:gosec // see the import
	if _, err := io.CopyN(sum, f, info.Size()-20); err != nil {
		return 0, err
	}
	var trailer plumbing.Hash
	if _, err := io.ReadFull(f, trailer[:]); err != nil {
		return 0, err
	}
	if !bytes.Equal(sum.Sum(nil), trailer[:]) || trailer != want {
		return 0, errors.New("pack checksum mismatch")
	}
	return info.Size(), nil
}

// borrow hands out a reader that nobody else uses. A go-git Packfile seeks in its file, so two
// goroutines must not share one.
func (p *pack) borrow(fs billy.Filesystem, c cache.Object) (*packfile.Packfile, error) {
	select {
	case r := <-p.idle:
		return r, nil
	default:
	}
	f, err := fs.Open(p.name + ".pack")
	if err != nil {
		return nil, err
	}
	return packfile.NewPackfileWithCache(p.idx, nil, f, c, 0), nil
}

func (p *pack) giveBack(r *packfile.Packfile) {
	select {
	case p.idle <- r:
	default:
		_ = r.Close()
	}
}

// closeIdle closes the open files; no reader may be out.
func (p *pack) closeIdle() {
	for {
		select {
		case r := <-p.idle:
			_ = r.Close()
		default:
			return
		}
	}
}

func (p *pack) remove(dir string) {
	p.closeIdle()
	// The pack goes first: an index without a pack is cleaned up at the next start, a pack without
	// an index would be taken for damage.
	_ = os.Remove(filepath.Join(dir, p.name+".pack"))
	_ = os.Remove(filepath.Join(dir, p.name+".idx"))
}

// packCount reads how many entries a pack declares.
func packCount(f io.ReaderAt) (uint32, error) {
	var b [4]byte
	if _, err := f.ReadAt(b[:], 8); err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(b[:]), nil
}

func newFS(dir string) billy.Filesystem { return osfs.New(dir, osfs.WithBoundOS()) }
