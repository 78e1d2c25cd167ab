package provider

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
)

// How long a kept connection may be silent before its other end is asked for a sign of life, how long that may
// take, and how long it takes to make a connection. A request waits at most the first two for a connection that
// is dead without having been closed, as the ones of a load balancer that was replaced.
const (
	silenceBeforePing = 2 * time.Second
	pingTimeout       = time.Second
	dialTimeout       = 5 * time.Second
)

// httpClientFor is a client with connections of its own. What is not set is as client-go sets it.
func httpClientFor(config *rest.Config) (*http.Client, error) {
	tlsConfig, err := rest.TLSConfigFor(config)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialTimeout, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: silenceBeforePing, Interval: pingTimeout, Count: 3,
	}}
	base := &http.Transport{
		Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, TLSClientConfig: tlsConfig,
		TLSHandshakeTimeout: dialTimeout, MaxIdleConnsPerHost: maxIdle, IdleConnTimeout: idleTimeout,
		ForceAttemptHTTP2: true, HTTP2: &http.HTTP2Config{SendPingTimeout: silenceBeforePing, PingTimeout: pingTimeout},
	}
	if config.Proxy != nil {
		base.Proxy = config.Proxy
	}
	wrapped, err := rest.HTTPWrappersForConfig(config, waitNoter{rereader{base}})
	if err != nil {
		return nil, err
	}
	return &http.Client{Transport: wrapped}, nil
}

// What is kept of connections that are not used.
const (
	maxIdle     = 25
	idleTimeout = 90 * time.Second
)

// rereader asks once more, on another connection, when a kept one turns out to be lost while something is
// read. client-go would ask ten more times and sleep in between, until the call's deadline.
type rereader struct{ next http.RoundTripper }

// RoundTrip is that of http.RoundTripper.
func (r rereader) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.next.RoundTrip(req)
	if isLost(err) && req.Method == http.MethodGet && req.Context().Err() == nil {
		resp, err = r.next.RoundTrip(req)
	}
	if isLost(err) {
		err = &lostError{err}
	}
	return resp, err
}

// WrappedRoundTripper lets client-go reach the transport, to close its idle connections.
func (r rereader) WrappedRoundTripper() http.RoundTripper { return r.next }

// lostError is the loss of a connection, unseen by client-go: there is no Unwrap.
type lostError struct{ cause error }

func (e *lostError) Error() string { return "the connection was lost" }

func isLost(err error) bool {
	return err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) &&
		(utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err) || utilnet.IsHTTP2ConnectionLost(err))
}

// call collects what a response says beside its body. It travels in the request's context.
type call struct {
	mu         sync.Mutex
	retryAfter time.Duration
	warnings   []string
}

type callKey struct{}

func withCall(ctx context.Context) (context.Context, *call) {
	c := &call{}
	return context.WithValue(ctx, callKey{}, c), c
}

func (c *call) wait() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.retryAfter
}

func (c *call) warned() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.warnings
}

// waitNoter takes Retry-After off the answers. Left there, client-go would sleep inside the call,
// holding a worker, until the call's own deadline hides the server's wish.
type waitNoter struct{ next http.RoundTripper }

func (n waitNoter) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := n.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	seconds, parseErr := strconv.Atoi(resp.Header.Get("Retry-After"))
	resp.Header.Del("Retry-After")
	if c, ok := req.Context().Value(callKey{}).(*call); ok && parseErr == nil && seconds > 0 {
		c.mu.Lock()
		c.retryAfter = time.Duration(seconds) * time.Second
		c.mu.Unlock()
	}
	return resp, nil
}

// WrappedRoundTripper lets client-go reach the transport, to close its idle connections.
func (n waitNoter) WrappedRoundTripper() http.RoundTripper { return n.next }

// warningNoter keeps the API server's warnings with the call that they answer.
type warningNoter struct{}

func (warningNoter) HandleWarningHeaderWithContext(ctx context.Context, code int, _ string, text string) {
	const miscellaneous = 299
	if c, ok := ctx.Value(callKey{}).(*call); ok && code == miscellaneous && text != "" {
		c.mu.Lock()
		c.warnings = append(c.warnings, words(text))
		c.mu.Unlock()
	}
}
