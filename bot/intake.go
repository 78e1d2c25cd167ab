package bot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
)

// Envelope is what a forge's driver knows of a webhook before its body means anything.
type Envelope struct {
	// Verify reports whether the body was signed with one of our secrets.
	Verify func(header http.Header, body []byte) error
	// Delivery returns the delivery's id and the event's name.
	Delivery func(header http.Header) (id, event string, err error)
}

// Intake takes webhooks: it verifies, stores and answers. The delivery and the job that routes it are
// one transaction, so that an accepted webhook cannot get lost, and a doubled one is one row.
type Intake struct {
	envelope Envelope
	db       *store.DB
	queue    *jobs.Queue
	log      *slog.Logger
	now      func() time.Time
	count    func(outcome string)
	bounds   bounds
	held     atomic.Int64 // bytes of bodies
	storing  chan struct{}
}

// NewIntake gives the handler; count is told how each delivery was answered, for metrics.
func NewIntake(e Envelope, db *store.DB, queue *jobs.Queue, log *slog.Logger, now func() time.Time, count func(outcome string)) *Intake {
	i := &Intake{envelope: e, db: db, queue: queue, log: log, now: now, count: count}
	i.bound(usualBounds)
	return i
}

// ServeHTTP answers 202 for what is stored (again), 401 for what is not ours, 413 for too much, 400
// for what is no webhook, 415 for a form, and 503 when it could not be stored: the forge then shows it as failed,
// and it is fetched later.
func (i *Intake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status, outcome := i.take(w, r)
	i.count(outcome)
	switch status {
	case http.StatusAccepted:
		w.WriteHeader(status)
		return
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
	}
	http.Error(w, outcome, status)
}

func (i *Intake) take(w http.ResponseWriter, r *http.Request) (status int, outcome string) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return http.StatusMethodNotAllowed, "post webhooks here"
	}
	if r.ContentLength > i.bounds.body {
		return http.StatusRequestEntityTooLarge, "too large"
	}
	m := &meter{Reader: http.MaxBytesReader(w, r.Body, i.bounds.body), held: &i.held, most: i.bounds.bodies}
	defer m.release()
	body, err := io.ReadAll(m)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge, "too large"
	case errors.Is(err, errFull):
		return http.StatusServiceUnavailable, notStored
	case err != nil:
		return http.StatusBadRequest, "unreadable"
	}
	if err := i.envelope.Verify(r.Header, body); err != nil {
		return http.StatusUnauthorized, "bad signature"
	}
	id, event, err := i.envelope.Delivery(r.Header)
	if err != nil {
		return http.StatusBadRequest, "not a webhook"
	}
	if form(r.Header) {
		return http.StatusUnsupportedMediaType, "a form: set the webhook's content type to application/json"
	}
	return i.keep(r.Context(), parcel{id: id, event: event, body: body})
}

// keep stores a delivery as long as somebody waits for the answer, and as there are not too many who do.
func (i *Intake) keep(ctx context.Context, p parcel) (status int, outcome string) {
	select {
	case i.storing <- struct{}{}:
		defer func() { <-i.storing }()
	default:
		return http.StatusServiceUnavailable, notStored
	}
	within, cancel := context.WithTimeout(ctx, i.bounds.patience)
	defer cancel()
	stored, err := i.store(within, p)
	switch {
	case err != nil:
		i.log.ErrorContext(ctx, "store a delivery", "delivery", p.id, "event", p.event, "error", err)
		return http.StatusServiceUnavailable, notStored
	case !stored:
		return http.StatusAccepted, "repeated"
	}
	return http.StatusAccepted, "accepted"
}

// form reports whether the body is a form, which forges offer as another way to send webhooks.
func form(h http.Header) bool {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	return err == nil && kind != "application/json"
}

// parcel is a delivery that is known to come from the forge.
type parcel struct {
	id, event string
	body      []byte
	sentAt    *time.Time // nil for one that came by itself
}

// store keeps the delivery and its job; false means that it was there already.
func (i *Intake) store(ctx context.Context, p parcel) (stored bool, err error) {
	err = i.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		const insert = `insert into deliveries (id, event, body, received_at, sent_at) values ($1, $2, $3, $4, $5) on conflict (id) do nothing`
		tag, err := tx.PGX.Exec(ctx, insert, p.id, p.event, p.body, i.now(), p.sentAt)
		if err != nil {
			return fmt.Errorf("insert the delivery: %w", err)
		}
		stored = tag.RowsAffected() == 1
		if !stored {
			abandoned, err := abandoned(ctx, tx, p.id)
			if err != nil || !abandoned {
				return err
			}
		}
		return i.queue.Add(ctx, tx.PGX, jobs.RouteDelivery{DeliveryID: p.id})
	})
	return stored, err
}

// abandoned reports whether a delivery came in before, was not routed, and has no job any more that
// would: only then does a repetition queue it again.
func abandoned(ctx context.Context, tx *store.Tx, id string) (yes bool, err error) {
	const query = `select d.status = 'received' and not exists (
  select 1 from river_job j where j.kind = 'route_delivery' and j.args @> jsonb_build_object('delivery_id', d.id)
     and j.state not in ('completed', 'cancelled', 'discarded'))
from deliveries d where d.id = $1`
	if err := tx.PGX.QueryRow(ctx, query, id).Scan(&yes); err != nil {
		return false, fmt.Errorf("read the repeated delivery: %w", err)
	}
	return yes, nil
}
