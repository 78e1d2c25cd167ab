package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// crowd are open pull requests, each of which asks for a machine.
func (w *world) crowd(n int) (pulls []*forgetest.Pull) {
	w.t.Helper()
	for i := range n {
		system := fmt.Sprintf("crowd%d", i)
		pulls = append(pulls, w.ask(system, machines(system, system, "test-shop/01")))
	}
	return pulls
}

// stir makes something happen on a pull request. What happens in round n depends on n; the last round leaves a mark in
// the pull request's title.
func (w *world) stir(pr *forgetest.Pull, round int) {
	w.t.Helper()
	switch round % 5 {
	case 0: // told twice: as a push and as a change of the pull request
		size := []string{"small", "medium"}[round/5%2]
		w.push(pr.HeadRef(), forgetest.Files{vmPath(pr.HeadRef(), pr.HeadRef(), "test-shop/01"): stage.VM(size, fmt.Sprintf("round %d", round))})
	case 1, 3:
		w.do(w.Alice.EditPull(pr, fmt.Sprintf("Machines: round %d", round), ""))
	default:
		must(w.Carol.Comment(pr, fmt.Sprintf("I look at round %d.", round)))(w)
	}
}

// A burst of a thousand webhooks on a hundred pull requests leads to one judging of each, and one more for the last
// that came.
func TestBurstOnManyPullRequests(t *testing.T) {
	t.Parallel()
	const pulls, rounds = 100, 5
	w := newWorld(t, func(o *stage.Options) {
		o.Forge.DeliveryConcurrency, o.Forge.RateLimit = 8, 1<<30
		o.Forge.Observer = nil // too many to look at each
	})
	crowd := w.crowd(pulls)
	w.eventuallyWithin(3*patience, "all to be published", func() bool {
		return w.count(`select count(*) from pull_requests where approval_hash <> '' and comment_id <> 0`) == pulls
	})
	w.quiet()
	w.Forge.PauseDeliveries()
	deliveries := w.count(`select count(*) from deliveries`)
	last := w.count(`select coalesce(max(id), 0) from river_job`)
	for round := range rounds {
		for _, pr := range crowd {
			w.stir(pr, round)
		}
	}
	began := time.Now()
	w.Forge.ResetCalls()
	w.Forge.ResumeDeliveries()
	w.eventuallyWithin(3*patience, "the burst to be taken in", func() bool {
		return w.Forge.WaitIdle(t.Context()) == nil && w.count(`select count(*) from deliveries where status = 'received'`) == 0
	})
	w.quiet()
	events := w.count(`select count(*) from deliveries`) - deliveries
	judged := w.count(`select count(*) from river_job where kind = 'judge_pull_request' and state = 'completed' and id > $1`, last)
	t.Logf("%d webhooks on %d pull requests: %d judgings, %d calls, %v", events, pulls, judged, len(w.Forge.Calls()), time.Since(began).Round(time.Millisecond))
	if events < 1000 {
		t.Errorf("only %d webhooks", events)
	}
	if judged > 2*pulls {
		t.Errorf("%d judgings of %d pull requests", judged, pulls)
	}
	for _, pr := range crowd {
		w.reflected(pr)
	}
	w.unbroken()
}

// reflected holds that the last that happened on a pull request is known and told.
func (w *world) reflected(pr *forgetest.Pull) {
	w.t.Helper()
	for _, name := range []string{"shepherd/validate", "shepherd/approval"} {
		if c, ok := pr.Check(name); !ok || c.HeadSHA != pr.HeadSHA() {
			w.t.Errorf("#%d: %s is on %s, the head is %s", pr.Number(), name, c.HeadSHA, pr.HeadSHA())
		}
	}
	const known = `select title || ' ' || head_sha || ' ' || (wanted = judged) from pull_requests where id = $1`
	if got, want := w.strings(known, pr.Number()), pr.Title()+" "+pr.HeadSHA()+" true"; !slices.Equal(got, []string{want}) {
		w.t.Errorf("#%d is known as %v, want %s", pr.Number(), got, want)
	}
	if n := len(w.remarks(pr)); n != 1 {
		w.t.Errorf("#%d has %d comments", pr.Number(), n)
	}
}

