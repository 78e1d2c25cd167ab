package approval

import (
	"context"
	"errors"

	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/store"
)

const (
	tellEight  = `tell_pull_request default {"number": 8}`
	judgeSeven = `judge_pull_request default {"number": 7}`
	judgeEight = `judge_pull_request default {"number": 8}`
)

// expected turns the error that a transaction should end with into success, and its absence into an error.
func expected(err error, want func(error) bool) error {
	switch {
	case err == nil:
		return errors.New("it went through")
	case want(err):
		return nil
	}
	return err
}

func isMoved(err error) bool { return errors.Is(err, ErrMoved) }

var (
	twin = newVM(1, contested(7), digest("digest-twin"))
	// rivals has #7 ask for what #8 wants too, whose plan is on show.
	rivals = func(w *world) {
		w.submit(7, vm1)
		w.submit(8, twin)
	}
	waiting8 = func(w *world) { w.submit(8, newVM(1, taken)) }
)

// requests are what happens before a merge: asking, waiting for names, planning, confirming, holding.
var requests = []scenario{
	{
		name: "submit: removals",
		given: resubmits(submission(8, onVM("DELETE_VM", 1), removes(newService(0), "DELETE_SERVICE")), func(w *world) {
			w.running(7, "c0", "c1", vm1)
		}),
		trail: `REQUEST_SUBMITTED ada prod-shop-shop-redis-01 prod #8 ticket event {"head": "head1", "digest": "delete_vm-01", "reason": "", "cluster": "east", "operation": "DELETE_VM"}`,
		jobs:  tellEight, statements: 13,
	},
	{
		name:  "submit: rules",
		given: submits(submission(7, ofPlatform("medium"), ofPlatform("large"))),
		trail: `REQUEST_SUBMITTED ada medium #7 ticket event {"head": "head1", "digest": "digest-size-medium", "reason": "", "cluster": "", "operation": "CHANGE_PLATFORM"}
REQUEST_SUBMITTED ada large #7 ticket event {"head": "head1", "digest": "digest-size-large", "reason": "", "cluster": "", "operation": "CHANGE_PLATFORM"}`,
		jobs: tellSeven, statements: 19,
	},
	{
		name:  "submit: a console",
		given: submits(submission(7, console(vm1.Subject, "ada"))),
		trail: `REQUEST_SUBMITTED ada prod-shop-shop-redis-01 prod #7 ticket event {"head": "head1", "digest": "digest-console-ada", "reason": "", "cluster": "", "operation": "VNC_ACCESS"}`,
		jobs:  tellSeven, statements: 12,
	},
	{
		name:  "submit: contested",
		given: resubmits(submission(8, twin), asked),
		jobs:  tellEight, statements: 8,
	},
	{
		name: "submit: contested, at another head",
		given: resubmits(func() Submission {
			s := submission(8, twin)
			s.Report.Head = "head2"
			return s
		}(), rivals),
		jobs: tellEight, statements: 7,
	},
	{
		name: "submit: after a takeover",
		given: resubmits(submission(8, newVM(1, digest("digest-twin"))), func(w *world) {
			rivals(w)
			w.ok(w.g.TakeOver(w.Context(), 8, Taking{twin, byAlice}))
		}),
		trail: `REQUEST_SUBMITTED ada prod-shop-shop-redis-01 prod #8 ticket event {"head": "head1", "digest": "digest-twin", "reason": "a <second> replica", "cluster": "east", "operation": "CREATE_VM"}`,
		jobs:  tellEight, statements: 11,
	},
	{
		name:  "submit: a name is free again",
		given: resubmits(submission(7, vm2), func(w *world) { waiting8(w); asked(w) }),
		trail: `REQUEST_CANCELLED shepherd prod-shop-shop-redis-01 prod #7 ticket event {"why": "the requested content changed", "code": "SUPERSEDED"}
REQUEST_SUBMITTED ada prod-shop-shop-redis-02 prod #7 ticket event {"head": "head1", "digest": "digest-02", "reason": "a <second> replica", "cluster": "east", "operation": "CREATE_VM"}`,
		jobs: judgeEight + "\n" + tellSeven, statements: 20,
	},
	{
		name:  "submit: a name without a ticket is free again",
		given: resubmits(submission(7, newSystem(0)), func(w *world) { waiting8(w); w.submit(7, newSystem(0), newService(0)) }),
		jobs:  judgeEight + "\n" + tellSeven, statements: 9,
	},
	{
		name: "submit: not valid, and a name is free again",
		given: resubmits(submission(7, newVM(2, invalid)), func(w *world) {
			waiting8(w)
			w.submit(7, newSystem(0))
		}),
		jobs: judgeEight + "\n" + tellSeven, statements: 9,
	},
	{
		name:  "submit: the head says what was planned",
		given: resubmits(submission(7, replanned(vm1, false)), func(w *world) { w.planned(7) }),
		jobs:  tellSeven, statements: 8,
	},
	{
		name:  "submit: as planned",
		given: resubmits(submission(7, replanned(vm1, true)), func(w *world) { agreed(w); w.ok(w.g.Choose(w.Context(), 7, w.chosen(vm1.Path), byAlice)) }),
		jobs:  tellSeven, statements: 8,
	},
	{
		name:  "decide: a name is free again",
		given: decides(vm1.Path, func(w *world) { waiting8(w); asked(w) }, refusal(refuses(12, bob, saying("too big")))),
		trail: `APPROVAL_REJECTED bob prod-shop-shop-redis-01 prod #7 ticket event {"why": "too big", "code": ""}`,
		jobs:  judgeEight + "\n" + tellSeven, statements: 12,
	},
	{
		name: "cancel: a name is free again",
		given: after(func(w *world) { waiting8(w); asked(w) }, func(w *world, g *Gateway) error {
			p := pullOf(7)
			p.State = "closed"
			return g.Cancel(w.Context(), p, 2, "the pull request was closed")
		}),
		trail: `REQUEST_CANCELLED shepherd prod-shop-shop-redis-01 prod #7 ticket event {"why": "the pull request was closed", "code": ""}`,
		jobs:  judgeEight + "\n" + tellSeven, statements: 13,
	},
	{
		name:  "take over",
		given: takesOver(rivals, twin),
		trail: `REQUEST_CANCELLED alice prod-shop-shop-redis-01 prod #7 ticket event {"why": "taken over by #8, which was approved first", "code": "SUPERSEDED"}
CLAIM_TAKEN_OVER alice prod-shop-shop-redis-01 prod #8 {"from": [7]}`,
		jobs: judgeSeven, statements: 16,
	},
	{
		name: "take over: from two, with others waiting",
		given: takesOver(func(w *world) {
			w.pull(9)
			w.pull(10)
			half := newVM(1)
			half.Claims = half.Claims[:1]
			w.submit(7, half)
			rest := newVM(2)
			rest.Claims = append(rest.Claims, vm1.Claims[1])
			w.submit(9, rest)
			w.submit(10, newVM(2, taken))
		}, newVM(1, contested(7, 9))),
		trail: `REQUEST_CANCELLED alice prod-shop-shop-redis-02 prod #9 ticket event {"why": "taken over by #8, which was approved first", "code": "SUPERSEDED"}
REQUEST_CANCELLED alice prod-shop-shop-redis-01 prod #7 ticket event {"why": "taken over by #8, which was approved first", "code": "SUPERSEDED"}
CLAIM_TAKEN_OVER alice prod-shop-shop-redis-01 prod #8 {"from": [7, 9]}`,
		jobs: `judge_pull_request default {"number": 9}` + "\n" + judgeSeven + "\n" + `judge_pull_request default {"number": 10}`, statements: 24,
	},
	{
		name:    "take over: approved meanwhile",
		given:   takesNothing(func(w *world) { rivals(w); w.decide(vm1.Path, approval(approves(11, alice))) }, twin),
		nothing: true, statements: 4,
	},
	{
		name: "take over: merged meanwhile",
		given: takesNothing(func(w *world) {
			rivals(w)
			w.approved(7, vm1)
			w.ok(w.g.Merge(w.Context(), w.span(7, "c0", "c1", vm1)))
		}, twin),
		nothing: true, statements: 1,
	},
	{
		name:    "take over: freed meanwhile",
		given:   takesNothing(func(w *world) { rivals(w); w.submit(7) }, twin),
		nothing: true, statements: 3,
	},
	{
		name: "take over: held by another one by now",
		given: takesNothing(func(w *world) {
			w.pull(9)
			rivals(w)
			w.submit(7)
			w.submit(9, vm1)
		}, twin),
		nothing: true, statements: 3,
	},
	{
		name:    "take over: held by what needs no approval",
		given:   takesNothing(func(w *world) { w.submit(7, newVM(1, free)) }, twin),
		nothing: true, statements: 4,
	},
	{
		name: "choose",
		given: after(agreed, func(w *world, g *Gateway) error {
			return g.Choose(w.Context(), 7, w.chosen(vm1.Path), byAlice)
		}),
		trail: `APPROVAL_WITHDRAWN shepherd prod-shop-shop-redis-01 prod #7 ticket event {"why": "alice changed the plan"}
PLAN_CHANGED alice prod-shop-shop-redis-01 prod #7 ticket event {"reason": "medium is phased out", "cluster": "", "modifiedSpec": {"disk": "200Gi", "size": "large", "template": "ubuntu"}, "storageClass": "", "templateVersion": 0}`,
		jobs: judgeSeven, statements: 9,
	},
	{
		name: "choose: much is left out",
		given: after(asked, func(w *world, g *Gateway) error {
			return g.Choose(w.Context(), 7, w.chosen(vm1.Path, func(c *Choice) {
				c.Planned.Cluster, c.Planned.StorageClass, c.Planned.TemplateVersion = "west", "slow", 2
				c.Dropped = []string{"disks", "networks", "power", "reason", "sshKeys"}
			}), byAlice)
		}),
		trail: `PLAN_CHANGED alice prod-shop-shop-redis-01 prod #7 ticket event {"reason": "medium is phased out", "cluster": "west", "dropped": ["disks", "networks", "power", "reason", "sshKeys"], "warning": "5 fields of the request are left out", "modifiedSpec": {"disk": "200Gi", "size": "large", "template": "ubuntu"}, "storageClass": "slow", "templateVersion": 2}`,
		jobs:  judgeSeven, statements: 7,
	},
	{
		name: "choose: for a batch, of which one is decided",
		given: after(func(w *world) { w.submit(7, vm1, vm2); w.decide(vm2.Path, refusal(refuses(12, bob))) }, func(w *world, g *Gateway) error {
			return expected(g.Choose(w.Context(), 7, append(w.chosen(vm1.Path), w.chosen(vm2.Path)...), byAlice), isMoved)
		}),
		nothing: true, statements: 5,
	},
	{
		name: "choose: merged meanwhile",
		given: after(gone, func(w *world, g *Gateway) error {
			return expected(g.Choose(w.Context(), 7, w.chosen(vm1.Path), byAlice), isMoved)
		}),
		nothing: true, statements: 1,
	},
	{
		name:  "confirm",
		given: confirms(func(w *world) { w.submit(7, onVM("DELETE_VM", 1)) }, word(7, onVM("DELETE_VM", 1))),
		trail: `DELETION_CONFIRMED ada prod-shop-shop-redis-01 prod #7 {"path": "systems/shop/redis/prod-shop/01.yaml", "digest": "delete_vm-01"}`, statements: 5,
	},
	{
		name: "confirm: again",
		given: func(w *world) func(*Gateway) error {
			c := word(7, onVM("DELETE_VM", 1))
			w.ok(w.g.Confirm(w.Context(), c))
			return func(g *Gateway) error { return g.Confirm(w.Context(), c) }
		},
		nothing: true, statements: 2,
	},
	{
		name:    "confirm: after the merge",
		given:   confirms(gone, word(7, onVM("DELETE_VM", 1))),
		nothing: true, statements: 2,
	},
	{
		name:  "hold",
		given: after(asked, func(w *world, g *Gateway) error { return g.Hold(w.Context(), 7, byAlice, true) }),
		trail: "HOLD_PLACED alice #7", jobs: tellSeven, statements: 6,
	},
	{
		name: "hold: no more",
		given: after(func(w *world) { asked(w); w.ok(w.g.Hold(w.Context(), 7, byAlice, true)) }, func(w *world, g *Gateway) error {
			return g.Hold(w.Context(), 7, byAda, false)
		}),
		trail: "HOLD_RELEASED ada #7", jobs: tellSeven, statements: 6,
	},
	{
		name:    "hold: after the merge",
		given:   after(gone, func(w *world, g *Gateway) error { return g.Hold(w.Context(), 7, byAlice, true) }),
		nothing: true, statements: 2,
	},
	{
		name:  "want",
		given: wants(7, func(*world) {}),
		jobs:  judgeSeven, statements: 4,
	},
	{
		name:  "want: one that is not known",
		given: wants(99, func(*world) {}),
		jobs:  `judge_pull_request default {"number": 99}`, statements: 4,
	},
	{
		name:  "want: while a judging waits",
		given: wants(7, func(w *world) { w.sql("update pull_requests set queued = true") }), statements: 3,
	},
	{
		name: "want: nobody's", given: wants(0, func(*world) {}), nothing: true, statements: 1,
	},
	{
		name: "wake those whom a person concerns",
		given: after(func(w *world) { asked(w); w.submit(8, vm2) }, func(w *world, g *Gateway) error {
			return g.db.InTx(w.Context(), func(ctx context.Context, tx *store.Tx) error { return WakeAbout(ctx, tx, g.queue, ada.ID) })
		}),
		jobs: judgeSeven + "\n" + judgeEight, statements: 6,
	},
	{
		name: "tell",
		given: func(w *world) func(*Gateway) error {
			return func(g *Gateway) error {
				return g.db.InTx(w.Context(), func(ctx context.Context, tx *store.Tx) error { return Tell(ctx, tx, g.queue, 7) })
			}
		},
		jobs: tellSeven, statements: 3,
	},
}

func takesOver(before func(*world), c judge.Change) func(*world) func(*Gateway) error {
	return after(before, func(w *world, g *Gateway) error { return g.TakeOver(w.Context(), 8, Taking{c, byAlice}) })
}

func takesNothing(before func(*world), c judge.Change) func(*world) func(*Gateway) error {
	return after(before, func(w *world, g *Gateway) error {
		return expected(g.TakeOver(w.Context(), 8, Taking{c, byAlice}), isMoved)
	})
}

func confirms(before func(*world), c Confirmed) func(*world) func(*Gateway) error {
	return after(before, func(w *world, g *Gateway) error { return g.Confirm(w.Context(), c) })
}

func wants(number int, before func(*world)) func(*world) func(*Gateway) error {
	return after(before, func(w *world, g *Gateway) error {
		return g.db.InTx(w.Context(), func(ctx context.Context, tx *store.Tx) error { return Want(ctx, tx, g.queue, number) })
	})
}

// planned brings #7 to where its change waits as an approver planned it, with git not there yet.
func (w *world) planned(number int) {
	w.Helper()
	w.approved(number, vm1)
	w.ok(w.g.Choose(w.Context(), number, w.chosen(vm1.Path), byAlice))
	w.submit(number, replanned(vm1, true))
}
