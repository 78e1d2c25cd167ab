package provider

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"time"
)

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
