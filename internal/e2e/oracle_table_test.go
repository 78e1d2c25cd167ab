package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/oracle"
	"kv-shepherd.io/shepherd/internal/stage"
)

// table is a world at which many scripts are played at once, each on a pull request of its own. All act in
// rounds: in a round the forge's clock stands still, and nobody waits; then everything comes to rest, all look, and
// the clock moves on by more than an approval's grace.
type table struct {
	*court
	clock  atomic.Int64 // of the forge, in seconds; 0: the real one
	seats  []*seat
	stock  map[bool][]*spare // by whether they are in prod
	spares int               // how many were ever made
	robot  string            // a token of an App that is not ours
	rounds int
}

// spare is a machine that lives already, to be switched or deleted.
type spare struct {
	path, name string
	off        bool
}

// stockroom is the system of the spares.
const stockroom = "stock"

func newTable(t testing.TB, seats int) *table {
	t.Helper()
	tb := &table{stock: map[bool][]*spare{}}
	var strict []string
	for i := range seats {
		tb.seats = append(tb.seats, &seat{table: tb, number: i})
		strict = append(strict, tb.seats[i].system(true))
	}
	policy := strings.Replace(string(approvalsOf("prod", 2)), "environments:", "systems: ["+strings.Join(strict, ", ")+"], environments:", 1)
	tb.court = newCourt(t, courtOptions{
		clock: tb.now,
		forge: func(o *forgetest.Options) { o.RateLimit, o.DeliveryConcurrency, o.Observer = 1e9, 4, nil },
		config: func(c *config.Config) {
			c.Approval.Grace, c.Approval.CommentInterval = config.Duration(time.Second), config.Duration(time.Millisecond)
			c.Limits = config.Limits{Creates: 1000, Deletes: 10, Modifications: 50, PowerOperations: 50}
			c.GitHub.Deployments = false
		},
		files: forgetest.Files{
			"platform/policies/strict.yaml":           []byte(policy),
			"platform/roles/asking.yaml":              []byte(asking),
			"platform/templates/ubuntu-24.04/v1.yaml": templateFile("deprecated", "qemu-guest-agent"),
			"platform/templates/ubuntu-24.04/v2.yaml": templateFile("active", "podman"),
		},
	})
	app := must(tb.Forge.CreateApp("renovate", forgetest.AppOptions{}))(tb.world)
	tb.robot = app.Install(tb.Repo).Token()
	must(tb.Dave.Commit(tb.Repo, "elsewhere", "main", forgetest.Files{"elsewhere.md": []byte("another branch\n")}, "elsewhere"))(tb.world)
	tb.furnish()
	tb.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{Duplicate: 0.2, Reorder: 0.3, Delay: 0.2, MaxDelay: 30 * time.Millisecond})
	return tb
}

// asking lets Alice and Frank do everything with machines, also delete them.
const asking = `apiVersion: kubevirt-shepherd.io/v1alpha1
kind: RoleBinding
spec:
  role: system-admin
  people:
    - {login: alice, id: 101}
    - {login: frank, id: 106}
  allowedEnvironments: [test, prod]
`

func (tb *table) now() time.Time {
	if at := tb.clock.Load(); at > 0 {
		return time.Unix(at, 0)
	}
	return time.Now()
}

// tick begins a round at the next whole second: later than all that was written down in the last one.
func (tb *table) tick() {
	next := time.Now().Truncate(time.Second).Add(time.Second)
	time.Sleep(time.Until(next))
	tb.clock.Store(next.Unix())
	tb.rounds++
}

// furnish gives everybody a seat with a system, and fills the stock.
func (tb *table) furnish() {
	tb.t.Helper()
	files := machines(stockroom, stockroom+"-base")
	for _, s := range tb.seats {
		s.rita = tb.Forge.UserWithID(fmt.Sprintf("rita-%d", s.number), int64(1000000+s.number))
		tb.Repo.SetPermission(s.rita, "write")
		tb.team.Add(s.rita)
		for _, system := range []string{s.system(false), s.system(true)} {
			maps.Copy(files, machines(system, system+"-base"))
		}
	}
	tb.ordinary("furnish", files)
	tb.refill()
}

// ordinary brings a pull request through that everybody agrees on.
func (tb *table) ordinary(branch string, files forgetest.Files) {
	tb.t.Helper()
	tb.tick()
	pr := tb.ask(branch, files)
	tb.quiet()
	tb.tick()
	if len(pr.Blockers()) > 0 {
		must(tb.Bob.Approve(pr))(tb.world)
		tb.quiet()
	}
	must(tb.Bob.Merge(pr, "squash"))(tb.world)
	tb.rest()
}

