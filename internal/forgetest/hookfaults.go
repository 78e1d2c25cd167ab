package forgetest

import "time"

// DeliveryFaults says how often deliveries go wrong, each as a probability from 0 to 1.
type DeliveryFaults struct {
	// Drop fails a delivery without an attempt. It is listed as failed and can be redelivered.
	Drop float64
	// Lose makes an event vanish: it is neither delivered nor listed.
	Lose float64
	// Duplicate delivers twice under one GUID.
	Duplicate float64
	// Delay holds a delivery back for up to MaxDelay, while others overtake it.
	Delay    float64
	MaxDelay time.Duration
	// Reorder puts a delivery back behind some of those that wait.
	Reorder float64
}

// SetDeliveryFaults changes how deliveries go wrong from now on. The zero value ends it.
func (s *Server) SetDeliveryFaults(f DeliveryFaults) {
	q := s.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	q.faults = f
}

// PauseDeliveries holds all deliveries back until ResumeDeliveries, so that a test can let a burst build up.
func (s *Server) PauseDeliveries() { s.setPaused(true) }

// ResumeDeliveries lets deliveries go on.
func (s *Server) ResumeDeliveries() { s.setPaused(false) }

func (s *Server) setPaused(on bool) {
	q := s.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	q.paused = on
	q.wake.Broadcast()
}

func (q *deliveryQueue) hit(probability float64) bool {
	return probability > 0 && q.rng.Float64() < probability
}

func (q *deliveryQueue) loses() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.hit(q.faults.Lose)
}

// disturb applies the faults to a delivery. True means that it is not to be sent now.
func (q *deliveryQueue) disturb(d *delivery) bool {
	q.mu.Lock()
	f := q.faults
	if d.disturbed || f == (DeliveryFaults{}) {
		q.mu.Unlock()
		return false
	}
	d.disturbed = true
	switch {
	case q.hit(f.Drop):
		q.pend(-1)
		q.mu.Unlock()
		q.finish(d, time.Now(), 0, "failed to connect to host", nil, "")
		return true
	case q.hit(f.Delay) && f.MaxDelay > 0:
		time.AfterFunc(time.Duration(q.rng.Int64N(int64(f.MaxDelay))+1), func() { q.putBack(d, 0) })
		q.mu.Unlock()
		return true
	case len(q.waiting) > 0 && q.hit(f.Reorder):
		at := 1 + q.rng.IntN(min(len(q.waiting), 8))
		q.mu.Unlock()
		q.putBack(d, at)
		return true
	}
	twice := q.hit(f.Duplicate)
	q.mu.Unlock()
	if twice {
		q.duplicate(d)
	}
	return false
}

// putBack queues a delivery again, behind the given number of others. It is already counted as pending.
func (q *deliveryQueue) putBack(d *delivery, behind int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		q.pend(-1)
		return
	}
	behind = min(behind, len(q.waiting))
	waiting := append([]*delivery{}, q.waiting[:behind]...)
	q.waiting = append(append(waiting, d), q.waiting[behind:]...)
	q.wake.Signal()
}

// duplicate queues a second attempt of the same delivery.
func (q *deliveryQueue) duplicate(d *delivery) {
	again := &delivery{
		id: d.id, guid: d.guid, hook: d.hook, event: d.event, action: d.action, repoID: d.repoID, installID: d.installID,
		deliveredAt: d.deliveredAt, url: d.url, headers: d.headers, body: d.body, disturbed: true,
	}
	q.add(again)
}
