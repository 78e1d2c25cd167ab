package jobs

import "github.com/riverqueue/river"

// RouteDelivery finds out what a stored webhook is about.
type RouteDelivery struct {
	DeliveryID string `json:"delivery_id"`
}

// Kind names the job in the database; it is never renamed.
func (RouteDelivery) Kind() string { return "route_delivery" }

// InsertOpts lets routing go before all other work: it is short, and it is what coalesces bursts.
func (RouteDelivery) InsertOpts() river.InsertOpts { return river.InsertOpts{Priority: 1} }
