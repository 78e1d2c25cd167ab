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

// retries is when a job that failed is tried again: River's growing pauses, up to a longest one. What a cluster is given
// is tried a few times only, and then somebody has to look: it keeps River's own.
type retries struct{ river.DefaultClientRetryPolicy }

// NextRetry is the time of the next attempt.
func (r retries) NextRetry(job *rivertype.JobRow) time.Time {
	next := r.DefaultClientRetryPolicy.NextRetry(job)
	if latest := time.Now().Add(longestPause); job.Kind != (EventJob{}).Kind() && next.After(latest) {
		return latest
	}
	return next
}
