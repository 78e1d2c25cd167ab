package service

import (
	"io"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// line is the way to an API server, byte for byte, which can be cut: connections are refused then.
type line struct {
	t              *testing.T
	target, listen string
	listener       net.Listener
	frozen         atomic.Bool  // what was sent stays where it is
	delay          atomic.Int64 // of what comes back
}

// newLine gives the way to the world's API server, and the kubeconfig that takes it.
func newLine(w *world) (*line, []byte) {
	w.Helper()
	server := w.kube.Config().Host
	at, err := url.Parse(server)
	w.ok(err)
	l := &line{t: w.T, target: at.Host, listen: "127.0.0.1:0"}
	l.mend()
	l.listen = l.listener.Addr().String()
	w.Cleanup(func() { _ = l.listener.Close() })
	text := strings.ReplaceAll(string(w.kube.Kubeconfig()), at.Host, l.listen)
	if text == string(w.kube.Kubeconfig()) {
		w.Fatalf("the kubeconfig does not name %s", at.Host)
	}
	return l, []byte(text)
}

func (l *line) mend() {
	l.t.Helper()
	var err error
	if l.listener, err = new(net.ListenConfig).Listen(l.t.Context(), "tcp", l.listen); err != nil {
		l.t.Fatal(err)
	}
	go l.serve(l.listener)
}

func (l *line) cut() { _ = l.listener.Close() }

// freeze keeps every connection open and brings nothing over any more.
func (l *line) freeze() { l.frozen.Store(true) }

// carry brings over what one side sends.
func (l *line) carry(to io.Writer, from io.Reader, delayed bool) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		if l.frozen.Load() {
			<-l.t.Context().Done()
			return
		}
		if delayed {
			time.Sleep(time.Duration(l.delay.Load()))
		}
		if _, wrong := to.Write(buffer[:n]); err != nil || wrong != nil {
			return
		}
	}
}

func (l *line) serve(listener net.Listener) {
	for {
		near, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer func() { _ = near.Close() }()
			far, err := net.Dial("tcp", l.target)
			if err != nil {
				return
			}
			defer func() { _ = far.Close() }()
			go func() {
				l.carry(far, near, false)
				_ = far.Close()
			}()
			l.carry(near, far, true)
		}()
	}
}
