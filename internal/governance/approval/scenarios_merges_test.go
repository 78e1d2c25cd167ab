package approval

import (
	"errors"
	"strings"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/judge"
)

var (
	goneVM      = onVM(domain.DeleteVM, 1)
	goneService = removes(newService(0), domain.DeleteService)
	// leaving is a service with its machine, both merged to be removed by #8.
	leaving = func(w *world) {
		w.running(7, "c0", "c1", vm1)
		w.removed(8, "c1", "c2", goneVM, goneService)
	}
)

// merges8 merges changes by #8, after others.
func merges8(before func(*world), from, to string, changes ...judge.Change) func(*world) func(*Gateway) error {
	return after(before, func(w *world, g *Gateway) error { return g.Merge(w.Context(), w.span(8, from, to, changes...)) })
}

func refuses8(before func(*world), from, to string, changes ...judge.Change) func(*world) func(*Gateway) error {
	merge := merges8(before, from, to, changes...)
	return func(w *world) func(*Gateway) error {
		run := merge(w)
		return func(g *Gateway) error { return expected(run(g), isMoved) }
	}
}

func removesService(w *world, g *Gateway) error {
	return g.Remove(w.Context(), w.ticket(goneService.Path).EventID)
}

func retries(w *world, g *Gateway) error {
	_, err := g.Retry(w.Context(), 7, byAlice, anybody)
	return err
}

