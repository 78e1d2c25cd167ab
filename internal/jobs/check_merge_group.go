package jobs

import "github.com/riverqueue/river"

// CheckMergeGroup says whether what a merge queue is about to merge was approved.
type CheckMergeGroup struct {
	Head string `json:"head"`
	Base string `json:"base"`
}

// Kind names the job in the database; it is never renamed.
func (CheckMergeGroup) Kind() string { return "check_merge_group" }

// InsertOpts puts groups before single pull requests: a queue waits for them.
func (CheckMergeGroup) InsertOpts() river.InsertOpts { return river.InsertOpts{Priority: 2} }
