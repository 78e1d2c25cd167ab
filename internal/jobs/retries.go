package jobs

import (
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// attempts and longestPause are how often and how late a job that failed is tried again: for some three days, since
// the forge and the database come back, and after that within minutes.
const (
	attempts     = 2000
	longestPause = 2 * time.Minute
)

// retries is when a job that failed is tried again: after a second, two, four, and so on up to the longest pause. What
// a cluster is given is tried a few times only, and then somebody has to look: it keeps River's pauses, which grow faster.
type retries struct{ river.DefaultClientRetryPolicy }

// NextRetry is the time of the next attempt.
func (r retries) NextRetry(job *rivertype.JobRow) time.Time {
	if job.Kind == (EventJob{}).Kind() {
		return r.DefaultClientRetryPolicy.NextRetry(job)
	}
	pause := longestPause
	if failed := len(job.Errors); failed < 7 {
		pause = min(time.Second<<failed, longestPause)
	}
	apart := pause / 5 * time.Duration(job.ID%16) / 16 // of those that failed together
	return time.Now().Add(pause - apart)
}
