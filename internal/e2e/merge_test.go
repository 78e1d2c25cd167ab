package e2e

import (
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

func TestMergeMethods(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, method := range []string{"merge", "squash"} {
		pr := w.approved(method, machines(method, method+"s", "test-shop/01", "prod-shop/02"))
		w.merge(pr, method)
		w.once("test-shop-"+method+"-"+method+"s-01", "prod-shop-"+method+"-"+method+"s-02")
	}

	// A rebase of several commits is one span: the sizes and the machine that only stood in between are
	// never applied.
	files := machines("many", "commits", "test-shop/01", "test-shop/03")
	files[vmPath("many", "commits", "test-shop/01")] = stage.VM("medium", "a machine of commits")
	w.push("rebase", files)
	w.push("rebase", forgetest.Files{
		vmPath("many", "commits", "test-shop/01"): stage.VM("small", "a machine of commits"),
		vmPath("many", "commits", "test-shop/02"): stage.VM("small", "another one"),
		vmPath("many", "commits", "test-shop/03"): nil,
	})
	w.push("rebase", forgetest.Files{"README.md": []byte("about\n")})
	pr := w.open("rebase", false)
	w.approve(w.Bob, pr)
	w.merge(pr, "rebase")
	w.once("test-shop-many-commits-01", "test-shop-many-commits-02")
	if got := w.vm("test-shop-many-commits-01").Spec.Template.Spec.Domain.Memory.Guest.String(); got != "2Gi" {
		t.Errorf("memory %s: what was rebased half-way was applied", got)
	}
	w.quiet()
	w.absent("test-shop-many-commits-03")
	if got := w.strings(`select distinct commit from accepted where system = 'many'`); len(got) != 1 || got[0] != pr.MergeCommitSHA() {
		t.Errorf("accepted at %v, merged as %s", got, pr.MergeCommitSHA())
	}
	w.noQuarantine()
}

// noQuarantine holds that nothing was quarantined and the cursor is at the tip.
func (w *world) noQuarantine() {
	w.t.Helper()
	w.quiet()
	if n := w.count(`select count(*) from audit_log where action_code in ('APPROVAL_BYPASSED', 'CHANGE_QUARANTINED')`); n != 0 {
		w.t.Errorf("%d changes quarantined", n)
	}
	if got := w.strings(`select "cursor" from repository`); got[0] != w.Repo.Head("main") {
		w.t.Errorf("the cursor is at %s, the branch at %s", got[0], w.Repo.Head("main"))
	}
}

// Who merges before the webhook of the approving review has come in has merged what was approved.
func TestMergeOvertakesTheReview(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pr := w.ask("late", twoVMs())
	w.published(pr)
	w.quiet()
	w.Forge.PauseDeliveries()
	w.approve(w.Bob, pr)
	w.bypass(pr)
	w.Forge.ResumeDeliveries()
	w.once("test-shop-shop-redis-01", "prod-shop-shop-redis-02")
	w.noQuarantine()
}

func TestMergesInQuickSuccession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var pulls []*forgetest.Pull
	for _, name := range []string{"one", "two", "three"} {
		pulls = append(pulls, w.ask(name, machines(name, name+"s", "test-shop/01")))
	}
	for _, pr := range pulls {
		w.approve(w.Bob, pr)
	}
	for _, pr := range pulls {
		w.check(pr, "shepherd/approval", "success")
	}
	for _, pr := range pulls {
		w.merge(pr, "squash")
	}
	w.once("test-shop-one-ones-01", "test-shop-two-twos-01", "test-shop-three-threes-01")
	w.noQuarantine()
	for _, pr := range pulls {
		if n := w.count(`select count(*) from pull_requests where id = $1 and state = 'merged'`, pr.Number()); n != 1 {
			t.Errorf("#%d is not known as merged", pr.Number())
		}
	}
}

func TestMergeWhileTheServerIsDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pr := w.approved("down", twoVMs())
	w.stop()
	w.merge(pr, "merge")
	w.do(w.Forge.WaitIdle(t.Context())) // the webhook is lost
	w.absent("test-shop-shop-redis-01")
	w.serve()
	w.once("test-shop-shop-redis-01", "prod-shop-shop-redis-02")
	w.noQuarantine()
}

// However webhooks come in, what was merged is applied once.
func TestUnreliableWebhooks(t *testing.T) {
	t.Parallel()
	w := setup{config: func(c *config.Config) { c.Repository.WalkEvery = config.Duration(time.Second) }}.world(t)
	for name, faults := range map[string]forgetest.DeliveryFaults{
		"twice": {Duplicate: 1},
		"mixed": {Duplicate: 0.5, Reorder: 0.5, Delay: 0.5, MaxDelay: 500 * time.Millisecond},
	} {
		w.Forge.SetDeliveryFaults(faults)
		pr := w.approved(name, machines(name, name+"s", "test-shop/01", "prod-shop/02"))
		w.merge(pr, "merge")
		w.once("test-shop-"+name+"-"+name+"s-01", "prod-shop-"+name+"-"+name+"s-02")
	}
	w.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{})
	pr := w.ask("lost", machines("lost", "losses", "test-shop/01"))
	w.published(pr)
	w.quiet()
	w.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{Lose: 1}) // neither review nor merge is told
	w.approve(w.Bob, pr)
	w.bypass(pr)
	w.once("test-shop-lost-losses-01")
	w.comment(pr, "Applied")
	w.noQuarantine()
}
