package jobs

import (
	"slices"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"
)

// What waits for the forge or the database goes on within minutes of their return, and is not given up before.
func TestRetries(t *testing.T) {
	t.Parallel()
	pause := func(kind string, failures int) time.Duration {
		now := time.Now()
		job := &rivertype.JobRow{Kind: kind, Attempt: failures, AttemptedAt: &now, Errors: slices.Repeat([]rivertype.AttemptError{{}}, failures-1)}
		return retries{}.NextRetry(job).Sub(now)
	}
	judging, applying := JudgePullRequest{}.Kind(), EventJob{}.Kind()
	for n, most := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 4: 8 * time.Second} {
		if p := pause(judging, n); p < most/2 || p > most+time.Second/10 {
			t.Errorf("after %d failures it waits %s", n, p)
		}
	}
	for _, n := range []int{8, 20, 500, 1999} {
		if p := pause(judging, n); p < longestPause/2 || p > longestPause+time.Second {
			t.Errorf("after %d failures it waits %s", n, p)
		}
	}
	if p := pause(applying, 9); p < time.Hour {
		t.Errorf("an event waits %s after nine failures", p)
	}
	if attempts*longestPause < 48*time.Hour {
		t.Error("a weekend's outage loses jobs")
	}
}