// merges are what happens at a merge and after it, besides the creation of machines.
var merges = []scenario{
	{
		name:  "merge: rules",
		given: merges8(func(w *world) { asked(w); w.approved(8, ofPlatform("medium"), ofPlatform("large")) }, "c0", "c1", ofPlatform("medium"), ofPlatform("large")),
		trail: `CHANGE_ACCEPTED shepherd medium #8 ticket event {"commit": "c1", "digest": "digest-size-medium", "operation": "CHANGE_PLATFORM"}
EXECUTION_COMPLETED shepherd medium #8 ticket event
CHANGE_ACCEPTED shepherd large #8 ticket event {"commit": "c1", "digest": "digest-size-large", "operation": "CHANGE_PLATFORM"}
EXECUTION_COMPLETED shepherd large #8 ticket event
PLATFORM_MOVED ada platform #8 {"commit": "c1"}`,
		jobs: tellEight + "\n" + judgeSeven, statements: 30,
	},
	{
		name: "merge: rules of which one did not pass",
		given: after(func(w *world) { w.approved(8, ofPlatform("medium")) }, func(w *world, g *Gateway) error {
			s := w.span(8, "c0", "c1", ofPlatform("medium"))
			large := ofPlatform("large")
			s.Quarantined = []Quarantined{{Path: large.Path, Subject: large.Subject, Operation: large.Operation, Code: domain.ApprovalBypassed, Message: "nobody approved it"}}
			return expected(g.Merge(w.Context(), s), func(err error) bool { return strings.Contains(err.Error(), "a platform moves as a whole") })
		}),
		nothing: true, statements: 15,
	},
	{
		name: "merge: removals",
		given: after(func(w *world) {
			w.running(7, "c0", "c1", newService(0), vm1)
			w.approved(8, goneVM, goneService)
			w.confirm(8, goneVM)
			w.confirm(8, goneService)
		}, func(w *world, g *Gateway) error {
			s := w.span(8, "c1", "c2", goneVM, goneService)
			s.Merged[0].Change.Confirmed, s.Merged[1].Change.Confirmed = "ada", "ada"
			return g.Merge(w.Context(), s)
		}),
		trail: `CHANGE_ACCEPTED shepherd prod-shop-shop-redis-01 prod #8 ticket event {"commit": "c2", "digest": "delete_vm-01", "operation": "DELETE_VM", "confirmedBy": "ada"}
CHANGE_ACCEPTED shepherd shop/redis #8 ticket event {"rule": "DELETE_SERVICE", "commit": "c2", "digest": "digest-redis-gone", "operation": "DELETE_SERVICE", "confirmedBy": "ada"}`,
		jobs: tellEight + `
event_job cluster_east {"event_id": "<id>"}
event_job default {"event_id": "<id>"}`, statements: 25,
	},
	{
		name: "merge: a removal that nobody confirmed",
		given: refuses8(func(w *world) {
			w.running(7, "c0", "c1", vm1)
			w.approved(8, goneVM)
		}, "c1", "c2", goneVM),
		nothing: true, statements: 3,
	},
	{
		name: "merge: a removal that was confirmed as another one",
		given: refuses8(func(w *world) {
			w.running(7, "c0", "c1", vm1)
			w.approved(8, goneVM)
			w.confirm(8, onVM(domain.DeleteVM, 1, digest("delete-otherwise")))
			w.confirm(8, onVM(domain.DeleteVM, 2, digest(goneVM.Digest)))
			w.confirm(7, goneVM)
			w.ok(w.g.Confirm(w.Context(), word(9, goneVM)))
		}, "c1", "c2", goneVM),
		nothing: true, statements: 3,
	},
	{
		name: "merge: modify, without an approval",
		given: merges8(func(w *world) {
			w.running(7, "c0", "c1", vm1)
			w.submit(8, onVM(domain.RestartVM, 1, free))
		}, "c1", "c2", onVM(domain.RestartVM, 1, free)),
		trail: `CHANGE_ACCEPTED shepherd prod-shop-shop-redis-01 prod #8 ticket event {"rule": "RESTART_VM", "commit": "c2", "digest": "restart_vm-01", "operation": "RESTART_VM"}`,
		jobs:  tellEight + "\n" + `event_job cluster_east {"event_id": "<id>"}`, statements: 18,
	},
	{
		name:  "merge: as planned",
		given: merges8(func(w *world) { w.planned(8); w.agreedAsPlanned(8) }, "c0", "c1", replanned(vm1, false)),
		trail: `CHANGE_ACCEPTED shepherd prod-shop-shop-redis-01 prod #8 ticket event {"commit": "c1", "digest": "digest-01-planned", "operation": "CREATE_VM"}`,
		jobs:  tellEight + "\n" + `event_job cluster_east {"event_id": "<id>"}`, statements: 17,
	},
	{
		name:    "merge: as asked for, which was planned otherwise",
		given:   refuses8(func(w *world) { w.planned(8); w.agreedAsPlanned(8) }, "c0", "c1", vm1),
		nothing: true, statements: 3,
	},
	{
		name:  "merge: a console",
		given: merges8(func(w *world) { w.approved(8, console(vm1.Subject, "ada")) }, "c0", "c1", console(vm1.Subject, "ada")),
		trail: `CHANGE_ACCEPTED shepherd prod-shop-shop-redis-01 prod #8 ticket event {"commit": "c1", "digest": "digest-console-ada", "operation": "VNC_ACCESS"}
CONSOLE_GRANTED ada prod-shop-shop-redis-01 prod #8 ticket event {"vm": "prod-shop-shop-redis-01", "until": "2026-11-23T14:00:00Z"}
EXECUTION_COMPLETED shepherd prod-shop-shop-redis-01 prod #8 ticket event`,
		jobs: tellEight, statements: 20,
	},
	{
		name: "merge: a console no more",
		given: merges8(func(w *world) {
			w.merged(7, "c0", "c1", console(vm1.Subject, "ada"))
			w.approved(8, consoleGone(vm1.Subject, "ada"))
		}, "c1", "c2", consoleGone(vm1.Subject, "ada")),
		trail: `CHANGE_ACCEPTED shepherd prod-shop-shop-redis-01 prod #8 ticket event {"commit": "c2", "digest": "digest-console-ada-gone", "operation": "VNC_ACCESS"}
CONSOLE_REVOKED ada prod-shop-shop-redis-01 prod #8 ticket event {"vm": "prod-shop-shop-redis-01", "grants": 1}
EXECUTION_COMPLETED shepherd prod-shop-shop-redis-01 prod #8 ticket event`,
		jobs: tellEight, statements: 19,
	},
	{
		name: "merge: a name is free again",
		given: after(func(w *world) {
			w.approved(7, newSystem(0), vm1)
			waiting8(w)
		}, func(w *world, g *Gateway) error { return g.Merge(w.Context(), w.span(7, "c0", "c1", newSystem(0))) }),
		trail: `CHANGE_ACCEPTED shepherd shop #7 ticket event {"rule": "create-system", "commit": "c1", "digest": "digest-shop", "operation": "CREATE_SYSTEM"}
EXECUTION_COMPLETED shepherd shop #7 ticket event
REQUEST_CANCELLED shepherd prod-shop-shop-redis-01 prod #7 ticket event {"why": "the pull request was merged without this change", "code": ""}`,
		jobs: judgeEight + "\n" + tellSeven, statements: 25,
	},
	{
		name: "merge: others lean on it",
		given: after(func(w *world) { w.submit(8, vm2); w.submit(7, newSystem(0)) }, func(w *world, g *Gateway) error {
			return g.Merge(w.Context(), w.span(7, "c0", "c1", newSystem(0)))
		}),
		trail: `CHANGE_ACCEPTED shepherd shop #7 ticket event {"rule": "create-system", "commit": "c1", "digest": "digest-shop", "operation": "CREATE_SYSTEM"}
EXECUTION_COMPLETED shepherd shop #7 ticket event`,
		jobs: tellSeven + "\n" + judgeEight, statements: 24,
	},
	{
		name: "absorb",
		given: after(func(w *world) { agreed(w); waiting8(w) }, func(w *world, g *Gateway) error {
			p := pullOf(7)
			p.State = "merged"
			return g.Absorb(w.Context(), p, "c1")
		}),
		trail: `REQUEST_CANCELLED shepherd prod-shop-shop-redis-01 prod #7 ticket event {"why": "the pull request was merged without this change", "code": ""}`,
		jobs:  tellSeven + "\n" + judgeEight, statements: 13,
	},
	{
		name:    "absorb: merged already",
		given:   after(gone, func(w *world, g *Gateway) error { return g.Absorb(w.Context(), pullOf(7), "c9") }),
		nothing: true, statements: 2,
	},
	{
		name: "start: a deletion",
		given: after(leaving, func(w *world, g *Gateway) error {
			_, err := g.Start(w.Context(), w.ticket(goneVM.Path).EventID)
			return err
		}),
		trail: `EXECUTION_STARTED shepherd prod-shop-shop-redis-01 prod #8 ticket event {"plan": "<id>", "cluster": "east", "sequence": 2}`, statements: 8,
	},
	{
		name: "start: out of turn",
		given: after(func(w *world) {
			w.merged(7, "c0", "c1", vm1)
			w.sql("delete from claims")
			w.merged(8, "c1", "c2", onVM(domain.StopVM, 1, free))
		}, func(w *world, g *Gateway) error {
			_, err := g.Start(w.Context(), w.ticket(vm1.Path).EventID)
			return expected(err, jobs.IsLater)
		}),
		nothing: true, statements: 6,
	},
	{
		name: "finish: a deletion",
		given: func(w *world) func(*Gateway) error {
			leaving(w)
			work := w.started(goneVM.Path)
			return func(g *Gateway) error {
				return g.Finish(w.Context(), work, Applied{Summary: "VirtualMachine: deleted"})
			}
		},
		trail: `EXECUTION_COMPLETED shepherd prod-shop-shop-redis-01 prod #8 ticket event {"uid": "", "cluster": "east", "objects": "VirtualMachine: deleted", "resourceVersion": ""}`,
		// Also #7, which has made the machine and not seen it run: that has an end now.
		jobs: `tell_pull_request default {"number": 7}` + "\n" + `verify_vm cluster_east {"event_id": "<id>"}` + "\n" + tellEight, statements: 12,
	},
	{
		name: "finish: a name is free again",
		given: func(w *world) func(*Gateway) error {
			waiting8(w)
			gone(w)
			w.judged()
			work := w.started(vm1.Path)
			return func(g *Gateway) error { return g.Finish(w.Context(), work, answer) }
		},
		trail: `EXECUTION_COMPLETED shepherd prod-shop-shop-redis-01 prod #7 ticket event {"uid": "uid-1", "cluster": "east", "objects": "VirtualMachine: created", "resourceVersion": "101"}`,
		jobs:  judgeEight + "\n" + `verify_vm cluster_east {"event_id": "<id>"}` + "\n" + tellSeven, statements: 15,
	},
	{
		name: "fail: a machine that was there, and a name is free again",
		given: after(func(w *world) {
			w.running(7, "c0", "c1", vm1)
			w.pull(9)
			w.submit(9, newVM(1, taken))
			w.merged(8, "c1", "c2", onVM(domain.ModifyVM, 1))
			w.judged()
			w.started(vm1.Path)
		}, func(w *world, g *Gateway) error { return g.Fail(w.Context(), w.ticket(vm1.Path).EventID, outOfQuota) }),
		trail: `EXECUTION_FAILED shepherd prod-shop-shop-redis-01 prod #8 ticket event {"code": "NAMESPACE_QUOTA_EXCEEDED", "cluster": "east", "message": "the quota is used up — ask for more"}`,
		jobs:  `judge_pull_request default {"number": 9}` + "\n" + tellEight, statements: 12,
	},
	{
		name: "start: too late, and a name is free again",
		given: after(func(w *world) { waiting8(w); gone(w); w.judged(); w.sql("update vms set applied_sequence = 2") }, func(w *world, g *Gateway) error {
			_, err := g.Start(w.Context(), w.ticket(vm1.Path).EventID)
			return expected(err, func(err error) bool { return errors.Is(err, ErrDone) })
		}),
		trail: `REQUEST_CANCELLED shepherd prod-shop-shop-redis-01 prod #7 ticket event {"why": "a later change of this VM was applied", "code": "SUPERSEDED"}`,
		jobs:  judgeEight + "\n" + tellSeven, statements: 12,
	},
	{
		name: "remove",
		given: after(func(w *world) {
			leaving(w)
			w.ok(w.g.Finish(w.Context(), w.started(goneVM.Path), Applied{}))
			w.pull(9)
			w.submit(9, newVM(1, taken))
		}, removesService),
		trail: `EXECUTION_COMPLETED shepherd shop/redis #8 ticket event`,
		jobs:  `judge_pull_request default {"number": 9}` + "\n" + tellEight, statements: 11,
	},
	{
		name:    "remove: something below it is under way",
		given:   after(leaving, func(w *world, g *Gateway) error { return expected(removesService(w, g), jobs.IsLater) }),
		nothing: true, statements: 4,
	},
	{
		name: "remove: a machine is left",
		given: after(func(w *world) {
			leaving(w)
			w.ok(w.g.Fail(w.Context(), w.started(goneVM.Path).Event.ID, outOfQuota))
		}, func(w *world, g *Gateway) error { return expected(removesService(w, g), jobs.IsTerminal) }),
		nothing: true, statements: 5,
	},
	{
		name: "remove: again",
		given: after(func(w *world) {
			leaving(w)
			w.ok(w.g.Finish(w.Context(), w.started(goneVM.Path), Applied{}))
			w.ok(removesService(w, w.g))
		}, func(w *world, g *Gateway) error {
			return expected(removesService(w, g), func(err error) bool { return errors.Is(err, ErrDone) })
		}),
		nothing: true, statements: 3,
	},
	{
		name: "fail: a removal",
		given: after(leaving, func(w *world, g *Gateway) error {
			return g.Fail(w.Context(), w.ticket(goneService.Path).EventID, restricted(goneService.Path, "shop/redis", []string{vm1.Subject}))
		}),
		trail: `EXECUTION_FAILED shepherd shop/redis #8 ticket event {"code": "DELETE_RESTRICTED", "cluster": "", "message": "1 of its virtual machines are still there: prod-shop-shop-redis-01 — see why shop/redis's machines could not be deleted"}`,
		jobs:  tellEight, statements: 8,
	},
	{
		name:  "retry",
		given: after(func(w *world) { w.failed(7, "c0", "c1", vm1) }, retries),
		trail: `EXECUTION_RETRIED alice prod-shop-shop-redis-01 prod #7 ticket event {"of": "<id>"}`,
		jobs:  `event_job cluster_east {"event_id": "<id>"}` + "\n" + tellSeven, statements: 14,
	},
	{
		name: "retry: again",
		given: after(func(w *world) {
			w.failed(7, "c0", "c1", vm1)
			w.retry(7, Retried{Subject: vm1.Subject})
		}, retries),
		jobs: tellSeven, statements: 5,
	},
	{
		name: "retry: a removal",
		given: after(func(w *world) {
			w.removed(7, "c0", "c1", goneService)
			w.ok(w.g.Fail(w.Context(), w.ticket(goneService.Path).EventID, outOfQuota))
		}, retries),
		trail: `EXECUTION_RETRIED alice shop/redis #7 ticket event {"of": "<id>"}`,
		jobs:  `event_job default {"event_id": "<id>"}` + "\n" + tellSeven, statements: 12,
	},
	{
		name:  "begin a restart",
		given: after(gone, func(w *world, g *Gateway) error { return beginsRestart(w, g, "run-1") }), statements: 2,
	},
	{
		name: "begin a restart: again",
		given: after(func(w *world) { gone(w); w.ok(beginsRestart(w, w.g, "run-1")) }, func(w *world, g *Gateway) error {
			return beginsRestart(w, g, "run-2")
		}),
		nothing: true, statements: 2,
	},
	{
		name: "end a restart",
		given: after(func(w *world) { gone(w); w.ok(beginsRestart(w, w.g, "run-1")) }, func(w *world, g *Gateway) error {
			return g.EndRestart(w.Context(), w.ticket(vm1.Path).EventID, "restarted")
		}),
		statements: 2,
	},
}

func beginsRestart(w *world, g *Gateway, run string) error {
	_, err := g.BeginRestart(w.Context(), w.ticket(vm1.Path).EventID, run)
	return err
}

// judged has all judgings begin that were asked for.
func (w *world) judged() {
	w.Helper()
	w.sql("update pull_requests set queued = false")
}

// agreedAsPlanned approves the plan that an approver made.
func (w *world) agreedAsPlanned(number int) {
	w.Helper()
	w.decide(vm1.Path, approval(approves(21, bob)))
}
