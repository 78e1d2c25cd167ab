package forgetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Options says how a Server is set up. Only Dir is required.
type Options struct {
	// Dir holds the bare git repositories. It is created if it is missing.
	Dir string
	// Logger gets a line for each unknown route and each failed delivery. Nil: nothing is logged.
	Logger *slog.Logger
	// Seed makes the faults repeatable.
	Seed uint64
	// Clock is the server's notion of now. Nil: time.Now.
	Clock func() time.Time
	// URL is the address people and clients use, when Handler is served by somebody else. Listen sets it.
	URL string
	// RateLimit is the number of REST requests an hour that each identity has. 0: 5,000.
	RateLimit int
	// ContentPerMinute limits the requests that create content, for each identity. 0: no limit.
	ContentPerMinute int
	// Hour and Minute are how long the limits' hour and minute last, for those who cannot wait. 0: as long as they should.
	Hour, Minute time.Duration
	// DeliveryConcurrency is the number of deliveries in flight at once. 0 or 1: one, in order.
	DeliveryConcurrency int
	// Observer, where there is one, sees every answer and every webhook.
	Observer Observer
	// KeepDeliveries is how many deliveries each hook remembers. 0: 10,000.
	KeepDeliveries int
}

// Server is the stand-in. Its methods may be used from any goroutine.
type Server struct {
	opts Options
	log  *slog.Logger
	git  *gitRunner
	api  http.Handler
	web  http.Handler

	mu       sync.Mutex
	base     string
	clock    func() time.Time
	lastID   int64
	accounts map[int64]*account
	repos    map[int64]*repository
	apps     []*app
	tokens   map[string]*token
	limits   map[string]*budget
	calls    []Call
	faults   []*Fault
	repoint  bool
	pushing  map[int64]*sync.Mutex

	queue    *deliveryQueue
	listener net.Listener
	httpSrv  *http.Server
}

// New makes a server. It fails when the directory cannot be made or git is not there.
func New(opts Options) (*Server, error) {
	if opts.Dir == "" {
		return nil, errors.New("forgetest: Options.Dir is empty")
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Clock == nil {
		opts.Clock = time.Now
	}
	if opts.RateLimit == 0 {
		opts.RateLimit = 5000
	}
	opts.Hour, opts.Minute = cmp.Or(opts.Hour, time.Hour), cmp.Or(opts.Minute, time.Minute)
	if opts.KeepDeliveries == 0 {
		opts.KeepDeliveries = 10000
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return nil, fmt.Errorf("resolve %s: %w", opts.Dir, err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "repos"), 0o755); err != nil {
		return nil, fmt.Errorf("make the server's directory: %w", err)
	}
	opts.Dir = dir
	runner, err := newGitRunner(dir)
	if err != nil {
		return nil, err
	}
	s := &Server{
		opts: opts, log: opts.Logger, git: runner, base: opts.URL, clock: opts.Clock, lastID: 1000,
		accounts: map[int64]*account{}, repos: map[int64]*repository{},
		pushing: map[int64]*sync.Mutex{}, tokens: map[string]*token{}, limits: map[string]*budget{},
	}
	s.queue = newDeliveryQueue(s, max(1, opts.DeliveryConcurrency), rand.New(rand.NewPCG(opts.Seed, 0x5eed)))
	s.accounts[webFlowID] = &account{id: webFlowID, login: "web-flow", name: "GitHub", email: "noreply@github.com", kind: "User"}
	s.accounts[mergeQueueID] = &account{id: mergeQueueID, login: "github-merge-queue[bot]", kind: "Bot", email: noreplyEmail(mergeQueueID, "github-merge-queue[bot]")}
	s.api = s.apiHandler()
	s.web = s.webHandler()
	return s, nil
}

// webFlowID is the id of the account that commits what is merged on GitHub's pages.
const webFlowID = 19864447

// Handler answers everything: REST, git and pages.
func (s *Server) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case hasAPIPrefix(r.URL.Path):
			s.api.ServeHTTP(w, r)
		case isGitPath(r.URL.Path):
			s.serveGit(w, r)
		default:
			s.web.ServeHTTP(w, r)
		}
	})
}

// Listen starts serving on addr (for example 127.0.0.1:0) and returns at once. URL is known afterwards.
func (s *Server) Listen(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", addr, err)
	}
	srv := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 10 * time.Second}
	s.mu.Lock()
	s.listener, s.httpSrv = l, srv
	if s.opts.URL == "" {
		s.base = "http://" + l.Addr().String()
	}
	s.mu.Unlock()
	go func() {
		if err := srv.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("forge stopped serving", "error", err)
		}
	}()
	return nil
}

// URL is the server's address without a slash at the end, as given to WithEnterpriseURLs.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.base
}

// Close stops serving and delivering. Deliveries not yet made are dropped.
func (s *Server) Close() error {
	s.queue.stop()
	s.mu.Lock()
	srv := s.httpSrv
	s.mu.Unlock()
	if srv == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		return srv.Close()
	}
	return nil
}

// SetClock replaces the server's notion of now: timestamps, token expiry, rate limit windows and the Date header.
func (s *Server) SetClock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = now
}

// RepointReviews makes reviews follow a force-push that leaves the pull request's diff as it was: their commit_id
// becomes the new head, as some observers saw GitHub do. Off, a review keeps the commit it was submitted on.
func (s *Server) RepointReviews(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.repoint = on
}
