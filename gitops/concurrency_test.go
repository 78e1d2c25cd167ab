package gitops

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestReadersWhileFetching has many readers and fetchers at work while packs come, are joined and,
// now and then, all replaced. It is meant for the race detector.
func TestReadersWhileFetching(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	files := tree{}
	for i := range 200 {
		files[fmt.Sprintf("systems/s%d/f%d", i%7, i)] = fmt.Sprintf("content %d\n%s", i, strings.Repeat("x", i))
	}
	base := o.commit(files)
	o.ref(main, base)
	const pulls = maxPacks + 9
	heads := make([]SHA, pulls+1)
	for n := 1; n <= pulls; n++ {
		heads[n] = o.commit(files.with("systems/s1/f1", fmt.Sprint("changed by ", n)), base)
		o.ref(PullRef(n), heads[n])
	}
	m := mirrored(t, o, main)

	stop := make(chan struct{})
	var readers, fetchers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				readOnce(t, m, base, i%200)
			}
		})
	}
	for w := range 3 {
		fetchers.Go(func() {
			for n := 1 + w; n <= pulls; n += 3 {
				fetch(t, m, main, PullRef(n))
				checkPull(t, m, base, heads[n], n)
				if n%10 == 0 {
					m.damaged.Store(true) // the next fetch clones anew
				}
			}
		})
	}
	fetchers.Wait()
	close(stop)
	readers.Wait()
	for n := 1; n <= pulls; n++ {
		checkPull(t, m, base, heads[n], n)
	}
	if n, _ := m.Size(); n > maxPacks {
		t.Errorf("%d packs", n)
	}
	git(t, m.opt.Dir, nil, "fsck", "--strict")
}

func readOnce(t *testing.T, m *Mirror, base SHA, i int) {
	path := fmt.Sprintf("systems/s%d/f%d", i%7, i)
	want := fmt.Sprintf("content %d\n%s", i, strings.Repeat("x", i))
	if data, _, err := m.Read(t.Context(), base, path, 1<<10); string(data) != want || err != nil {
		t.Errorf("Read(%s) = %q, %v", path, data, err)
	}
}

func checkPull(t *testing.T, m *Mirror, base, head SHA, n int) {
	if got, err := m.Ref(PullRef(n)); got != head || err != nil {
		t.Errorf("Ref(%d) = %s, %v", n, got, err)
	}
	if mb, err := m.MergeBase(t.Context(), base, head); mb != base || err != nil {
		t.Errorf("MergeBase(%d) = %s, %v", n, mb, err)
	}
	changes, err := m.Diff(t.Context(), base, head)
	if err != nil || len(changes) != 1 {
		t.Errorf("Diff(%d) = %v, %v", n, changes, err)
		return
	}
	if data, err := m.ReadBlob(changes[0].After.Hash, 100); string(data) != fmt.Sprint("changed by ", n) || err != nil {
		t.Errorf("ReadBlob(%d) = %q, %v", n, data, err)
	}
}

// TestWaitingCallersShareARound holds the first fetch at the server; all that come meanwhile must need
// one more round together, and see what the server has after they asked.
func TestWaitingCallersShareARound(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	base := o.commit(tree{"a": "1"})
	o.ref(main, base)
	s := serve(t, o)
	m := open(t, s)
	fetch(t, m, main)

	reached, release := make(chan struct{}), make(chan struct{})
	var once sync.Once
	s.intercept(func(http.ResponseWriter, *http.Request) bool {
		once.Do(func() {
			close(reached)
			<-release
		})
		return false
	})
	before := len(s.requests())
	var callers sync.WaitGroup
	callers.Go(func() { fetch(t, m, main) })
	<-reached
	for n := 1; n <= 8; n++ {
		head := o.commit(tree{"a": fmt.Sprint(n)}, base)
		o.ref(PullRef(n), head)
		callers.Go(func() {
			fetch(t, m, PullRef(n))
			if !m.Has(head) {
				t.Errorf("fetch returned without pull request %d", n)
			}
		})
	}
	callers.Go(func() {
		if err := m.Fetch(t.Context(), PullRef(99)); !errors.Is(err, ErrNoRef) {
			t.Errorf("a reference that is not there: %v", err)
		}
	})
	waitFor(t, func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return m.pending != nil && m.pending.waiting == 9
	})
	close(release)
	callers.Wait()
	// One for the first round (nothing new), two for the second (references, pack).
	if got := len(s.requests()) - before; got != 3 {
		t.Errorf("%d requests for ten fetches", got)
	}
}

func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !cond(); {
		if time.Now().After(deadline) {
			t.Fatal("waited too long")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestFetchIsCancelled(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.ref(main, o.commit(tree{"a": "1"}))
	s := serve(t, o)
	m := open(t, s)
	gone := make(chan struct{}, 1)
	s.intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		<-r.Context().Done() // a server that never answers
		gone <- struct{}{}
		return true
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := m.Fetch(ctx, main); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Fetch = %v", err)
	}
	<-gone // the request itself was given up, not only its caller
	s.intercept(nil)
	fetch(t, m, main)
}

// TestOneCallerLeaves shows that a caller that gives up does not take the round from the others.
func TestOneCallerLeaves(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	o.ref(main, o.commit(tree{"a": "1"}))
	s := serve(t, o)
	m := open(t, s)
	<-m.fetching // nobody's turn yet, so that both callers are in one batch
	ctx, cancel := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	callers.Go(func() {
		if err := m.Fetch(ctx, main); !errors.Is(err, context.Canceled) {
			t.Errorf("the caller that left: %v", err)
		}
	})
	callers.Go(func() { fetch(t, m, main) })
	waiting := func(n int) func() bool {
		return func() bool {
			m.mu.Lock()
			defer m.mu.Unlock()
			return m.pending != nil && m.pending.waiting == n
		}
	}
	waitFor(t, waiting(2))
	cancel()
	waitFor(t, waiting(1))
	m.fetching <- struct{}{}
	callers.Wait()
}

func TestFetchCommits(t *testing.T) {
	t.Parallel()
	o := newOrigin(t)
	base := o.commit(tree{"a": "1"})
	o.ref(main, base)
	old := o.commit(tree{"a": "2"}, base) // no reference leads here
	m := mirrored(t, o, main)
	if m.Has(old) {
		t.Fatal("fetched without being asked for")
	}
	if err := m.FetchCommits(t.Context(), base, old); err != nil {
		t.Fatal(err)
	}
	if c, err := m.Commit(old); c.SHA != old || err != nil {
		t.Errorf("Commit = %v, %v", c, err)
	}
	if err := m.FetchCommits(t.Context(), SHA(strings.Repeat("4", 40))); !errors.Is(err, ErrNoCommit) {
		t.Errorf("a commit that the server does not have: %v", err)
	}
	if err := m.FetchCommits(t.Context(), "HEAD"); err == nil {
		t.Error("HEAD is no commit id")
	}
}
