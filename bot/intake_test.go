package bot

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // the signature that must not be enough
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge/github"
)

const (
	secret  = "a secret of the webhook"
	retired = "the secret before that"
)

func newIntake(d *database) *Intake {
	return NewIntake(envelope(), d.db, d.queue, slog.New(slog.DiscardHandler), now, func(string) {})
}

func envelope() Envelope {
	return Envelope{
		Verify: func(h http.Header, body []byte) error {
			return github.Verify(h, body, [][]byte{[]byte(secret), []byte(retired)})
		},
		Delivery: github.Delivery,
	}
}

func sign(newHash func() hash.Hash, key string, body []byte) string {
	mac := hmac.New(newHash, []byte(key))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// webhook is a signed delivery as GitHub posts it.
func webhook(id string, body []byte) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/webhooks/github", bytes.NewReader(body))
	r.Header.Set("X-GitHub-Delivery", id)
	r.Header.Set("X-GitHub-Event", "pull_request")
	r.Header.Set("X-Hub-Signature-256", "sha256="+sign(sha256.New, secret, body))
	return r
}

func post(h http.Handler, r *http.Request) int {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code
}

func (d *database) deliveries() []string {
	d.Helper()
	return d.lines(`select id || ' ' || event || ' ' || status || ' ' || convert_from(body, 'UTF8') from deliveries order by id`)
}

func (d *database) count(table string) (n int) {
	d.Helper()
	d.ok(d.pool.QueryRow(d.Context(), "select count(*) from "+table).Scan(&n))
	return n
}

func TestIntakeStoresOnce(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	i := newIntake(d)
	for try := range 3 {
		if got := post(i, webhook(guid(1), []byte(`{"a": 1}`))); got != http.StatusAccepted {
			t.Fatalf("try %d: %d", try, got)
		}
	}
	if diff := cmp.Diff([]string{guid(1) + ` pull_request received {"a": 1}`}, d.deliveries()); diff != "" {
		t.Errorf("deliveries (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{`route_delivery {"delivery_id": "` + guid(1) + `"}`}, d.jobs()); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	at := d.lines(`select received_at::timestamptz at time zone 'UTC' || '' from deliveries`)
	if !strings.HasPrefix(at[0], "2026-11-23 13:00:00") {
		t.Errorf("received at %s", at[0])
	}
}

// A repeated id is queued again only where nothing came of it and nothing will.
func TestIntakeRepeated(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		job, status string
		jobs        int
	}{
		{"available", "received", 1},
		{"running", "received", 1},
		{"retryable", "received", 1},
		{"scheduled", "received", 1},
		{"discarded", "received", 2},
		{"cancelled", "received", 2},
		{"", "received", 1}, // the job's record was cleaned away
		{"completed", "routed", 1},
		{"completed", "ignored", 1},
		{"discarded", "routed", 1},
		{"", "routed", 0},
	} {
		t.Run(c.job+" "+c.status, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			i := newIntake(d)
			if got := post(i, webhook(guid(1), []byte("{}"))); got != http.StatusAccepted {
				t.Fatal(got)
			}
			if c.job == "" {
				d.exec("delete from river_job")
			} else {
				d.exec(`update river_job set state = $1::river_job_state,
  finalized_at = case when $1::text in ('completed', 'cancelled', 'discarded') then now() end`, c.job)
			}
			d.exec("update deliveries set status = $1", c.status)
			var outcome string
			i.count = func(o string) { outcome = o }
			if got := post(i, webhook(guid(1), []byte("{}"))); got != http.StatusAccepted || outcome != "repeated" {
				t.Errorf("answered %d, %s", got, outcome)
			}
			if rows, jobs := d.count("deliveries"), d.count("river_job"); rows != 1 || jobs != c.jobs {
				t.Errorf("%d deliveries, %d jobs; want 1, %d", rows, jobs, c.jobs)
			}
		})
	}
}

