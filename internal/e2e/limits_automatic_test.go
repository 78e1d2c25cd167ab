package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// off is a machine of machines(), with its power off.
func (w *world) off(service string) []byte {
	return w.replace(stage.VM("small", "a machine of "+service), "power: running", "power: stopped")
}

// running has machines approved, merged and applied.
func (w *world) running(system, service string, vms ...string) {
	w.t.Helper()
	w.merge(w.approved("make-"+system, machines(system, service, vms...)), "squash")
	var names []string
	for _, vm := range vms {
		ns, index, _ := strings.Cut(vm, "/")
		names = append(names, ns+"-"+system+"-"+service+"-"+index)
	}
	w.once(names...)
	w.quiet()
}

// merged waits until the bot has merged a pull request.
func (w *world) merged(pr *forgetest.Pull) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("#%d to be merged", pr.Number()), pr.Merged)
	w.eventually("the merge to be written down", func() bool {
		return w.count(`select count(*) from audit_log where action_code = 'MERGED_BY_SHEPHERD' and pull_request = $1`, pr.Number()) == 1
	})
}

// What only stops machines in test is merged by the bot and carried out. A hold stops the merge, and only
// until it is lifted.
func TestAutomaticMerge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.running("shop", "redis", "test-shop/01", "test-shop/02", "test-shop/03")
	stop := func(branch, vm string, draft bool) *forgetest.Pull {
		w.push(branch, forgetest.Files{vmPath("shop", "redis", "test-shop/"+vm): w.off("redis")})
		return w.open(branch, draft)
	}
	strategy := func(name string) kubevirtv1.VirtualMachineRunStrategy {
		if s := w.vm(name).Spec.RunStrategy; s != nil {
			return *s
		}
		return ""
	}
	pr := stop("stop", "01", false)
	w.merged(pr)
	const name = "test-shop-shop-redis-01"
	w.eventually("the machine to be stopped", func() bool { return strategy(name) == kubevirtv1.RunStrategyHalted })
	for _, check := range []string{"shepherd/validate", "shepherd/approval"} {
		if c, ok := pr.Check(check); !ok || c.Conclusion != "success" {
			t.Errorf("%s is %v before the merge", check, c)
		}
	}
	w.quiet()
	const trail = `select action_code from audit_log where pull_request = $1 and subject in ('', $2) order by id`
	want := []string{"MERGED_BY_SHEPHERD", "CHANGE_ACCEPTED", "EXECUTION_STARTED", "EXECUTION_COMPLETED"}
	got := w.strings(trail, pr.Number(), name)
	slices.Sort(got)
	slices.Sort(want) // the walker may be faster than the one who writes down that the forge has merged
	if !slices.Equal(got, want) {
		t.Errorf("the trail is %v, want %v", got, want)
	}
	if got := w.strings(`select operation || ' ' || status from events where pull_request = $1`, pr.Number()); !slices.Equal(got, []string{"STOP_VM COMPLETED"}) {
		t.Errorf("the events are %v", got)
	}
	w.show(pr, "merged by itself")

	held := stop("held", "02", true)
	w.check(held, "shepherd/validate", "success")
	must(w.Alice.Comment(held, "/hold"))(w)
	w.quiet()
	w.do(w.Alice.MarkReady(held))
	w.told(held, "On hold by alice")
	w.check(held, "shepherd/approval", "success")
	w.quiet()
	if held.Merged() {
		t.Fatal("merged although it was held")
	}
	w.show(held, "on hold")
	must(w.Alice.Comment(held, "/unhold"))(w)
	w.merged(held)
	w.eventually("the machine to be stopped", func() bool { return strategy("test-shop-shop-redis-02") == kubevirtv1.RunStrategyHalted })

	// The forge refuses: the comment says so, and who merges.
	w.Repo.Protect("main", forgetest.Protection{Approvals: 1, Checks: []forgetest.RequiredCheck{{Context: "shepherd/approval", AppID: w.App.ID()}}})
	refused := stop("refused", "03", false)
	w.told(refused, "Merge it yourself")
	w.quiet()
	w.show(refused, "that the forge refused")
	if refused.Merged() {
		t.Error("merged against the protection")
	}
	w.bypass(refused)
	w.eventually("the machine to be stopped", func() bool { return strategy("test-shop-shop-redis-03") == kubevirtv1.RunStrategyHalted })
	w.noQuarantine()
}

