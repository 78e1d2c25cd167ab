package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// portions is in how many worlds all writes of the journey go wrong once in each way. There are twice as many: a modified
// spec is pushed in one, and suggested in the next.
const portions = 6

// Whatever is written outside, its answer may get lost, the server may die of that, or nothing may come of it at first:
// in the end each thing is there once, and the trail has each action once. All writes of the journey are harmed with
// SHEPHERD_E2E_EFFECTS=all, of which this is a sample otherwise.
func TestAnswersOfWritesLost(t *testing.T) { t.Parallel(); harmWrites(t, deaf, 0) }
func TestDeathsOfWrites(t *testing.T)      { t.Parallel(); harmWrites(t, deadly, 5) }
func TestWritesRefused(t *testing.T)       { t.Parallel(); harmWrites(t, refusing, 8) }

// harmWrites harms one portion of the writes, or all where that is asked for.
func harmWrites(t *testing.T, how harm, sample int) {
	t.Helper()
	if os.Getenv("SHEPHERD_E2E_EFFECTS") != "all" {
		harmPortion(t, how, sample)
		return
	}
	var mu sync.Mutex
	seen, harmed := map[string]int{}, map[string]bool{}
	t.Cleanup(func() {
		t.Logf("%d kinds of writes: %q", len(seen), slices.Sorted(maps.Keys(seen)))
		for kind := range seen {
			if !t.Failed() && !harmed[kind] {
				t.Errorf("%s was never harmed: %s", kind, how)
			}
		}
	})
	for n := range 2 * portions {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			kinds, hit := harmPortion(t, how, n)
			mu.Lock()
			defer mu.Unlock()
			maps.Copy(seen, kinds)
			for _, h := range hit {
				kind, _, _ := strings.Cut(h, ", no. ")
				harmed[kind] = true
			}
		})
	}
}

// harmPortion plays the journey in the nth world, in which a portion of its writes goes wrong, and returns all their kinds and those harmed.
func harmPortion(t *testing.T, how harm, n int) (seen map[string]int, harmed []string) {
	t.Helper()
	began := time.Now()
	s := &saboteur{harm: how, chosen: portion(n/2, portions)}
	errand{sabotaged(t, s, func(c *config.Config) {
		c.Approval.PushModifiedSpecs = n%2 == 0
		c.Approval.CommentInterval = config.Duration(time.Second)
		c.Approval.RemindAfter = config.Duration(3 * time.Second)
	})}.run()
	seen, harmed = s.account()
	t.Logf("%s, %d kinds of writes, %d harmed: %s", time.Since(began).Round(time.Second), len(seen), len(harmed), strings.Join(harmed, "; "))
	return seen, harmed
}

// errand is a journey that touches all that is written outside.
type errand struct{ *plant }

// slowly is patience for what has to be tried again, and again.
const slowly = 4 * time.Minute

// await waits longer than others do: what failed is tried again after a second, sixteen, and more than a minute.
func (e errand) await(what string, ok func() bool) {
	e.t.Helper()
	e.eventuallyWithin(slowly, what, ok)
}

// calm waits until nothing is under way.
func (e errand) calm() {
	e.t.Helper()
	e.quietWithin(slowly)
}

// green waits until a pull request can be merged, and merges it.
func (e errand) green(pr *forgetest.Pull, how string) string {
	e.t.Helper()
	e.await(fmt.Sprintf("#%d to be approved", pr.Number()), func() bool {
		c, ok := pr.Check("shepherd/approval")
		return ok && c.Conclusion == "success" && len(pr.Blockers()) == 0
	})
	return must(e.Bob.Merge(pr, how))(e.world)
}

// agreed has a pull request approved by Bob once its plans are on show.
func (e errand) agreed(pr *forgetest.Pull) {
	e.t.Helper()
	e.calm()
	time.Sleep(time.Second) // the forge's clock has seconds
	must(e.Bob.Approve(pr))(e.world)
}

// ended waits for the events of a pull request.
func (e errand) ended(pr *forgetest.Pull, status string, n int) {
	e.t.Helper()
	e.await(fmt.Sprintf("%d events of #%d to be %s", n, pr.Number(), status), func() bool {
		return e.count(`select count(*) from events where pull_request = $1 and status = $2`, pr.Number(), status) == n
	})
}

