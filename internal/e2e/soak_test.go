package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// soakSeed repeats a run that failed: SHEPHERD_E2E_SEED.
func soakSeed(t *testing.T) uint64 {
	if s := os.Getenv("SHEPHERD_E2E_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return seed
	}
	return rand.Uint64()
}

// People do whatever they like, webhooks come twice and in any order; what must always hold holds at the
// end.
func TestSoak(t *testing.T) {
	t.Parallel()
	seed := soakSeed(t)
	t.Logf("SHEPHERD_E2E_SEED=%d", seed)
	w := newWorld(t)
	w.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{Duplicate: 0.2, Reorder: 0.2, Delay: 0.2, MaxDelay: 200 * time.Millisecond})
	s := &soak{world: w, rng: rand.New(rand.NewPCG(seed, seed))}
	for range 6 {
		s.pulls = append(s.pulls, s.next())
	}
	for range 80 {
		s.act()
		time.Sleep(time.Duration(s.rng.IntN(100)) * time.Millisecond)
	}
	w.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{})
	w.quiet()
	s.hold()
}

type soak struct {
	*world
	rng   *rand.Rand
	pulls []*forgetest.Pull
	asked int
}

// next asks for two machines. Every second time somebody else has asked for them already.
func (s *soak) next() *forgetest.Pull {
	s.t.Helper()
	system := fmt.Sprintf("soak%d", s.asked/2)
	s.asked++
	return s.ask(fmt.Sprintf("ask-%d", s.asked), machines(system, system, "test-shop/01", "prod-shop/02"))
}

// act does something to a pull request, and something else right after it half of the time. What the
// forge refuses was not to be had. Where a pull request was merged, another takes its place.
func (s *soak) act() {
	i := s.rng.IntN(len(s.pulls))
	s.tryOn(s.pulls[i])
	if s.rng.IntN(2) == 0 {
		s.tryOn(s.pulls[i])
	}
	if s.pulls[i].Merged() {
		s.pulls[i] = s.next()
	}
}

func (s *soak) tryOn(pr *forgetest.Pull) {
	var err error
	what := ""
	switch n := s.rng.IntN(20); {
	case n < 8:
		what = "bob approves"
		_, err = s.Bob.Approve(pr)
	case n < 12:
		what = "bob merges"
		_, err = s.Bob.Merge(pr, []string{"merge", "squash", "rebase"}[s.rng.IntN(3)])
	case n < 14:
		what = "alice pushes"
		err = s.another(pr)
	case n == 14:
		what = "bob requests changes"
		_, err = s.Bob.RequestChanges(pr, "not like this")
	case n == 15:
		what = "alice closes"
		err = s.Alice.Close(pr)
	case n < 18:
		what = "alice reopens"
		err = s.Alice.Reopen(pr)
	case n == 18:
		what = "alice updates the branch"
		err = s.Alice.UpdateBranch(pr)
	default:
		what = "dave merges past everything"
		_, err = s.Dave.MergeBypassing(pr, "merge")
	}
	s.t.Logf("#%d: %s (%v)", pr.Number(), what, err)
}

// another pushes another size for one of the machines.
func (s *soak) another(pr *forgetest.Pull) error {
	n, err := strconv.Atoi(strings.TrimPrefix(pr.HeadRef(), "ask-"))
	if err != nil {
		return err
	}
	system := fmt.Sprintf("soak%d", (n-1)/2)
	size := []string{"small", "medium"}[s.rng.IntN(2)]
	_, err = s.Alice.Commit(s.Repo, pr.HeadRef(), "", forgetest.Files{vmPath(system, system, "test-shop/01"): stage.VM(size, "another thought")}, "another thought")
	return err
}

// hold is what must always hold once everything is quiet.
func (s *soak) hold() {
	s.t.Helper()
	none := func(what, query string, args ...any) {
		s.t.Helper()
		if got := s.strings(query, args...); len(got) > 0 {
			s.t.Errorf("%s: %v", what, got)
		}
	}
	none("jobs that gave up", `select kind || ': ' || coalesce((errors[1])->>'error', '') from river_job where state in ('discarded', 'retryable')`)
	none("open tickets of ended pull requests", `select t.subject || ' ' || t.status from tickets t join pull_requests p on p.id = t.pull_request
where p.state <> 'open' and t.status in ('PENDING_APPROVAL', 'APPROVED')`)
	none("claims of ended pull requests", `select c.id from claims c join pull_requests p on p.id = c.pull_request where p.state <> 'open'`)
	none("events under way", `select subject from events where status = 'PROCESSING'`)
	none("machines accepted without an approval of Bob's", `select v.name from vms v where not exists (
select 1 from tickets t join decisions d on d.ticket_id = t.id and d.plan_id = t.plan_id
where t.path = v.path and t.status = 'COMPLETED' and d.verdict = 'approve' and d.reviewer_login = 'bob')`)
	none("machines applied otherwise than approved", `select v.name from vms v where v.applied_plan is distinct from v.accepted_plan`)
	none("judgings that were asked for and not done", `select id::text from pull_requests where state = 'open' and judged <> wanted`)
	for _, name := range s.strings(`select name from vms`) {
		s.once(name)
	}
	for path, document := range s.accepted() {
		tip, _ := s.Repo.File("main", path)
		if string(tip) != document && s.count(`select count(*) from audit_log where params->>'path' = $1`, path) == 0 {
			s.t.Errorf("%s is accepted as\n%s\nthe branch has\n%s\nand nothing was quarantined", path, document, tip)
		}
	}
	for _, pr := range s.Repo.Pulls() {
		s.holdPull(pr)
	}
}

func (s *soak) accepted() map[string]string {
	out := map[string]string{}
	for _, path := range s.strings(`select id from accepted where kind = 'VirtualMachine'`) {
		out[path] = s.strings(`select convert_from(document, 'UTF8') from accepted where id = $1`, path)[0]
	}
	return out
}

// holdPull is what people see of a pull request.
func (s *soak) holdPull(pr *forgetest.Pull) {
	s.t.Helper()
	state := pr.State()
	if pr.Merged() {
		state = "merged"
	}
	if got := s.strings(`select state from pull_requests where id = $1`, pr.Number()); len(got) != 1 || got[0] != state {
		s.t.Errorf("#%d is %s, and known as %v", pr.Number(), state, got)
	}
	if state != "open" {
		return
	}
	check, _ := pr.Check("shepherd/approval")
	valid, _ := pr.Check("shepherd/validate")
	waits := s.count(`select count(*) from tickets where pull_request = $1 and status = 'PENDING_APPROVAL'`, pr.Number())
	approved := s.count(`select count(*) from tickets where pull_request = $1 and status = 'APPROVED'`, pr.Number())
	if check.HeadSHA != pr.HeadSHA() || valid.HeadSHA != pr.HeadSHA() {
		s.t.Errorf("#%d: no checks on its head", pr.Number())
	}
	if green := check.Conclusion == "success"; green && waits > 0 || !green && valid.Conclusion == "success" && waits == 0 && approved > 0 {
		s.t.Errorf("#%d: approval is %s with %d tickets waiting and %d approved", pr.Number(), check.Conclusion, waits, approved)
	}
}
