package jobs

import "github.com/riverqueue/river"

// WalkBranch follows the governed branch from the cursor to its tip.
type WalkBranch struct {
	RepositoryID int64 `json:"repository_id"`
}

// Kind names the job in the database; it is never renamed.
func (WalkBranch) Kind() string { return "walk_branch" }

// InsertOpts lets merges go before judgings.
func (WalkBranch) InsertOpts() river.InsertOpts { return river.InsertOpts{Priority: 1} }