// Whatever is more than stopping machines in test by known people is left to people.
func TestNoAutomaticMerge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var vms []string
	for i := range 8 {
		vms = append(vms, fmt.Sprintf("test-shop/%02d", i+1))
	}
	w.running("shop", "redis", append(vms, "prod-shop/20")...)
	at := func(index string) string { return vmPath("shop", "redis", "test-shop/"+index) }
	prod := w.ask("prod", forgetest.Files{vmPath("shop", "redis", "prod-shop/20"): w.off("redis")})
	aside := w.ask("aside", forgetest.Files{at("01"): w.off("redis"), "README.md": []byte("about\n")})
	mixed := w.ask("mixed", forgetest.Files{at("02"): w.off("redis"), "systems/shop/redis/service.yaml": stage.Service("another text")})
	w.push("draft", forgetest.Files{at("03"): w.off("redis")})
	draft := w.open("draft", true)
	fork := must(w.Alice.Fork(w.Repo))(w)
	must(w.Alice.Commit(fork, "fork", "main", forgetest.Files{at("04"): w.off("redis")}, "from afar"))(w)
	far := must(w.Alice.OpenPull(w.Repo, "From afar", "alice:fork", "main", "", false))(w)
	w.push("objected", forgetest.Files{at("05"): w.off("redis")})
	objected := w.open("objected", true)
	w.check(objected, "shepherd/validate", "success")
	must(w.Bob.RequestChanges(objected, "not during the sale"))(w)
	w.quiet()
	w.do(w.Alice.MarkReady(objected))
	w.quiet()
	w.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{Lose: 1})
	w.push("unseen", forgetest.Files{at("06"): w.off("redis")}) // nobody knows who pushed
	w.do(w.Forge.WaitIdle(t.Context()))
	w.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{})
	w.Repo.ForgetActivity()
	unseen := w.open("unseen", false)
	must(w.Carol.Commit(w.Repo, "carols", "main", forgetest.Files{at("07"): w.off("redis")}, "a viewer stops it"))(w)
	viewers := must(w.Alice.OpenPull(w.Repo, "A viewer's push", "carols", "main", "", false))(w)
	all := map[string]*forgetest.Pull{
		"prod": prod, "a file beside": aside, "another operation beside": mixed, "draft": draft, "fork": far,
		"objection": objected, "unknown pusher": unseen, "pusher without permission": viewers,
	}
	for name, pr := range all {
		w.eventually(name+" to be judged", func() bool { _, ok := pr.Check("shepherd/approval"); return ok })
	}
	w.quiet()
	for name, pr := range all {
		if pr.Merged() {
			t.Errorf("%s: merged by itself", name)
		}
	}
	w.show(objected, "with an objection")
	w.show(unseen, "whose pusher is unknown")
	if n := w.count(`select count(*) from audit_log where action_code = 'MERGED_BY_SHEPHERD'`); n != 0 {
		t.Errorf("%d merges by Shepherd", n)
	}
	// By hand it goes on, where nothing else is missing.
	w.merge(aside, "squash")
	w.eventually("it to be stopped", func() bool {
		return *w.vm("test-shop-shop-redis-01").Spec.RunStrategy == kubevirtv1.RunStrategyHalted
	})
	w.noQuarantine()
}

func TestAutomaticMergeSwitchedOff(t *testing.T) {
	t.Parallel()
	w := setup{config: func(c *config.Config) { c.Approval.AutoMerge = false }}.world(t)
	w.running("shop", "redis", "test-shop/01")
	pr := w.ask("stop", forgetest.Files{vmPath("shop", "redis", "test-shop/01"): w.off("redis")})
	w.told(pr, "No approval needed", "Merge when ready")
	w.quiet()
	if pr.Merged() {
		t.Error("merged although that is switched off")
	}
}