func (e errand) run() {
	e.t.Helper()
	const test, prod = "test-shop-shop-redis-01", "prod-shop-shop-redis-02"
	testPath := vmPath("shop", "redis", "test-shop/01")
	waits := e.ask("waits", forgetest.Files{"systems/mail/system.yaml": stage.System("mail"), "systems/mail/smtp/service.yaml": stage.Service("smtp"),
		vmPath("mail", "smtp", "prod-shop/01"): stage.VM("small", "nobody has time for this")})

	pr := e.ask("shop", twoVMs())
	e.calm()
	const smaller = "{template: ubuntu-24.04, size: small, disk: 120Gi, power: running, reason: smaller will do}"
	e.answered(pr, must(e.Bob.Comment(pr, planWith("vms:", "  "+prod+":", "    modifiedSpec: "+smaller, "    reason: smaller will do")))(e.world))
	if !e.cfg.Approval.PushModifiedSpecs { // then it was suggested
		file := "apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: VirtualMachine\nspec: " + smaller + "\n"
		e.push("shop", forgetest.Files{"systems/shop/redis/prod-shop/02.yaml": []byte(file)})
	}
	e.agreed(pr)
	e.green(pr, "squash")
	e.ended(pr, "COMPLETED", 4)
	e.boots(test, prod)
	e.calm()

	e.automatic(testPath, test)
	e.retried()
	e.takenBack()

	gone := e.ask("gone", forgetest.Files{testPath: nil})
	e.calm()
	for _, line := range e.toConfirm(gone) {
		e.answered(gone, must(e.Alice.Comment(gone, line))(e.world))
	}
	e.agreed(gone)
	e.green(gone, "merge")
	e.ended(gone, "COMPLETED", 1)

	e.answered(waits, must(e.Alice.Comment(waits, "/hold"))(e.world))
	e.answered(waits, must(e.Alice.Comment(waits, "/help"))(e.world))
	e.await("a reminder", func() bool {
		return slices.ContainsFunc(e.comments(waits), func(c forgetest.Comment) bool { return strings.HasPrefix(c.Body, "<!-- shepherd: reminder") })
	})
	e.calm()
	e.eachOnce()
}

// automatic has the bot merge by itself: the machine restarts, and stops.
func (e errand) automatic(path, name string) {
	e.t.Helper()
	content, _ := e.Repo.File("main", path)
	again := strings.TrimRight(string(content), "\n") + "\n  restartedAt: " + time.Now().UTC().Add(-time.Minute).Format(time.RFC3339) + "\n"
	restart := e.ask("restart", forgetest.Files{path: []byte(again)})
	e.await("the restart to be merged", restart.Merged)
	e.ended(restart, "COMPLETED", 1)
	e.is(name, kubevirtv1.VirtualMachineStatusRunning)
	e.calm()
	stop := e.ask("stop", forgetest.Files{path: e.replace([]byte(again), "power: running", "power: stopped")})
	e.await("the stop to be merged", stop.Merged)
	e.ended(stop, "COMPLETED", 1)
	e.halts(name)
	e.calm()
}

// retried is a machine that is another's at first.
func (e errand) retried() {
	e.t.Helper()
	const name = "test-shop-shop-redis-03"
	pr := e.ask("third", forgetest.Files{vmPath("shop", "redis", "test-shop/03"): stage.VM("small", "a third")})
	e.agreed(pr)
	vm := e.foreign(name)
	e.green(pr, "merge")
	e.ended(pr, "FAILED", 1)
	e.calm()
	e.do(e.kube.Client().Delete(e.t.Context(), vm))
	e.answered(pr, must(e.Alice.Comment(pr, "/retry"))(e.world))
	e.ended(pr, "COMPLETED", 1)
	e.boots(name)
	e.calm()
}

// takenBack is what was merged without approval: it is taken back, and asked for again.
func (e errand) takenBack() {
	e.t.Helper()
	const name = "prod-shop-shop-redis-04"
	pr := e.ask("bypass", forgetest.Files{vmPath("shop", "redis", "prod-shop/04"): stage.VM("small", "quickly")})
	e.calm()
	commit := e.bypass(pr)
	var undo *forgetest.Pull
	e.await("the undo", func() bool {
		i := slices.IndexFunc(e.Repo.Pulls(), func(p *forgetest.Pull) bool { return p.HeadRef() == "shepherd/undo-"+commit[:8] })
		if i >= 0 {
			undo = e.Repo.Pulls()[i]
		}
		return i >= 0
	})
	e.calm()
	e.green(undo, "merge")
	e.await("the redo to be named", func() bool {
		return slices.ContainsFunc(e.comments(undo), func(c forgetest.Comment) bool { return strings.HasPrefix(c.Body, "<!-- shepherd: redo -->") })
	})
	e.calm()
	redo := e.open("shepherd/redo-"+commit[:8], false)
	e.agreed(redo)
	e.green(redo, "squash")
	e.ended(redo, "COMPLETED", 1)
	e.boots(name)
	e.calm()
}

