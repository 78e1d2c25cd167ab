package e2e

import (
	"io"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// road leads to the API server and can be cut.
type road struct {
	addr, target string
	cut          atomic.Bool

	mu    sync.Mutex
	conns []net.Conn
}

func newRoad(t testing.TB, target string) *road {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	r := &road{addr: ln.Addr().String(), target: target}
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go r.carry(c)
		}
	}()
	return r
}

func (r *road) carry(c net.Conn) {
	defer func() { _ = c.Close() }()
	if r.cut.Load() {
		return
	}
	up, err := net.Dial("tcp", r.target)
	if err != nil {
		return
	}
	defer func() { _ = up.Close() }()
	r.mu.Lock()
	r.conns = append(r.conns, c, up)
	r.mu.Unlock()
	go func() { _, _ = io.Copy(up, c); _ = up.Close() }()
	_, _ = io.Copy(c, up)
}

// close cuts the road, with what is on it.
func (r *road) close() {
	r.cut.Store(true)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
}

// newWorldByRoad is a world whose clusters are reached over a road.
func newWorldByRoad(t testing.TB) (w *world, way *road) {
	t.Helper()
	w = setup{kubeconfig: func(w *world) []byte {
		server := must(url.Parse(w.kube.Config().Host))(w)
		way = newRoad(t, server.Host)
		return []byte(strings.ReplaceAll(string(w.kube.Kubeconfig()), server.Host, way.addr))
	}}.world(t)
	return w, way
}

// While a cluster does not answer, the pull request says what it waits for; nothing fails, and when the
// cluster is back the VM is applied once.
func TestClusterOutage(t *testing.T) {
	t.Parallel()
	w, way := newWorldByRoad(t)
	pr := w.ask("shop", forgetest.Files{
		"systems/shop/system.yaml":             stage.System("the web shop"),
		"systems/shop/redis/service.yaml":      stage.Service("the cache"),
		"systems/shop/redis/test-shop/01.yaml": stage.VM("small", "a cache to try things on"),
	})
	w.check(pr, "shepherd/approval", "action_required")
	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")
	way.close()
	w.merge(pr, "merge")
	w.comment(pr, "CLUSTER_UNREACHABLE")
	if n := w.count("select count(*) from events where status = 'PROCESSING'"); n != 1 {
		t.Fatalf("%d events are under way, want 1", n)
	}
	way.cut.Store(false)
	if _, err := w.pool.Exec(t.Context(), "update river_job set scheduled_at = now(), state = 'available' where kind = 'event_job' and state <> 'running'"); err != nil {
		t.Fatal(err) // what waits for half a minute is not waited for here
	}
	w.vm("test-shop-shop-redis-01")
	w.eventually("the event to complete", func() bool { return w.count("select count(*) from events where status = 'COMPLETED'") == 3 })
	if n := w.count("select count(*) from audit_log where action_code = 'EXECUTION_STARTED'"); n != 1 {
		t.Errorf("the execution began %d times", n)
	}
}
