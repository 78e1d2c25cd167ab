package jobs

import (
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// SweepDeliveries fetches webhooks that the forge sent and that never came.
type SweepDeliveries struct {
	RepositoryID int64 `json:"repository_id"`
}

// Kind names the job in the database; it is never renamed.
func (SweepDeliveries) Kind() string { return "sweep_deliveries" }

// InsertOpts lets one sweep be under way at a time: two would fetch the same.
func (SweepDeliveries) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Priority: 4, MaxAttempts: 3, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
	}}}
}