// answered waits until a comment is dealt with.
func (e errand) answered(pr *forgetest.Pull, said forgetest.Comment) {
	e.t.Helper()
	e.await(fmt.Sprintf("%q on #%d to be answered", said.Body, pr.Number()), func() bool {
		return e.count(`select count(*) from effects where id = $1 and status = 'done'`, fmt.Sprintf("reply:comment:%d", said.ID)) == 1
	})
	e.calm()
}

// eachOnce holds that nothing was said, made or written down twice, and that nobody wonders what became of anything.
func (e errand) eachOnce() {
	e.t.Helper()
	// What was to be said of a pull request while it was open is not said any more once it is merged.
	const unknown = `select id from effects e where status = 'intended' and not (split_part(id, ':', 1) in ('check', 'decided', 'reminder', 'review')
and exists (select 1 from pull_requests p where p.id::text = split_part(e.id, ':', 2) and p.state = 'merged')) order by 1`
	for _, id := range e.strings(unknown) {
		e.t.Errorf("nobody knows what became of %s", id)
	}
	once := map[string]int{}
	branches := map[string]int{}
	for _, pr := range e.Repo.Pulls() {
		branches[pr.HeadRef()]++
		for _, c := range e.comments(pr) {
			mark, _, _ := strings.Cut(c.Body, "\n")
			once[fmt.Sprintf("#%d %s", pr.Number(), mark)]++
		}
		for _, c := range pr.LineComments() {
			once[fmt.Sprintf("#%d %s: %s", pr.Number(), c.Path, c.Body)]++
		}
		last := map[string]string{}
		for _, c := range e.runs(pr.HeadSHA()) {
			if last[c.Name] == c.ExternalID {
				e.t.Errorf("#%d: %s was said twice in a row: %s", pr.Number(), c.Name, c.Output.Title)
			}
			last[c.Name] = c.ExternalID
		}
		if pr.Merged() {
			e.deployments(pr)
		}
	}
	for what, n := range once {
		if n != 1 {
			e.t.Errorf("%s is there %d times", what, n)
		}
	}
	for branch, n := range branches {
		if n != 1 {
			e.t.Errorf("%d pull requests from %s", n, branch)
		}
	}
	const twice = `select concat_ws(' ', count(*), action_code, '#' || pull_request, subject, event_id) from audit_log
where action_code in ('CHANGE_ACCEPTED', 'EXECUTION_STARTED', 'EXECUTION_COMPLETED', 'EXECUTION_FAILED', 'MERGED_BY_SHEPHERD', 'APPROVAL_APPROVED',
  'NAMESPACE_CREATED', 'APPROVAL_BYPASSED')
group by action_code, pull_request, subject, event_id having count(*) > 1`
	for _, line := range e.strings(twice) {
		e.t.Errorf("the trail has it more than once: %s", line)
	}
	for action, want := range map[string]int{"MERGED_BY_SHEPHERD": 2, "EXECUTION_FAILED": 1, "EXECUTION_COMPLETED": 9, "NAMESPACE_CREATED": 2} {
		if n := e.count(`select count(*) from audit_log where action_code = $1`, action); n != want {
			e.t.Errorf("%s %d times in the trail, want %d", action, n, want)
		}
	}
}

// checkRun is a check run, as the forge lists it.
type checkRun struct {
	Name       string `json:"name"`
	ExternalID string `json:"external_id"`
	Output     struct {
		Title string `json:"title"`
	} `json:"output"`
}

// runs are all check runs of a commit, also those that others have taken the place of, oldest first.
func (e errand) runs(sha string) []checkRun {
	e.t.Helper()
	list := fmt.Sprintf("%s/api/v3/repos/%s/commits/%s/check-runs?filter=all&per_page=100", e.Forge.URL(), e.Repo.FullName(), sha)
	r := must(http.NewRequestWithContext(e.t.Context(), http.MethodGet, list, nil))(e.world)
	r.Header.Set("Authorization", "Bearer "+e.Bob.Token())
	resp := must(http.DefaultClient.Do(r))(e.world)
	defer func() { _ = resp.Body.Close() }()
	var answer struct {
		CheckRuns []checkRun `json:"check_runs"`
	}
	e.do(json.NewDecoder(resp.Body).Decode(&answer))
	if len(answer.CheckRuns) == 0 {
		e.t.Errorf("no checks on %s", sha)
	}
	slices.Reverse(answer.CheckRuns)
	return answer.CheckRuns
}
