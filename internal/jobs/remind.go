package jobs

import "github.com/riverqueue/river"

// Remind brings pull requests that have waited long before people again, once.
type Remind struct {
	RepositoryID int64 `json:"repository_id"`
}

// Kind names the job in the database; it is never renamed.
func (Remind) Kind() string { return "remind" }

// InsertOpts puts reminders last.
func (Remind) InsertOpts() river.InsertOpts { return river.InsertOpts{Priority: 4} }
