package provider

import (
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/kubetest"
)

// cable is the way to a server, byte for byte. It can be held, so that connections stay open and nothing passes,
// and new connections can be cut off as they are made.
type cable struct {
	t      *testing.T
	target string
	held   atomic.Pointer[chan struct{}] // closed: the connections made until then are dead
	cut    atomic.Bool
	made   atomic.Int64
}

// through is the same bench behind a cable.
func (b bench) through(t *testing.T) (bench, *cable) {
	t.Helper()
	at, err := url.Parse(b.kube.Config().Host)
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	w := &cable{t: t, target: at.Host}
	w.mend()
	go w.serve(l)
	text := strings.ReplaceAll(string(b.kube.Kubeconfig()), at.Host, l.Addr().String())
	c, err := Connect(t.Context(), []byte(text), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	b.Cluster = c
	return b, w
}

// hold makes the connections that there are dead, without closing them.
func (w *cable) hold() { close(*w.held.Load()); w.mend() }

func (w *cable) mend() { fresh := make(chan struct{}); w.held.Store(&fresh) }

func (w *cable) serve(l net.Listener) {
	for {
		near, err := l.Accept()
		if err != nil {
			return
		}
		w.made.Add(1)
		if w.cut.Load() {
			_ = near.Close()
			continue
		}
		go w.join(near, *w.held.Load())
	}
}

func (w *cable) join(near net.Conn, held chan struct{}) {
	far, err := net.Dial("tcp", w.target)
	if err != nil {
		_ = near.Close()
		return
	}
	end := func() { _ = near.Close(); _ = far.Close() }
	for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			defer end()
			buffer := make([]byte, 1<<16)
			for {
				n, err := way[1].Read(buffer)
				select {
				case <-held:
					<-w.t.Context().Done()
					return
				default:
				}
				if _, wrong := way[0].Write(buffer[:n]); err != nil || wrong != nil {
					return
				}
			}
		}()
	}
}

// A connection whose other end is gone without a word costs the time to notice that, not the whole call.
func TestADeadConnectionIsNoticed(t *testing.T) {
	t.Parallel()
	b, w := setup(t).through(t)
	w.hold()
	began := time.Now()
	if _, err := b.Observe(t.Context(), b.ns, "vm"); err != nil {
		t.Fatal(err, cause(err))
	}
	spent := time.Since(began)
	t.Logf("the call took %s", spent.Round(time.Millisecond))
	if spent > silenceBeforePing+pingTimeout+2*time.Second {
		t.Errorf("the call took %s", spent)
	}
	w.hold()
	time.Sleep(silenceBeforePing + pingTimeout + time.Second)
	began = time.Now()
	if _, err := b.Observe(t.Context(), b.ns, "vm"); err != nil {
		t.Fatal(err, cause(err))
	}
	if spent := time.Since(began); spent > time.Second {
		t.Errorf("what was dead before the call cost it %s", spent)
	}
}

// What is written on a connection that dies is not written again by itself: it may have arrived.
func TestADeadConnectionEndsAWrite(t *testing.T) {
	t.Parallel()
	b, w := setup(t).through(t)
	m := b.machine("vm")
	w.hold()
	began := time.Now()
	err := b.createNamespace(t.Context(), namespaceOf(b.ns+"-lost", nil))
	refusedAs(t, err, domain.ClusterUnreachable, Later, "it fell silent")
	if spent := time.Since(began); spent > silenceBeforePing+pingTimeout+2*time.Second {
		t.Errorf("the call took %s", spent)
	}
	if b.read(namespaceObject(b.ns+"-lost")) != nil {
		t.Error("it was written")
	}
	b.apply(m.creating(), m)
}

// A load balancer without anybody behind it closes every connection that it takes.
func TestClosedConnectionsAreNotTriedForLong(t *testing.T) {
	t.Parallel()
	b, w := setup(t).through(t)
	w.cut.Store(true)
	b.Close()
	before := w.made.Load()
	began := time.Now()
	_, err := b.Observe(t.Context(), b.ns, "vm")
	refusedAs(t, err, domain.ClusterUnreachable, Later, "it closed the connection")
	if spent := time.Since(began); spent > 2*time.Second {
		t.Errorf("the call took %s", spent)
	}
	if tried := w.made.Load() - before; tried > 2 {
		t.Errorf("%d connections were tried", tried)
	}
}

// A server that answers each request with the end of the connection is asked twice, not ten times.
func TestLostAnswersAreAskedForTwice(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	c := served(t, func(http.ResponseWriter, *http.Request) {
		asked.Add(1)
		panic(http.ErrAbortHandler)
	})
	began := time.Now()
	_, err := c.Observe(t.Context(), "ns", "vm")
	refusedAs(t, err, domain.ClusterUnreachable, Later)
	if spent := time.Since(began); spent > time.Second {
		t.Errorf("it took %s", spent)
	}
	if n := asked.Load(); n == 0 || n > 4 {
		t.Errorf("it was asked %d times", n)
	}
}

// An API server that restarts costs the next call little, on the connection that was kept from before.
func TestAServerThatRestarts(t *testing.T) {
	t.Parallel()
	kube, err := kubetest.Start(t.Context(), kubetest.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kube.Stop() })
	c, err := Connect(t.Context(), kube.Kubeconfig(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if err := kube.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := c.Observe(t.Context(), "default", "vm"); err != nil {
		t.Fatal(err, cause(err))
	}
	up := time.Since(began)
	if err := kube.Stop(); err != nil {
		t.Fatal(err)
	}
	began = time.Now()
	_, err = c.Observe(t.Context(), "default", "vm")
	refusedAs(t, err, domain.ClusterUnreachable, Later)
	down := time.Since(began)
	t.Logf("the first call took %s after the restart and %s after the end", up.Round(time.Millisecond), down.Round(time.Millisecond))
	if up > 2*time.Second || down > 2*time.Second {
		t.Errorf("%s, %s", up, down)
	}
}
