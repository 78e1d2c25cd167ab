package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// backlog is what waits for the server after an outage: approved pull requests that were merged meanwhile, and open ones
// that were pushed to, with no webhook of any of it.
type backlog struct {
	*world
	merged, open []*forgetest.Pull
}

// How much happened during the outage.
const (
	backlogMerged = 1000
	backlogOpen   = 300
)

// BenchmarkBackAfterOutage is how long it takes from the start of the server until every open pull request is current, and
// until everything merged is applied, when the forge has forgotten all webhooks of an outage; with the requests that this
// costs at the forge. Then it starts once more: that is what it costs when nothing has happened.
func BenchmarkBackAfterOutage(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		l := newBacklog(b)
		l.meanwhile()
		l.Forge.ResetCalls()
		began := time.Now()
		b.StartTimer()
		l.serve()
		l.eventuallyWithin(time.Hour, "every open pull request to be current", func() bool { return l.current() == backlogOpen })
		b.ReportMetric(time.Since(began).Seconds(), "current-s")
		l.eventuallyWithin(time.Hour, "everything merged to be applied", func() bool { return l.applied() == backlogMerged })
		b.ReportMetric(time.Since(began).Seconds(), "applied-s")
		b.StopTimer()
		l.quiet()
		b.ReportMetric(l.paid()/(backlogMerged+backlogOpen), "requests/pull-request")
		if n := l.count(`select count(*) from (select 1 from audit_log where action_code = 'EXECUTION_STARTED' group by event_id having count(*) > 1) twice`); n != 0 {
			b.Errorf("%d changes were begun twice", n)
		}

		l.stop()
		l.Forge.ResetCalls()
		began = time.Now()
		l.serve()
		l.eventually("the sweeps of the start", func() bool {
			return l.count(`select count(distinct kind) from river_job
where kind in ('sweep_pull_requests', 'walk_branch', 'sweep_deliveries') and state = 'completed' and attempted_at >= $1`, began) == 3
		})
		l.quiet()
		b.ReportMetric(time.Since(began).Seconds(), "again-s")
		b.ReportMetric(l.paid(), "requests-again")
		b.StartTimer()
	}
}

// newBacklog has all pull requests judged, and those that are to be merged approved.
func newBacklog(b *testing.B) *backlog {
	b.Helper()
	l := &backlog{world: setup{
		stage:  []func(*stage.Options){func(o *stage.Options) { o.Unprotected, o.Forge.RateLimit = true, 1<<30 }},
		config: func(c *config.Config) { c.Limits.PerHour = 0 },
	}.world(b)}
	l.structure("shop", "redis")
	for n := range backlogMerged + backlogOpen {
		pr := l.ask(fmt.Sprintf("b%d", n), forgetest.Files{vmPath("shop", "redis", fmt.Sprintf("test-shop/%02d", n+1)): stage.VM("small", "one of many")})
		if n < backlogMerged {
			l.merged = append(l.merged, pr)
		} else {
			l.open = append(l.open, pr)
		}
	}
	l.eventuallyWithin(time.Hour, "the plans to be published", func() bool {
		return l.count(`select count(*) from plans where published_at is not null`) >= backlogMerged+backlogOpen
	})
	for _, pr := range l.merged {
		must(l.Bob.Approve(pr))(l.world)
	}
	l.eventuallyWithin(time.Hour, "the approvals to count", func() bool {
		return l.count(`select count(*) from tickets where status = 'APPROVED'`) >= backlogMerged
	})
	l.quiet()
	return l
}

// meanwhile is what happens while nobody serves.
func (l *backlog) meanwhile() {
	l.t.Helper()
	l.stop()
	l.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{Lose: 1})
	for _, pr := range l.merged {
		must(l.Bob.Merge(pr, "merge"))(l.world)
	}
	for n, pr := range l.open {
		l.push(pr.HeadRef(), forgetest.Files{vmPath("shop", "redis", fmt.Sprintf("test-shop/%02d", backlogMerged+n+1)): stage.VM("medium", "larger")})
	}
	l.do(l.Forge.WaitIdle(l.t.Context()))
	l.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{})
}

// current is how many open pull requests are judged as they are, with everybody told.
func (l *backlog) current() int {
	heads := make([]string, len(l.open))
	for i, pr := range l.open {
		heads[i] = pr.HeadSHA()
	}
	return l.count(`select count(*) from pull_requests where head_sha = any($1) and wanted = judged and not queued and not telling`, heads)
}

// applied is how many machines are as they were merged.
func (l *backlog) applied() int {
	return l.count(`select count(*) from events where operation = 'CREATE_VM' and status = 'COMPLETED'`)
}

// paid is how many requests have cost something at the forge.
func (l *backlog) paid() (n float64) {
	for _, c := range l.Forge.CallsBy("shepherd[bot]") {
		if c.Status != http.StatusNotModified {
			n++
		}
	}
	return n
}
