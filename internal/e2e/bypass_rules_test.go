package e2e

import (
	"strings"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// inForce holds that the rules are those of a commit.
func (w *world) inForce(commit string) {
	w.t.Helper()
	w.quiet()
	if got := w.strings(`select platform_commit from repository`); got[0] != commit {
		w.t.Errorf("the platform is that of %s, not of %s", got[0], commit)
	}
}

// Rules that were merged past the gate grant nothing, and nothing approved is a vehicle for them.
func TestRulesPastTheGate(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withErin)
	erin, accepted := w.erin(), w.Repo.Head("main")
	const mine = "platform/roles/mine.yaml"
	large := sizeFolder + "large.yaml"

	// Approved while all was well.
	waiting := w.asks(w.Dave, "large", forgetest.Files{large: platformFile("InstanceSize", "  cores: 4\n  memory: 8Gi\n")})
	w.approve(erin, waiting)
	w.check(waiting, "shepherd/approval", "success")

	grab := w.ask("grab", forgetest.Files{mine: bindRole("platform-admin", "alice", "101")})
	w.problem(grab, "PERMISSION_DENIED", mine, 1)
	first := w.bypass(grab)
	w.stopped(first, "PERMISSION_DENIED", mine)
	loose := w.asks(w.Dave, "loose", forgetest.Files{
		policyPath:                       platformFile("Policy", "  rules: []\n"),
		"platform/roles/requesters.yaml": w.replace(w.onMain("platform/roles/requesters.yaml"), "role: operator", "role: approver"),
		"platform/roles/approvers.yaml":  nil,
	})
	w.problem(loose, "QUARANTINED", policyPath, 1)
	second := must(w.Dave.MergeBypassing(loose, "squash"))(w)
	w.stopped(second, "QUARANTINED", policyPath, "platform/roles/requesters.yaml", "platform/roles/approvers.yaml")
	w.inForce(accepted)

	// What alice took does not help her, and Bob has not lost what he has.
	again := w.ask("again", forgetest.Files{sizeFolder + "huge.yaml": platformFile("InstanceSize", "  cores: 8\n  memory: 64Gi\n")})
	w.problem(again, "PERMISSION_DENIED", sizeFolder+"huge.yaml", 1)
	shop := w.approved("shop", machines("shop", "redis", "test-shop/01"))
	w.merge(shop, "squash")
	w.once("test-shop-shop-redis-01")

	// The approved change would carry the rest along: it has to wait for the undo.
	w.problem(waiting, "QUARANTINED", large, 1)
	third := w.bypass(waiting)
	w.stopped(third, "QUARANTINED", large)
	w.inForce(accepted)
	for _, commit := range []string{second, first, third} {
		undo := w.undo(commit)
		w.check(undo, "shepherd/approval", "success")
		w.merge(undo, "merge")
	}
	w.inForce(accepted)
	for _, path := range []string{mine, policyPath, large} {
		if _, there := w.Repo.File("main", path); there {
			t.Errorf("%s is still there", path)
		}
	}

	branch := "shepherd/redo-" + third[:8]
	w.comment(w.undo(third), branch)
	redo := must(w.Dave.OpenPull(w.Repo, "A large size", branch, "main", "", false))(w)
	w.approve(erin, redo)
	w.check(redo, "shepherd/approval", "success")
	w.moved(w.merge(redo, "rebase"))
	vm := w.approved("vm", forgetest.Files{vmPath("shop", "redis", "test-shop/02"): stage.VM("large", "a large one")})
	w.merge(vm, "merge")
	w.once("test-shop-shop-redis-02")
}

// A drift of the platform stops what is approved, and lets it go on when it is taken back.
func TestDriftStopsAndEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withErin)
	large := sizeFolder + "large.yaml"
	pr := w.asks(w.Dave, "large", forgetest.Files{large: platformFile("InstanceSize", "  cores: 4\n  memory: 8Gi\n")})
	w.approve(w.erin(), pr)
	w.check(pr, "shepherd/approval", "success")
	pushed := must(w.Dave.Commit(w.Repo, "main", "", forgetest.Files{"CODEOWNERS": []byte("* @dave\n")}, "quickly"))(w)
	w.stopped(pushed, "APPROVAL_BYPASSED", "CODEOWNERS")
	w.problem(pr, "QUARANTINED", large, 1)
	undo := w.undo(pushed)
	w.check(undo, "shepherd/approval", "success")
	w.merge(undo, "squash")
	w.check(pr, "shepherd/validate", "success")
	w.check(pr, "shepherd/approval", "success")
	w.moved(w.merge(pr, "merge"))
}

