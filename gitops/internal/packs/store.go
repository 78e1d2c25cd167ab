package packs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/go-git/go-billy/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
)

// ErrPackTooLarge says that a pack was not received because it is larger than the limit.
var ErrPackTooLarge = errors.New("pack larger than the limit")

// Store is the set of packs in one folder. All methods are safe for concurrent use; Add, Replace
// and Compact are serialised.
type Store struct {
	dir   string
	fs    billy.Filesystem
	cache cache.Object

	change sync.Mutex // held by who changes the set, so that slow preparation blocks no reader

	mu    sync.RWMutex // read-held while an object is read
	packs []*pack
}

// Open loads all packs of a folder, which is created when missing, and verifies each byte. What an
// interrupted run left half done is removed; an error about a pack or index means damage.
// cacheBytes bounds the memory for inflated objects.
func Open(dir string, cacheBytes int64) (*Store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &Store{dir: dir, fs: newFS(dir), cache: cache.NewObjectLRU(cache.FileSize(cacheBytes))}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		name, isPack := strings.CutSuffix(f.Name(), ".pack")
		if strings.HasPrefix(name, tempPrefix) || s.orphanIndex(f.Name()) {
			_ = os.Remove(filepath.Join(dir, f.Name()))
			continue
		}
		if !isPack {
			continue
		}
		p, err := load(dir, name)
		if err != nil {
			return nil, err
		}
		s.packs = append(s.packs, p)
	}
	return s, nil
}

// orphanIndex reports whether a file is an index whose pack is gone.
func (s *Store) orphanIndex(file string) bool {
	name, ok := strings.CutSuffix(file, ".idx")
	if !ok {
		return false
	}
	_, err := os.Lstat(filepath.Join(s.dir, name+".pack"))
	return errors.Is(err, os.ErrNotExist)
}

// Add receives a pack and makes its objects readable. It reads at most limit bytes from r.
func (s *Store) Add(r io.Reader, limit int64) error {
	s.change.Lock()
	defer s.change.Unlock()
	p, err := receive(s.dir, r, limit)
	if err != nil || p == nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, have := range s.packs {
		if have.name == p.name {
			return nil // the same bytes again
		}
	}
	s.packs = append(s.packs, p)
	return nil
}

// Replace receives a pack that becomes the store's only one; the others are deleted. On an error the
// store is as before.
func (s *Store) Replace(r io.Reader, limit int64) error {
	s.change.Lock()
	defer s.change.Unlock()
	p, err := receive(s.dir, r, limit)
	if err != nil {
		return err
	}
	if p == nil {
		s.swap(s.list(), nil)
		return nil
	}
	s.swap(s.list(), p)
	return nil
}

func (s *Store) list() []*pack {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return append([]*pack(nil), s.packs...)
}

// swap puts one pack in the place of others and deletes their files.
func (s *Store) swap(old []*pack, p *pack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	gone := make(map[*pack]bool, len(old))
	for _, o := range old {
		gone[o] = true
	}
	var kept []*pack
	for _, have := range s.packs {
		if !gone[have] {
			kept = append(kept, have)
		} else if p == nil || have.name != p.name {
			have.remove(s.dir)
		} else {
			have.closeIdle()
		}
	}
	if p != nil {
		kept = append(kept, p)
	}
	s.packs = kept
	if c, ok := s.cache.(*cache.ObjectLRU); ok {
		c.Clear() // an object that is gone must not live on in the cache
	}
}

// Object reads one object. An error that is plumbing.ErrObjectNotFound says that no pack lists it;
// any other means a damaged pack or disk.
func (s *Store) Object(h plumbing.Hash) (plumbing.EncodedObject, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, e, ok := s.locate(h)
	if !ok {
		return nil, plumbing.ErrObjectNotFound
	}
	if obj, ok := s.cache.Get(h); ok {
		return obj, nil
	}
	r, err := p.borrow(s.fs, s.cache)
	if err != nil {
		return nil, fmt.Errorf("read object %s: %w", h, err)
	}
	obj, err := r.GetByOffset(int64(e.offset))
	if err != nil {
		_ = r.Close() // its scanner stands where the error left it
		return nil, damaged(h, err)
	}
	p.giveBack(r)
	return obj, nil
}

// Size is the length of an object's content, read from its header: the content itself is not
// inflated, of a delta only the delta.
func (s *Store) Size(h plumbing.Hash) (int64, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	p, e, ok := s.locate(h)
	if !ok {
		return 0, plumbing.ErrObjectNotFound
	}
	r, err := p.borrow(s.fs, s.cache)
	if err != nil {
		return 0, fmt.Errorf("read size of %s: %w", h, err)
	}
	n, err := r.GetSizeByOffset(int64(e.offset))
	if err != nil {
		_ = r.Close()
		return 0, damaged(h, err)
	}
	p.giveBack(r)
	return n, nil
}

// damaged hides go-git's "not found" for an object that the index does list.
func damaged(h plumbing.Hash, err error) error {
	return fmt.Errorf("read object %s: damaged pack: %v", h, err)
}

// Has reports whether the object is there.
func (s *Store) Has(h plumbing.Hash) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, _, ok := s.locate(h)
	return ok
}

func (s *Store) locate(h plumbing.Hash) (*pack, entry, bool) {
	for _, p := range s.packs {
		if e, ok := p.idx.find(h); ok {
			return p, e, true
		}
	}
	return nil, entry{}, false
}

// Stats counts the packs and their bytes on disk.
func (s *Store) Stats() (packs int, bytes int64) {
	for _, p := range s.list() {
		packs++
		bytes += p.size
	}
	return packs, bytes
}

// Close closes all files. Nothing may be read afterwards.
func (s *Store) Close() error {
	s.change.Lock()
	defer s.change.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.packs {
		p.closeIdle()
	}
	s.packs = nil
	return nil
}
