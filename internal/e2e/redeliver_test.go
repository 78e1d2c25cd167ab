package e2e

import (
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/stage"
)

// deaf runs acts whose webhooks are sent and do not come.
func (w *world) deaf(acts func()) {
	w.t.Helper()
	w.eventually("the sweep of the start", func() bool { // which would fetch what is lost now
		return w.count(`select count(*) from river_job where kind = 'sweep_deliveries' and state = 'completed'`) > 0
	})
	w.do(w.Forge.WaitIdle(w.t.Context()))
	w.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{Drop: 1})
	acts()
	w.do(w.Forge.WaitIdle(w.t.Context()))
	w.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{})
}

// fetch sweeps the deliveries and waits for what comes of it.
func (w *world) fetch() {
	w.t.Helper()
	w.quiet() // one sweep at a time
	w.enqueue(jobs.SweepDeliveries{RepositoryID: w.Repo.ID()})
	w.quiet()
}

// fetched is how many webhooks never came and were fetched.
func (w *world) fetched() int {
	w.t.Helper()
	return w.count(`select count(*) from deliveries where sent_at is not null`)
}

// A command, an approval and a push whose webhooks never came are as if they had come once the deliveries were
// swept, in the order in which they happened, and do nothing more when the forge sends them after all.
func TestLostDeliveries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.impatient()
	pr := w.ask("shop", machines("shop", "redis", "test-shop/01"))
	w.published(pr)
	w.quiet()
	before := w.fetched()
	w.deaf(func() {
		must(w.Bob.Comment(pr, "/hold until the sale is over"))(w)
		w.push("shop", forgetest.Files{vmPath("shop", "redis", "test-shop/02"): stage.VM("small", "one more")})
	})
	w.quiet()
	if n := w.count(`select count(*) from commands`); n != 0 {
		t.Fatalf("%d commands were heard", n)
	}
	w.fetch()
	if w.fetched() == before {
		t.Fatal("nothing was fetched")
	}
	w.published(pr)
	if n := w.count(`select count(*) from commands where verb = 'hold' and status = 'done'`); n != 1 {
		t.Errorf("/hold was done %d times: %v", n, w.strings(`select verb || ' ' || status from commands`))
	}
	if n := w.count(`select count(*) from pull_requests where id = $1 and held_by = 102`, pr.Number()); n != 1 {
		t.Error("it is not held")
	}
	if n := w.count(`select count(*) from pushes p join deliveries d on d.id = p.delivery_id where p.after = $1 and p.at = d.sent_at and p.pusher_login = 'alice'`, pr.HeadSHA()); n == 0 {
		t.Errorf("the push is not known: %v", w.strings(`select ref || ' ' || after from pushes`))
	}
	w.deaf(func() {
		must(w.Bob.Comment(pr, "/unhold"))(w)
		must(w.Bob.Approve(pr))(w)
	})
	w.fetch()
	w.check(pr, "shepherd/approval", "success")
	if n := w.count(`select count(*) from reviews r join deliveries d on d.id = r.delivery_id where d.sent_at is not null`); n != 1 {
		t.Errorf("%d reviews are known from what was fetched", n)
	}
	said, known := len(w.comments(pr)), w.count(`select count(*) from deliveries`)
	for _, d := range w.App.Deliveries() {
		if d.StatusCode == 0 && !d.Redelivery {
			w.App.Redeliver(d.ID)
		}
	}
	w.quiet()
	w.fetch()
	if got := w.count(`select count(*) from deliveries`); got != known {
		t.Errorf("%d deliveries, and %d when they are sent again", known, got)
	}
	if got := w.comments(pr); len(got) != said {
		t.Errorf("%d comments, and %d when everything is sent again", said, len(got))
	}
	w.merge(pr, "merge")
	w.once("test-shop-shop-redis-01", "test-shop-shop-redis-02")
	if n := w.count(`select count(*) from commands`); n != 2 {
		t.Errorf("%d commands: %v", n, w.strings(`select verb || ' ' || status from commands`))
	}
}

// What a confirmation says while no server is there is heard when one starts.
func TestLostConfirmation(t *testing.T) {
	t.Parallel()
	w := newPlant(t)
	const vm = "test-shop-shop-redis-01"
	path := vmPath("shop", "redis", "test-shop/01")
	w.told2(w.decided("create", machines("shop", "redis", "test-shop/01")), vm)
	pr := w.ask("delete", forgetest.Files{path: nil})
	w.published(pr)
	line := w.toConfirm(pr)[0]
	w.quiet()
	w.stop()
	must(w.Dave.Comment(pr, line))(w.world)
	must(w.Bob.Approve(pr))(w.world)
	w.do(w.Forge.WaitIdle(t.Context())) // nobody answered
	w.serve()
	w.standing(pr, "success", "approved, and confirmed by an administrator")
	w.merge(pr, "merge")
	w.eventually("the machine to go", func() bool {
		return w.count(`select count(*) from events where subject = $1 and operation = 'DELETE_VM' and status = 'COMPLETED'`, vm) == 1
	})
}
