package jobs

import "github.com/riverqueue/river"

// MergePullRequest merges a pull request that needs nobody's approval.
type MergePullRequest struct {
	Number int `json:"number"`
	// Head is the commit that was judged: nothing else is merged.
	Head string `json:"head"`
}

// Kind names the job in the database; it is never renamed.
func (MergePullRequest) Kind() string { return "merge_pull_request" }

// InsertOpts puts merging behind judging.
func (MergePullRequest) InsertOpts() river.InsertOpts { return river.InsertOpts{Priority: 3} }
