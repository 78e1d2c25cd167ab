package jobs

import "github.com/riverqueue/river"

// SweepPullRequests compares the forge's open pull requests with what was judged: a webhook may have got
// lost.
type SweepPullRequests struct {
	RepositoryID int64 `json:"repository_id"`
}

// Kind names the job in the database; it is never renamed.
func (SweepPullRequests) Kind() string { return "sweep_pull_requests" }

// InsertOpts lets a sweep wait for everything that somebody asked for.
func (SweepPullRequests) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Priority: 4, MaxAttempts: 3}
}
