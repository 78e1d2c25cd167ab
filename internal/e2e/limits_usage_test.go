package e2e

import (
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// limited gives the namespace of test limits.
func limited(limits string) func(*stage.Options) {
	return func(o *stage.Options) {
		const path = "platform/namespaces/test-shop.yaml"
		o.Files[path] = append(o.Files[path], "  limits: "+limits+"\n"...)
	}
}

// inTest is the path of a machine of shop/redis in test.
func inTest(index string) string { return vmPath("shop", "redis", "test-shop/"+index) }

// Two were approved while there was room for both. What is merged once there is room for one only stays out.
func TestMergeOverALimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limited("{vms: 2}"), withErin)
	w.structure("shop", "redis")
	one := w.approved("one", forgetest.Files{inTest("01"): stage.VM("small", "the first")})
	two := w.approved("two", forgetest.Files{inTest("02"): stage.VM("small", "the second")})
	three := w.ask("three", forgetest.Files{inTest("03"): stage.VM("small", "the third")})
	if c := w.problem(three, "QUOTA_EXCEEDED", inTest("03"), 3); !strings.Contains(c.Summary, "namespace test-shop would take 3 VMs (limit 2)") {
		t.Errorf("the numbers are not told:\n%s", c.Summary)
	}
	const path = "platform/namespaces/test-shop.yaml"
	less := w.asks(w.Dave, "less", forgetest.Files{path: w.replace(w.onMain(path), "vms: 2", "vms: 1")})
	w.approve(w.erin(), less)
	w.check(less, "shepherd/approval", "success")
	w.quiet()

	w.stop() // so that nobody is judged by the new limit before the merge
	rules := w.merge(less, "squash")
	w.merge(one, "squash")
	commit := w.merge(two, "squash")
	w.serve()
	w.moved(rules)
	w.once("test-shop-shop-redis-01")
	w.quarantined("QUOTA_EXCEEDED", "test-shop-shop-redis-02")
	w.show(two, "that was merged over the limit")
	w.comment(two, "would take 2 VMs (limit 1)")
	w.comment(two, w.undo(commit).URL())
	w.problem(three, "QUOTA_EXCEEDED", inTest("03"), 3) // by the new limit
	w.comment(three, "limit 1")
}

// Whoever was refused for want of room goes on as soon as there is some, without doing anything: somebody gives up
// what they asked for, or a machine is gone. What waits to grow takes its room from those who come later.
func TestRoomThatAppears(t *testing.T) {
	t.Parallel()
	w := newWorld(t, limited("{vms: 2, cores: 3}"))
	w.running("shop", "redis", "test-shop/01") // 1 core
	grows := w.ask("grows", forgetest.Files{inTest("01"): stage.VM("medium", "more cores")})
	w.published(grows)
	second := w.ask("second", forgetest.Files{inTest("02"): stage.VM("medium", "the second")})
	c := w.problem(second, "QUOTA_EXCEEDED", inTest("02"), 3)
	for _, words := range []string{"namespace test-shop would take 4 cores (limit 3)", "what other pull requests asked for before counts too"} {
		if !strings.Contains(c.Summary, words) {
			t.Errorf("no %q in\n%s", words, c.Summary)
		}
	}
	w.show(second, "that found no room")
	w.untouched(second)
	w.do(w.Alice.Close(grows))
	w.check(second, "shepherd/validate", "success")
	w.approve(w.Bob, second)

	third := w.ask("third", forgetest.Files{inTest("03"): stage.VM("small", "the third")})
	w.problem(third, "QUOTA_EXCEEDED", inTest("03"), 3)
	w.merge(second, "squash")
	w.once("test-shop-shop-redis-02")
	w.quiet()
	w.check(third, "shepherd/validate", "failure") // what was asked for is there now
	last := w.ask("last", forgetest.Files{inTest("01"): nil})
	w.approve(w.Bob, last)
	w.confirmAll(w.Alice, last)
	w.check(last, "shepherd/approval", "success")
	w.check(third, "shepherd/validate", "failure") // until it is gone
	w.merge(last, "squash")
	w.check(third, "shepherd/validate", "success")
	w.approve(w.Bob, third)
	w.merge(third, "squash")
	w.once("test-shop-shop-redis-03")
	w.noQuarantine()
}
