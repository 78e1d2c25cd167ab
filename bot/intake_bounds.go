package bot

import (
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// MaxDelivery is how many bytes a webhook may have: GitHub's own limit.
const MaxDelivery = 25 << 20

// bounds are what webhooks may take of the server, however many come and whoever sends them.
type bounds struct {
	body     int64         // bytes of one
	bodies   int64         // bytes of all that are being read or stored; more are not taken
	storing  int           // how many may wait to be stored; more are not taken
	patience time.Duration // for how long one may wait
}

// usualBounds leave room for bursts that are stored within a second. GitHub waits ten seconds for an answer: whoever
// has not been stored by then is told before, and fetched later.
var usualBounds = bounds{body: MaxDelivery, bodies: 8 * MaxDelivery, storing: 1024, patience: 8 * time.Second}

func (i *Intake) bound(b bounds) {
	i.bounds, i.storing = b, make(chan struct{}, b.storing)
}

// notStored is the outcome of a delivery that there was no room or no database for.
const notStored = "not stored"

// retryAfter is what who was not stored is told to wait, in seconds.
const retryAfter = 10

// errFull is that all bodies together are as many bytes as they may be.
var errFull = errors.New("too many bytes at a time")

// meter counts what is read of a body among all bodies. What was only promised counts for nothing, so that slow
// senders do not take the room of quick ones.
type meter struct {
	io.Reader
	held  *atomic.Int64
	most  int64
	taken int64
}

// Read returns errFull when all bodies together have become too much.
func (m *meter) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.taken += int64(n)
	if m.held.Add(int64(n)) > m.most {
		return n, errFull
	}
	return n, err
}

func (m *meter) release() { m.held.Add(-m.taken) }
