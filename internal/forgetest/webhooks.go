package forgetest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
)

// hook is a webhook's configuration and its memory of deliveries. app is set for an App's hook.
type hook struct {
	id         int64
	app        *app
	repo       *repository
	url        string
	secret     string
	events     []string
	active     bool
	createdAt  time.Time
	deliveries []*delivery // oldest first
}

func (h *hook) wants(event string) bool {
	if h.url == "" || !h.active {
		return false
	}
	return event == "ping" || slices.Contains(h.events, event) || slices.Contains(h.events, "*") ||
		h.app != nil && strings.HasPrefix(event, "installation")
}

// delivery is one attempt to deliver an event.
type delivery struct {
	id          int64
	guid        string
	hook        *hook
	event       string
	action      string
	repoID      int64
	installID   int64
	redelivery  bool
	deliveredAt time.Time
	url         string
	headers     http.Header
	body        []byte

	disturbed bool // the faults have had their go

	// set when the attempt is over
	done     bool
	duration time.Duration
	status   string
	code     int
	respHead http.Header
	respBody string
}

const hookshot = "GitHub-Hookshot/f0rge7e"

// deliver queues an event for one hook if it is subscribed. It runs under the server's lock.
func (s *Server) deliver(h *hook, inst *installation, repoID int64, event, action string, payload obj) {
	if h == nil || !h.wants(event) {
		return
	}
	if inst != nil {
		payload["installation"] = obj{"id": inst.id, "node_id": nodeID("Installation", inst.id)}
		defer delete(payload, "installation")
	}
	body, err := json.Marshal(payload)
	if err != nil {
		s.log.Error("encode a webhook", "event", event, "error", err)
		return
	}
	d := &delivery{guid: uuid.NewString(), hook: h, event: event, action: action, repoID: repoID, body: body}
	if inst != nil {
		d.installID = inst.id
	}
	s.enqueue(d)
}

// enqueue gives a delivery its id and headers, remembers it and queues it.
func (s *Server) enqueue(d *delivery) {
	h := d.hook
	d.id, d.deliveredAt, d.url, d.headers = s.nextID(), s.clock().UTC(), h.url, s.hookHeaders(d)
	if s.queue.loses() {
		return
	}
	h.deliveries = append(h.deliveries, d)
	if extra := len(h.deliveries) - s.opts.KeepDeliveries; extra > 0 {
		h.deliveries = slices.Delete(h.deliveries, 0, extra)
	}
	s.queue.add(d)
}

func (s *Server) hookHeaders(d *delivery) http.Header {
	h := d.hook
	target, targetID := "repository", d.repoID
	if h.app != nil {
		target, targetID = "integration", h.app.id
	}
	head := http.Header{}
	for k, v := range map[string]string{
		"Content-Type": "application/json", "User-Agent": hookshot, "X-GitHub-Delivery": d.guid, "X-GitHub-Event": d.event,
		"X-GitHub-Hook-ID": itoa(h.id), "X-GitHub-Hook-Installation-Target-Type": target,
		"X-GitHub-Hook-Installation-Target-ID": itoa(targetID), "X-GitHub-Enterprise-Version": enterpriseVersion,
		"X-GitHub-Enterprise-Host": strings.TrimPrefix(strings.TrimPrefix(s.base, "http://"), "https://"),
	} {
		head.Set(k, v)
	}
	if h.secret != "" {
		mac := hmac.New(sha256.New, []byte(h.secret))
		mac.Write(d.body)
		head.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}
	return head
}

// redeliver sends a delivery once more, under the same GUID.
func (s *Server) redeliver(old *delivery) *delivery {
	d := &delivery{
		guid: old.guid, hook: old.hook, event: old.event, action: old.action, repoID: old.repoID, installID: old.installID,
		body: old.body, redelivery: true,
	}
	s.enqueue(d)
	return d
}

