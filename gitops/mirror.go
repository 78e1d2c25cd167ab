package gitops

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"kv-shepherd.io/shepherd/gitops/internal/packs"
	"kv-shepherd.io/shepherd/gitops/internal/smarthttp"
)

const (
	defaultMaxBlob = 1 << 20
	defaultMaxPack = 2 << 30
	objectCache    = 32 << 20
	// maxPacks is how many packs there may be before the small ones are joined.
	maxPacks = 16
	// answerTimeout is how long the server may take to begin an answer.
	answerTimeout = 2 * time.Minute
)

// Options say which repository is mirrored and where.
type Options struct {
	Dir string // the mirror's own folder: missing, empty, or a mirror from before
	URL string // http or https, without credentials
	// Auth gives the credentials for a request, and is asked for each, so that short-lived tokens
	// work. nil, or both empty, is without.
	Auth func(ctx context.Context) (username, token string, err error)
	// MaxBlob is the size from which files are left out, when the server can; 0 is 1 MiB.
	MaxBlob int64
	// MaxPack is the most that one fetch may download, in bytes; 0 is 2 GiB.
	MaxPack   int64
	Transport http.RoundTripper // nil is Go's default with a time limit
	Logger    *slog.Logger      // nil discards
}

// Mirror is a bare copy of one repository. All methods are safe for concurrent use.
type Mirror struct {
	opt    Options
	log    *slog.Logger
	client *smarthttp.Client
	store  *packs.Store
	lock   *dirLock

	fetching chan struct{} // holds one token while nobody fetches
	floor    int64         // growthFloor
	damaged  atomic.Bool

	mu      sync.Mutex
	refs    refs
	pending *batch // fetches asked for that have not begun
	first   int64  // bytes after the last clone
	closed  bool

	graph graph
}

// Open opens a mirror or prepares an empty one; it does not fetch. A damaged mirror, one of another
// URL, or one with a smaller MaxBlob is emptied. A folder that holds anything else is an error, and
// so is one that another process has open (ErrInUse).
func Open(ctx context.Context, opt Options) (*Mirror, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	opt = opt.withDefaults()
	client, err := smarthttp.New(opt.URL, smarthttp.Auth(opt.Auth), opt.Transport)
	if err != nil {
		return nil, err
	}
	lock, err := claimDir(opt.Dir)
	if err != nil {
		return nil, fmt.Errorf("open mirror %s: %w", opt.Dir, err)
	}
	m := &Mirror{opt: opt, log: opt.Logger, client: client, lock: lock, fetching: make(chan struct{}, 1), floor: growthFloor}
	m.fetching <- struct{}{}
	if err := m.load(); err != nil {
		return nil, fmt.Errorf("open mirror %s: %w", opt.Dir, errors.Join(err, lock.release()))
	}
	return m, nil
}

func (o Options) withDefaults() Options {
	if o.MaxBlob <= 0 {
		o.MaxBlob = defaultMaxBlob
	}
	if o.MaxPack <= 0 {
		o.MaxPack = defaultMaxPack
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Transport == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.ResponseHeaderTimeout = answerTimeout
		o.Transport = t
	}
	return o
}

// load reads what is on the disk, and starts over when that is no mirror of this repository.
func (m *Mirror) load() error {
	want := description{URL: m.opt.URL, MaxBlob: m.opt.MaxBlob}
	err := m.loadExisting(want)
	if err == nil {
		return nil
	}
	if !errors.Is(err, errEmptyDir) {
		m.log.Warn("mirror is not usable and will be fetched again", "dir", m.opt.Dir, "error", err)
	}
	if err := initDir(m.opt.Dir, want); err != nil {
		return err
	}
	return m.loadExisting(want)
}

func (m *Mirror) loadExisting(want description) error {
	if err := checkDescription(m.opt.Dir, want); err != nil {
		return err
	}
	tips, err := readRefs(m.opt.Dir)
	if err != nil {
		return err
	}
	store, err := packs.Open(filepath.Join(m.opt.Dir, "objects", "pack"), objectCache)
	if err != nil {
		return err
	}
	for name, h := range tips {
		if !store.Has(h) {
			return errors.Join(fmt.Errorf("%s points at nothing", name), store.Close())
		}
	}
	m.store, m.refs = store, newRefs(tips)
	_, m.first = store.Stats()
	return nil
}

// Close waits for a running fetch, refuses others, and gives the folder free. Reading afterwards
// gives ErrNoCommit.
func (m *Mirror) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	m.mu.Unlock()
	<-m.fetching // for good: whoever waits for it is told ErrClosed
	close(m.fetching)
	m.graph.clear()
	return errors.Join(m.store.Close(), m.lock.release())
}

// Branch is where a branch was at the last Fetch that named it; ErrNoRef when it never was or is
// gone.
func (m *Mirror) Branch(name string) (SHA, error) { return m.Ref(BranchRef(name)) }

// Ref is Branch for any reference by its full name.
func (m *Mirror) Ref(name string) (SHA, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if r, ok := m.refs[name]; ok {
		return fromHash(r.tip), nil
	}
	return "", fmt.Errorf("%w: %s", ErrNoRef, name)
}

// Refs lists all references with their commits, as of the last Fetch that named each.
func (m *Mirror) Refs() map[string]SHA {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]SHA, len(m.refs))
	for name, r := range maps.All(m.refs) {
		all[name] = fromHash(r.tip)
	}
	return all
}

// Has reports whether a commit (or any object) is in the mirror.
func (m *Mirror) Has(sha SHA) bool { return m.store.Has(sha.hash()) }

// Size is how large the mirror is, for metrics.
func (m *Mirror) Size() (packs int, bytes int64) { return m.store.Stats() }