// unbroken holds that no job gave up or failed.
func (w *world) unbroken() {
	w.t.Helper()
	if failed := w.strings(`select kind || ' ' || state || ': ' || coalesce(errors[1]->>'error', '') from river_job
where state in ('discarded', 'cancelled', 'retryable') or array_length(errors, 1) > 0 order by id`); len(failed) > 0 {
		w.t.Errorf("%d jobs failed: %v", len(failed), failed[:min(len(failed), 5)])
	}
}

// strict makes the forge strict, and its hours and minutes short.
func strict(requests int, hour time.Duration, content int, minute time.Duration) setup {
	return setup{
		stage: []func(*stage.Options){func(o *stage.Options) {
			o.Forge.RateLimit, o.Forge.Hour, o.Forge.ContentPerMinute, o.Forge.Minute = requests, hour, content, minute
		}},
		config: func(c *config.Config) {
			if content > 0 {
				c.GitHub.ContentLimits = []config.Rate{{N: content, Per: minute}}
			}
		},
	}
}

// refusals are the answers of the forge that a limit was hit.
func (w *world) refusals() (n int) {
	for _, c := range w.Forge.CallsBy("shepherd[bot]") {
		if c.Status == 403 || c.Status == 429 {
			n++
		}
	}
	return n
}

// Where little may be asked and created, everything is told in the end, decisions first, and the forge has nothing to
// refuse: nobody sends what would be too much.
func TestForgeLimits(t *testing.T) {
	t.Parallel()
	const pulls = 12
	w := strict(110, 8*time.Second, 10, time.Second).world(t)
	w.Forge.ResetCalls()
	crowd := w.crowd(pulls)
	began := time.Now()
	w.eventuallyWithin(3*patience, "everything to be told", func() bool {
		return w.count(`select count(*) from pull_requests where approval_hash <> '' and comment_id <> 0`) == pulls &&
			w.count(`select count(*) from effects where id like 'review:%' and status = 'done'`) >= pulls
	})
	w.quiet()
	checks, invitations := w.places("/check-runs"), w.places("/requested_reviewers")
	held := w.count(`select count(*) from river_job where (metadata->>'snoozes')::int > 0 and kind in ('judge_pull_request', 'tell_pull_request')`)
	t.Logf("%d calls, %d refused, %d jobs waited, %v", len(w.Forge.Calls()), w.refusals(), held, time.Since(began).Round(time.Millisecond))
	t.Logf("checks %v, invitations %v", checks, invitations)
	if n := w.refusals(); n > 3 {
		t.Errorf("the forge refused %d requests", n)
	}
	if held == 0 {
		t.Error("no job had to wait")
	}
	if len(checks) != 2*pulls || len(invitations) != pulls {
		t.Errorf("%d checks and %d invitations", len(checks), len(invitations))
	} else if checks[len(checks)-1] > invitations[len(invitations)-1] || mean(checks) > mean(invitations) {
		t.Error("news came before decisions")
	}
	for _, pr := range crowd {
		w.reflected(pr)
	}
	w.unbroken()
}

func mean(places []int) (sum float64) {
	for _, n := range places {
		sum += float64(n) / float64(len(places))
	}
	return sum
}

// places are where requests that create come among all of them.
func (w *world) places(suffix string) (out []int) {
	n := 0
	for _, c := range w.Forge.CallsBy("shepherd[bot]") {
		if c.Method == "GET" {
			continue
		}
		if n++; strings.HasSuffix(c.Path, suffix) {
			out = append(out, n)
		}
	}
	return out
}

