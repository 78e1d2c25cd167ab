package jobs

import (
	"time"

	"github.com/riverqueue/river"
)

// PruneDeliveries deletes webhooks that were acted on long ago.
type PruneDeliveries struct{}

// Kind names the job in the database; it is never renamed.
func (PruneDeliveries) Kind() string { return "prune_deliveries" }

// InsertOpts lets pruning wait for everything else, and one that failed be forgotten: the next one goes on
// where it stopped.
func (PruneDeliveries) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Priority: 4, MaxAttempts: 1}
}

// PruneEvery is how often deliveries are pruned.
const PruneEvery = time.Hour