// deliveryQueue sends deliveries in the order in which they were queued, by one worker or several.
type deliveryQueue struct {
	s      *Server
	client *http.Client
	ctx    context.Context //nolint:containedctx // the workers' lifetime is the queue's
	cancel context.CancelFunc

	mu      sync.Mutex
	wake    *sync.Cond
	waiting []*delivery
	pending int           // queued, delayed or in flight
	idle    chan struct{} // closed while nothing is pending
	paused  bool
	faults  DeliveryFaults
	rng     *rand.Rand
	closed  bool
}

func newDeliveryQueue(s *Server, workers int, rng *rand.Rand) *deliveryQueue {
	ctx, cancel := context.WithCancel(context.Background())
	transport := &http.Transport{MaxIdleConnsPerHost: workers, IdleConnTimeout: 30 * time.Second}
	q := &deliveryQueue{
		s: s, client: &http.Client{Timeout: 10 * time.Second, Transport: transport}, ctx: ctx, cancel: cancel,
		idle: make(chan struct{}), rng: rng,
	}
	close(q.idle)
	q.wake = sync.NewCond(&q.mu)
	for range workers {
		go q.work()
	}
	return q
}

func (q *deliveryQueue) add(d *delivery) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.pend(1)
	q.waiting = append(q.waiting, d)
	q.wake.Signal()
}

// pend counts what is not yet delivered. The caller holds the queue's lock.
func (q *deliveryQueue) pend(n int) {
	if n == 0 {
		return
	}
	if q.pending == 0 {
		q.idle = make(chan struct{})
	}
	q.pending += n
	if q.pending == 0 {
		close(q.idle)
	}
}

func (q *deliveryQueue) stop() {
	q.cancel()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	q.closed = true
	q.pend(-len(q.waiting))
	q.waiting = nil
	q.wake.Broadcast()
	q.client.CloseIdleConnections()
}

// next waits for a delivery; nil when the queue is closed.
func (q *deliveryQueue) next() *delivery {
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.closed && (len(q.waiting) == 0 || q.paused) {
		q.wake.Wait()
	}
	if q.closed {
		return nil
	}
	d := q.waiting[0]
	q.waiting = q.waiting[1:]
	return d
}

func (q *deliveryQueue) work() {
	for d := q.next(); d != nil; d = q.next() {
		if q.disturb(d) {
			continue
		}
		q.send(d)
		q.mu.Lock()
		q.pend(-1)
		q.mu.Unlock()
	}
}

// send makes one attempt and records how it went.
func (q *deliveryQueue) send(d *delivery) {
	if q.s.opts.Observer != nil {
		q.s.opts.Observer.Delivered(d.headers, d.body)
	}
	start := time.Now()
	req, err := http.NewRequestWithContext(q.ctx, http.MethodPost, d.url, bytes.NewReader(d.body))
	if err != nil {
		q.finish(d, start, 0, "invalid url", nil, "")
		return
	}
	req.Header = d.headers.Clone()
	resp, err := q.client.Do(req)
	if err != nil {
		q.s.log.Warn("webhook was not delivered", "event", d.event, "guid", d.guid, "error", err)
		status := "failed to connect to host"
		if strings.Contains(err.Error(), "Client.Timeout") {
			status = "timed out"
		}
		q.finish(d, start, 0, status, nil, "")
		return
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		q.finish(d, start, resp.StatusCode, "failed to read the answer", resp.Header, "")
		return
	}
	status := "OK"
	if resp.StatusCode >= 300 {
		status = "Invalid HTTP Response: " + resp.Status[:3]
	}
	q.finish(d, start, resp.StatusCode, status, resp.Header, string(body))
}

func (q *deliveryQueue) finish(d *delivery, start time.Time, code int, status string, head http.Header, body string) {
	q.s.mu.Lock()
	defer q.s.mu.Unlock()
	d.done, d.duration, d.code, d.status, d.respHead, d.respBody = true, time.Since(start), code, status, head, body
}

// WaitIdle returns when everything that was queued has been delivered or has failed, or with the context's error.
func (s *Server) WaitIdle(ctx context.Context) error {
	for {
		s.queue.mu.Lock()
		idle, pending := s.queue.idle, s.queue.pending
		s.queue.mu.Unlock()
		if pending == 0 {
			return nil
		}
		select {
		case <-idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