// What is refused leaves nothing behind.
func TestIntakeRefuses(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	body := []byte(`{"a": 1}`)
	for _, c := range []struct {
		name   string
		change func(*http.Request)
		status int
	}{
		{"no signature", func(r *http.Request) { r.Header.Del("X-Hub-Signature-256") }, http.StatusUnauthorized},
		{"another secret", func(r *http.Request) {
			r.Header.Set("X-Hub-Signature-256", "sha256="+sign(sha256.New, "another secret, just as long", body))
		}, http.StatusUnauthorized},
		{"another body", func(r *http.Request) {
			r.Header.Set("X-Hub-Signature-256", "sha256="+sign(sha256.New, secret, []byte("{}")))
		}, http.StatusUnauthorized},
		{"SHA-1 only", func(r *http.Request) {
			r.Header.Del("X-Hub-Signature-256")
			r.Header.Set("X-Hub-Signature", "sha1="+sign(sha1.New, secret, body))
		}, http.StatusUnauthorized},
		{"SHA-1 in the place of SHA-256", func(r *http.Request) {
			r.Header.Set("X-Hub-Signature-256", "sha1="+sign(sha1.New, secret, body))
		}, http.StatusUnauthorized},
		{"two signatures", func(r *http.Request) {
			r.Header.Add("X-Hub-Signature-256", "sha256="+sign(sha256.New, secret, body))
		}, http.StatusUnauthorized},
		{"get", func(r *http.Request) { r.Method = http.MethodGet }, http.StatusMethodNotAllowed},
		{"no id", func(r *http.Request) { r.Header.Del("X-GitHub-Delivery") }, http.StatusBadRequest},
		{"an id that is none", func(r *http.Request) { r.Header.Set("X-GitHub-Delivery", "'; drop table deliveries") }, http.StatusBadRequest},
		{"a form", func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }, http.StatusUnsupportedMediaType},
		{"no event", func(r *http.Request) { r.Header.Del("X-GitHub-Event") }, http.StatusBadRequest},
		{"an event that is none", func(r *http.Request) { r.Header.Set("X-GitHub-Event", "Pull Request") }, http.StatusBadRequest},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := webhook(guid(1), body)
			c.change(r)
			w := httptest.NewRecorder()
			newIntake(d).ServeHTTP(w, r)
			if w.Code != c.status {
				t.Errorf("answered %d, want %d", w.Code, c.status)
			}
			if strings.Contains(w.Body.String(), secret) {
				t.Error("the answer quotes the secret")
			}
			if rows, jobs := d.count("deliveries"), d.count("river_job"); rows != 0 || jobs != 0 {
				t.Errorf("stored: %d deliveries, %d jobs", rows, jobs)
			}
		})
	}
}

func TestIntakeTakesBothSecrets(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	body := []byte("{}")
	for n, key := range []string{secret, retired} {
		r := webhook(guid(n), body)
		r.Header.Set("X-Hub-Signature-256", "sha256="+sign(sha256.New, key, body))
		if got := post(newIntake(d), r); got != http.StatusAccepted {
			t.Errorf("%q: %d", key, got)
		}
	}
}

func TestIntakeBoundsTheBody(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	i := newIntake(d)
	i.bound(bounds{body: 64, bodies: 64, storing: 1, patience: time.Minute})
	for size, want := range map[int]int{64: http.StatusAccepted, 65: http.StatusRequestEntityTooLarge} {
		if got := post(i, webhook(guid(size), bytes.Repeat([]byte("x"), size))); got != want {
			t.Errorf("%d bytes: %d, want %d", size, got, want)
		}
	}
	if n := d.count("deliveries"); n != 1 {
		t.Errorf("%d deliveries", n)
	}
	if newIntake(d).bounds.body != MaxDelivery {
		t.Error("the limit is not the forge's own")
	}
}

// The forge has to see that a delivery was not stored, so that it can be sent again.
func TestIntakeWithoutDatabase(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	i := newIntake(d)
	d.pool.Close()
	if got := post(i, webhook(guid(1), []byte("{}"))); got != http.StatusServiceUnavailable {
		t.Errorf("answered %d", got)
	}
}

// A delivery without its job, or a job without its delivery, is never left.
func TestIntakeIsOneTransaction(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	statements := d.breakEverywhere(func(d *database) error {
		_, err := newIntake(d).store(t.Context(), parcel{id: guid(1), event: "push", body: []byte("{}")})
		return err
	})
	if statements < 3 {
		t.Errorf("%d statements were broken: want the insert, the job, the commit", statements)
	}
}

func TestIntakeConcurrently(t *testing.T) {
	t.Parallel()
	const posts = 200
	d := newDatabase(t)
	i := newIntake(d)
	var accepted atomic.Int64
	i.count = func(outcome string) {
		if outcome == "accepted" {
			accepted.Add(1)
		}
	}
	var wg sync.WaitGroup
	for range posts {
		wg.Go(func() {
			if got := post(i, webhook(guid(1), []byte("{}"))); got != http.StatusAccepted {
				t.Errorf("answered %d", got)
			}
		})
	}
	wg.Wait()
	if rows, jobs := d.count("deliveries"), d.count("river_job"); rows != 1 || jobs != 1 || accepted.Load() != 1 {
		t.Errorf("%d deliveries, %d jobs, %d accepted: want 1 of each", rows, jobs, accepted.Load())
	}
}

func sign256(body string) string { return sign(sha256.New, secret, []byte(body)) }
