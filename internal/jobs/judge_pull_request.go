package jobs

import "github.com/riverqueue/river"

// JudgePullRequest recomputes a pull request from the forge and from git. It is not unique for River:
// a webhook during a judging has to queue another one. The row's queued flag coalesces bursts.
type JudgePullRequest struct {
	Number int `json:"number"`
}

// Kind names the job in the database; it is never renamed.
func (JudgePullRequest) Kind() string { return "judge_pull_request" }

// InsertOpts puts judging behind routing and walking.
func (JudgePullRequest) InsertOpts() river.InsertOpts { return river.InsertOpts{Priority: 3} }