// What the branch has without approval is nothing to build on, whatever is asked on top of it.
func TestOnTopOfQuarantine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	one := vmPath("shop", "redis", "test-shop/01")
	files := machines("shop", "redis", "test-shop/01")
	files[one] = w.replace(stage.VM("small", "at rest"), "power: running", "power: stopped")
	made := w.approved("made", files)
	w.merge(made, "merge")
	w.once("test-shop-shop-redis-01")
	w.push("start", forgetest.Files{one: w.replace(files[one], "power: stopped", "power: running")})
	start := w.open("start", true) // a draft, or Shepherd would merge it at once
	w.check(start, "shepherd/validate", "success")

	below := machines("odd", "mongo", "test-shop/01")
	pushed := must(w.Dave.Commit(w.Repo, "main", "", forgetest.Files{
		one:                               w.replace(files[one], "size: small", "size: medium"),
		"systems/odd/system.yaml":         below["systems/odd/system.yaml"],
		"systems/shop/mongo/service.yaml": stage.Service("a store"),
	}, "quickly"))(w)
	w.stopped(pushed, "APPROVAL_BYPASSED", one, "systems/odd/system.yaml", "systems/shop/mongo/service.yaml")

	grown := w.ask("grown", forgetest.Files{one: w.replace(w.onMain(one), "power: stopped", "power: running")})
	w.problem(grown, "QUARANTINED", one, 1)
	commit := w.bypass(grown)
	w.stopped(commit, "QUARANTINED", one)
	child := w.ask("child", forgetest.Files{
		vmPath("shop", "mongo", "test-shop/01"): stage.VM("small", "on a service that is not"),
		"systems/odd/mice/service.yaml":         stage.Service("of a system that is not"),
	})
	w.problem(child, "SERVICE_UNKNOWN", vmPath("shop", "mongo", "test-shop/01"), 1)
	if c, _ := child.Check("shepherd/validate"); !strings.Contains(c.Summary, "SYSTEM_UNKNOWN") {
		t.Errorf("the service of no system:\n%s", c.Summary)
	}
	last := w.bypass(child)
	w.quiet()
	w.absent("test-shop-shop-mongo-01")
	if vm := w.vm("test-shop-shop-redis-01"); vm.Generation != 1 {
		t.Errorf("the machine was changed: generation %d", vm.Generation)
	}
	for _, c := range []string{last, commit, pushed} {
		undo := w.undo(c)
		w.check(undo, "shepherd/approval", "success")
		w.merge(undo, "squash")
	}
	if got := w.onMain(one); string(got) != string(files[one]) {
		t.Errorf("after the undos the file is\n%s", got)
	}
	w.do(w.Alice.MarkReady(start)) // merged by Shepherd itself
	w.eventually("the machine to be started", func() bool {
		return w.count(`select count(*) from events where operation = 'START_VM' and status = 'COMPLETED'`) == 1
	})
	if got := w.vm("test-shop-shop-redis-01").Spec.Template.Spec.Domain.Memory.Guest.String(); got != "2Gi" {
		t.Errorf("the start carried the size along: %s", got)
	}
}

// nextSecond waits until the forge's clock, which has seconds, can tell what comes from what was.
func (w *world) nextSecond() {
	w.t.Helper()
	now := time.Now().Unix()
	w.eventually("the next second", func() bool { return time.Now().Unix() > now })
}

// What a plan was made of can change between approval and merge: then it is another plan.
func TestGroundsMove(t *testing.T) {
	t.Parallel()
	w := newWorld(t, withErin)
	w.structure("shop", "redis")
	const system, namespace = "systems/shop/system.yaml", "platform/namespaces/test-shop.yaml"
	one := vmPath("shop", "redis", "test-shop/01")
	pr := w.approved("machine", forgetest.Files{one: stage.VM("small", "a machine")})
	w.quiet()
	w.nextSecond()

	keys := w.ask("keys", forgetest.Files{system: append(w.onMain(system), "  sshKeys:\n    - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGZv4mDzqYHcJ4Yf9s0hRr3k6mC4p1i8YQ3bq8z6v3cT alice\n"...)})
	w.check(keys, "shepherd/approval", "success")
	w.merge(keys, "squash")
	w.check(pr, "shepherd/approval", "action_required")
	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")
	w.nextSecond()

	w.administer("elsewhere", forgetest.Files{namespace: w.replace(w.onMain(namespace), w.kubeNamespace("test"), w.kubeNamespace("prod")+"-2")})
	w.check(pr, "shepherd/approval", "action_required")
	commit := w.bypass(pr)
	w.stopped(commit, "APPROVAL_BYPASSED", one)
	w.absent("test-shop-shop-redis-01")

	// The parent goes: who leans on it hears of it.
	child := w.approved("child", forgetest.Files{vmPath("shop", "redis", "prod-shop/02"): stage.VM("small", "soon an orphan")})
	undo := w.undo(commit)
	w.check(undo, "shepherd/approval", "success")
	w.merge(undo, "merge")
	gone := w.ask("gone", forgetest.Files{"systems/shop/redis/service.yaml": nil})
	w.confirmAll(w.Alice, gone)
	w.check(gone, "shepherd/approval", "success")
	w.merge(gone, "merge")
	w.problem(child, "SERVICE_UNKNOWN", vmPath("shop", "redis", "prod-shop/02"), 1)
}