// A refusal that the bot did not see coming stops it for as long as the forge asks, and no longer.
func TestForgeRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.quiet()
	w.Forge.ResetCalls()
	w.Forge.SetContentLimit(1) // of which the configuration knows nothing
	crowd := w.crowd(3)
	w.eventually("a refusal", func() bool { return w.refusals() > 0 })
	// Nothing is created for as long as the forge asked; meanwhile questions are asked: pull requests are judged.
	w.eventually("all to be judged", func() bool { return w.count(`select count(*) from pull_requests where judged > 0`) == len(crowd) })
	w.eventually("the silence to be shared", func() bool {
		return w.count(`select count(*) from forge_limits where content_blocked_until < now() + interval '61 seconds' and coalesce(blocked_until, 'epoch') < now()`) == 1
	})
	refused, told := w.refusals(), len(w.places("/check-runs"))
	t.Logf("%d checks were sent, %d requests refused", told, refused)
	if refused > 10 || told > refused+3 {
		t.Errorf("%d checks were sent, %d requests refused", told, refused)
	}
	w.Forge.SetContentLimit(0)
	w.eventuallyWithin(3*patience, "everything to be told", func() bool { // time passes
		w.exec(`update forge_limits set content_blocked_until = now(), decisions_until = now()`)
		w.exec(`update river_job set scheduled_at = now() where state in ('scheduled', 'available') and kind = 'tell_pull_request'`)
		return w.count(`select count(*) from pull_requests where approval_hash <> '' and comment_id <> 0`) == len(crowd) &&
			w.count(`select count(*) from river_job where kind = 'tell_pull_request' and finalized_at is null`) == 0
	})
	w.quiet()
	for _, pr := range crowd {
		w.reflected(pr)
	}
	w.unbroken()
}

// exec changes what nobody else could: time passes.
func (w *world) exec(statement string) {
	w.t.Helper()
	if _, err := w.pool.Exec(w.t.Context(), statement); err != nil {
		w.t.Fatal(err)
	}
}

// While the forge wants silence nobody asks it anything, and what comes in meanwhile waits as one judging.
func TestForgeSilence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pr := w.ask("silence", machines("silence", "silence", "test-shop/01"))
	w.published(pr)
	w.quiet()
	var asked time.Time
	w.eventually("the silence to be known", func() bool { // a process goes by what it knows for two seconds
		if time.Since(asked) > time.Second/2 { // more, and the judging would wait behind their webhooks
			asked = time.Now()
			// Once there is anything that the forge has told of its limits.
			w.exec(`update forge_limits set blocked_until = now() + interval '12 seconds', blocked_reason = 'be silent' where blocked_until is null`)
			w.do(w.Alice.EditPull(pr, "Machines: is it silent? "+asked.String(), "")) // the same title would be no edit
		}
		return w.count(`select count(*) from river_job where kind = 'judge_pull_request' and finalized_at is null and (metadata->>'snoozes')::int > 0`) > 0
	})
	w.eventually("what began before that to end", func() bool { // an answer may be on its way
		return w.count(`select count(*) from river_job where state = 'running' and kind <> 'heartbeat'`) == 0
	})
	w.Forge.ResetCalls()
	for round := range 30 {
		w.stir(pr, round)
	}
	w.eventually("the webhooks to be routed", func() bool {
		return w.Forge.WaitIdle(t.Context()) == nil && w.count(`select count(*) from deliveries where status = 'received'`) == 0
	})
	waiting := w.count(`select count(*) from river_job where kind = 'judge_pull_request' and finalized_at is null`)
	silent := w.count(`select (blocked_until > now())::int from forge_limits where id like 'installation/%'`) == 1
	if calls := w.Forge.CallsBy("shepherd[bot]"); silent && len(calls) > 0 {
		t.Errorf("the forge was asked %d times: %+v", len(calls), calls)
	}
	if waiting > 3 {
		t.Errorf("%d judgings wait", waiting)
	}
	t.Logf("still silent: %v, %d judgings wait", silent, waiting)
	w.quiet()
	w.reflected(pr)
	w.unbroken()
}
