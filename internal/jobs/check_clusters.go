package jobs

import "github.com/riverqueue/river"

// CheckClusters looks at every cluster that credentials are kept of.
type CheckClusters struct{}

// Kind names the job in the database; it is never renamed.
func (CheckClusters) Kind() string { return "check_clusters" }

// InsertOpts lets a look that failed be forgotten: the next one comes soon.
func (CheckClusters) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: 1} }
