package jobs

import (
	"github.com/google/uuid"
	"github.com/riverqueue/river"
)

// VerifyVM watches what became of an applied VM until it is healthy, stopped as asked, or failed.
type VerifyVM struct {
	EventID uuid.UUID `json:"event_id"`
	Cluster string    `json:"-"`
}

// Kind names the job in the database; it is never renamed.
func (VerifyVM) Kind() string { return "verify_vm" }

// InsertOpts puts watching behind doing, in the cluster's own queue.
func (a VerifyVM) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: ClusterQueue(a.Cluster), Priority: 3}
}