// quiet is that of a world, for as many as sit here and on a machine that has other things to do.
func (tb *table) quiet() {
	tb.t.Helper()
	const busy = `select count(*) from river_job
where state not in ('completed', 'cancelled', 'discarded') and kind not in ('heartbeat', 'verify_vm')`
	still := 0
	tb.eventuallyWithin(10*time.Minute, "everybody's doings to be done", func() bool {
		tb.do(tb.Forge.WaitIdle(tb.t.Context()))
		if still++; tb.count(busy) > 0 {
			still = 0
		}
		return still == 2 // between a delivery and its job there is a moment of silence
	})
}

// rest waits until nothing is under way, and ends what would go on for long: nobody plays the machines.
func (tb *table) rest() {
	tb.t.Helper()
	tb.quiet()
	_, err := tb.pool.Exec(tb.t.Context(), `delete from river_job where kind = 'verify_vm' and state in ('available', 'scheduled', 'retryable')`)
	tb.do(err)
}

// refill makes machines for those who switch and delete some.
func (tb *table) refill() {
	files := forgetest.Files{}
	for prod, env := range map[bool]string{false: "test-shop", true: "prod-shop"} {
		for len(tb.stock[prod]) < len(tb.seats) {
			tb.spares++
			index := 4*tb.spares + 3 // of no machine that a seat makes: to delete and create one index is to move a machine
			vm := fmt.Sprintf("%s/%02d", env, index)
			sp := &spare{path: vmPath(stockroom, stockroom+"-base", vm), name: fmt.Sprintf("%s-%s-%[2]s-base-%02[3]d", env, stockroom, index)}
			files[sp.path] = spareFile(false)
			tb.stock[prod] = append(tb.stock[prod], sp)
		}
	}
	if len(files) > 0 {
		tb.ordinary(fmt.Sprintf("stock-%d", tb.spares), files)
	}
}

func spareFile(off bool) []byte {
	file := stage.VM("small", "to be switched and deleted")
	if off {
		return []byte(strings.Replace(string(file), "power: running", "power: stopped", 1))
	}
	return file
}

// result is how the play of a script ended.
type result struct {
	script oracle.Script // up to the round that went wrong
	wrong  string        // what was seen and was not to be; empty where all was as the oracle said
}

// play plays scripts, as many at once as there are seats, and returns their results in order.
func (tb *table) play(scripts []oracle.Script) []result {
	tb.t.Helper()
	out := make([]result, len(scripts))
	next := 0
	for {
		var playing []*seat
		if idle := len(tb.seats) - tb.taken(); len(tb.stock[false]) < idle || len(tb.stock[true]) < idle {
			tb.refill()
		}
		for _, s := range tb.seats {
			if s.script == nil && next < len(scripts) {
				s.sit(scripts[next], &out[next])
				next++
			}
			if s.script != nil {
				playing = append(playing, s)
			}
		}
		if len(playing) == 0 {
			return out
		}
		tb.tick()
		each(playing, (*seat).act)
		tb.rest()
		each(playing, (*seat).look)
		tb.tidy(playing)
	}
}

// taken is how many seats have a script.
func (tb *table) taken() (n int) {
	for _, s := range tb.seats {
		if s.script != nil {
			n++
		}
	}
	return n
}

func each(seats []*seat, do func(*seat)) {
	var wg sync.WaitGroup
	for _, s := range seats {
		wg.Go(func() { do(s) })
	}
	wg.Wait()
}

// tidy closes what is over, and the undos that nobody merges.
func (tb *table) tidy(playing []*seat) {
	tb.t.Helper()
	for _, s := range playing {
		s.leave()
	}
	undos := tb.strings(`select id::text from pull_requests where state = 'open' and author_login = 'shepherd[bot]'`)
	if len(undos) == 0 {
		return
	}
	for _, pr := range tb.Repo.Pulls() {
		if slices.Contains(undos, fmt.Sprint(pr.Number())) {
			_ = tb.Dave.Close(pr) // closed in the round before
		}
	}
}

// shrinking is about how many rounds a script that fails is worth.
const shrinking = 150

// shrink leaves out of a script what its failing does not need, with many tries at once.
func (tb *table) shrink(bad result) result {
	for end := tb.rounds + shrinking; tb.rounds < end; {
		candidates, found := bad.script.Shorter(), false
		for len(candidates) > 0 && !found {
			some := candidates[:min(len(candidates), len(tb.seats))]
			candidates = candidates[len(some):]
			failed := slices.DeleteFunc(tb.play(some), func(r result) bool { return r.wrong == "" })
			if found = len(failed) > 0; found {
				bad = slices.MinFunc(failed, func(a, b result) int { return cmp.Compare(a.script.Steps(), b.script.Steps()) })
			}
		}
		if !found {
			break
		}
	}
	return bad
}
