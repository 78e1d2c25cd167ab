package jobs

import "github.com/riverqueue/river"

// TellPullRequest says on the pull request what the database holds: checks and the comment. It says
// what is true when it runs, so one that waits stands for all.
type TellPullRequest struct {
	Number int `json:"number"`
}

// Kind names the job in the database; it is never renamed.
func (TellPullRequest) Kind() string { return "tell_pull_request" }

// InsertOpts puts news behind decisions.
func (TellPullRequest) InsertOpts() river.InsertOpts { return river.InsertOpts{Priority: 2} }
