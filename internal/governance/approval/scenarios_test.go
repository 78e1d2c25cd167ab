package approval

import (
	"errors"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
)

// scenario is a transaction from a state of the database, with the trail and the jobs that it leaves.
type scenario struct {
	name string
	// given brings the database to where the transaction starts and returns the transaction.
	given      func(*world) func(*Gateway) error
	trail      string
	jobs       string
	nothing    bool // it changes nothing at all
	statements int  // at least so many
}

const tellSeven = `tell_pull_request default {"number": 7}`

func submits(s Submission) func(*world) func(*Gateway) error {
	return func(w *world) func(*Gateway) error {
		return func(g *Gateway) error { return g.Submit(w.Context(), s) }
	}
}

// after is a scenario whose transaction follows others.
func after(before func(*world), then func(w *world, g *Gateway) error) func(*world) func(*Gateway) error {
	return func(w *world) func(*Gateway) error {
		before(w)
		return func(g *Gateway) error { return then(w, g) }
	}
}

func resubmits(s Submission, before func(*world)) func(*world) func(*Gateway) error {
	return after(before, func(w *world, g *Gateway) error { return g.Submit(w.Context(), s) })
}

func decides(path string, before func(*world), o Outcome) func(*world) func(*Gateway) error {
	return after(before, func(w *world, g *Gateway) error { return g.Decide(w.Context(), 7, w.decided(path, o)) })
}

var (
	vm1, vm2, vm3 = newVM(1), newVM(2), newVM(3)
	asked         = func(w *world) { w.submit(7, vm1) }
	agreed        = func(w *world) { w.approved(7, vm1) }
	gone          = func(w *world) { w.merged(7, "c0", "c1", vm1) }
)

func drafted() Submission {
	s := submission(7, vm1)
	s.Pull.Draft, s.Report.Draft = true, true
	return s
}

func refused(s Submission) Submission {
	s.Vetoed = map[string]bool{vm1.Path: true}
	return s
}

var scenarios = []scenario{
	{
		name:  "submit: approval needed",
		given: submits(submission(7, newSystem(0), vm1, vm2)),
		trail: `REQUEST_SUBMITTED ada prod-shop-shop-redis-01 prod #7 ticket event {"head": "head1", "digest": "digest-01", "reason": "a <second> replica", "cluster": "east", "operation": "CREATE_VM"}
REQUEST_SUBMITTED ada prod-shop-shop-redis-02 prod #7 ticket event {"head": "head1", "digest": "digest-02", "reason": "a <second> replica", "cluster": "east", "operation": "CREATE_VM"}`,
		jobs: tellSeven, statements: 21,
	},
	{
		name:  "submit: another digest",
		given: resubmits(submission(7, newVM(1, digest("digest-other"))), agreed),
		trail: `REQUEST_CANCELLED shepherd prod-shop-shop-redis-01 prod #7 ticket event {"why": "the requested content changed", "code": "SUPERSEDED"}
REQUEST_SUBMITTED ada prod-shop-shop-redis-01 prod #7 ticket event {"head": "head1", "digest": "digest-other", "reason": "a <second> replica", "cluster": "east", "operation": "CREATE_VM"}`,
		jobs: tellSeven, statements: 12,
	},
	{
		name:  "submit: another plan",
		given: resubmits(submission(7, newVM(1, cluster("west"))), agreed),
		trail: `APPROVAL_WITHDRAWN shepherd prod-shop-shop-redis-01 prod #7 ticket event {"why": "the plan changed"}`,
		jobs:  tellSeven, statements: 7,
	},
	{
		name:  "submit: another plan before any approval",
		given: resubmits(submission(7, newVM(1, cluster("west"))), asked),
		jobs:  tellSeven, statements: 7,
	},
	{
		name:  "submit: no longer valid",
		given: resubmits(submission(7, newVM(1, invalid)), agreed),
		trail: `APPROVAL_WITHDRAWN shepherd prod-shop-shop-redis-01 prod #7 ticket event {"why": "the request is no longer valid: no such size"}`,
		jobs:  tellSeven, statements: 6,
	},
	{
		name:  "submit: now a draft",
		given: resubmits(drafted(), asked),
		trail: `REQUEST_CANCELLED shepherd prod-shop-shop-redis-01 prod #7 ticket event {"why": "the pull request is a draft or comes from a fork", "code": "SUPERSEDED"}`,
		jobs:  tellSeven, statements: 5,
	},
	{
		name: "submit: refused as it is",
		given: resubmits(refused(submission(7, vm1)), func(w *world) {
			w.submit(7, vm1)
			w.decide(vm1.Path, refusal(refuses(12, bob)))
		}),
		trail: "", jobs: tellSeven, statements: 5,
	},
	{
		name: "publish",
		given: after(asked, func(w *world, g *Gateway) error {
			return g.Publish(w.Context(), 7, planIDs(w, vm1.Path), published)
		}),
		trail: `PLAN_PUBLISHED shepherd #7 {"at": "2026-11-23T12:00:00Z", "plans": 1}`, statements: 3,
	},
	{
		name: "publish: again",
		given: after(func(w *world) { asked(w); w.publish(7, vm1.Path) }, func(w *world, g *Gateway) error {
			return g.Publish(w.Context(), 7, planIDs(w, vm1.Path), published.Add(1))
		}),
		nothing: true, statements: 2,
	},
	{
		name:  "decide: approve",
		given: decides(vm1.Path, asked, approval(approves(11, alice), approves(12, bob))),
		trail: `APPROVAL_APPROVED bob prod-shop-shop-redis-01 prod #7 ticket event {"by": ["alice", "bob"], "plan": "<id>"}`,
		jobs:  tellSeven, statements: 7,
	},
	{
		name:  "decide: reject",
		given: decides(vm1.Path, agreed, refusal(refuses(12, bob, saying("too big")))),
		trail: `APPROVAL_REJECTED bob prod-shop-shop-redis-01 prod #7 ticket event {"why": "too big", "code": ""}`,
		jobs:  tellSeven, statements: 6,
	},
	{
		name:  "decide: withdraw",
		given: decides(vm1.Path, agreed, Outcome{Status: domain.TicketPending}),
		trail: `APPROVAL_WITHDRAWN shepherd prod-shop-shop-redis-01 prod #7 ticket event {"why": "an approval no longer counts"}`,
		jobs:  tellSeven, statements: 6,
	},
	{
		name:    "decide: as before",
		given:   decides(vm1.Path, agreed, approval(approves(11, alice))),
		nothing: true, statements: 4,
	},
	{
		name: "cancel",
		given: after(func(w *world) { w.approved(7, vm1); w.submit(7, vm1, vm2) }, func(w *world, g *Gateway) error {
			p := pullOf(7)
			p.State = "closed"
			return g.Cancel(w.Context(), p, 2, "the pull request was closed")
		}),
		trail: `REQUEST_CANCELLED shepherd prod-shop-shop-redis-01 prod #7 ticket event {"why": "the pull request was closed", "code": ""}
REQUEST_CANCELLED shepherd prod-shop-shop-redis-02 prod #7 ticket event {"why": "the pull request was closed", "code": ""}`,
		jobs: tellSeven, statements: 9,
	},
	{
		name: "merge",
		given: after(func(w *world) { w.approved(7, newSystem(0), vm1, vm2, vm3) }, func(w *world, g *Gateway) error {
			s := w.span(7, "c0", "c1", newSystem(0), vm1)
			s.Quarantined = []Quarantined{{Path: vm2.Path, Subject: vm2.Subject, Environment: domain.Prod, Operation: domain.CreateVM, Digest: "digest-else", Code: domain.DigestMismatch, Message: "it is not what was approved"}}
			s.Redo = &jobs.PrepareRedo{From: "a", To: "b", Undo: 5}
			return g.Merge(w.Context(), s)
		}),
		trail: `CHANGE_ACCEPTED shepherd shop #7 ticket event {"rule": "create-system", "commit": "c1", "digest": "digest-shop", "operation": "CREATE_SYSTEM"}
EXECUTION_COMPLETED shepherd shop #7 ticket event
CHANGE_ACCEPTED shepherd prod-shop-shop-redis-01 prod #7 ticket event {"commit": "c1", "digest": "digest-01", "operation": "CREATE_VM"}
CHANGE_QUARANTINED ada prod-shop-shop-redis-02 prod #7 {"code": "DIGEST_MISMATCH", "path": "systems/shop/redis/prod-shop/02.yaml", "commit": "c1", "digest": "digest-else", "message": "it is not what was approved", "operation": "CREATE_VM"}
REQUEST_CANCELLED shepherd prod-shop-shop-redis-02 prod #7 ticket event {"why": "merged without it: it is not what was approved", "code": "DIGEST_MISMATCH"}
REQUEST_CANCELLED shepherd prod-shop-shop-redis-03 prod #7 ticket event {"why": "the pull request was merged without this change", "code": ""}`,
		jobs: tellSeven + `
event_job cluster_east {"event_id": "<id>"}
offer_undo default {"to": "c1", "from": "c0"}
prepare_redo default {"to": "b", "from": "a", "undo": 5}`,
		statements: 37,
	},
	{
		name: "merge: a push without a pull request",
		given: func(w *world) func(*Gateway) error {
			return func(g *Gateway) error {
				return g.Merge(w.Context(), Span{Repository: repositoryID, From: "c0", To: "c1", Pull: Pull{Author: pullOf(7).Author}, Quarantined: []Quarantined{
					{Path: vm1.Path, Subject: vm1.Subject, Environment: domain.Prod, Operation: domain.CreateVM, Digest: vm1.Digest, Code: domain.ApprovalBypassed, Message: "nobody approved it"},
				}})
			}
		},
		trail: `APPROVAL_BYPASSED ada prod-shop-shop-redis-01 prod #0 {"code": "APPROVAL_BYPASSED", "path": "systems/shop/redis/prod-shop/01.yaml", "commit": "c1", "digest": "digest-01", "message": "nobody approved it", "operation": "CREATE_VM"}`,
		jobs:  `offer_undo default {"to": "c1", "from": "c0"}`, statements: 4,
	},
	{
		name: "start",
		given: after(gone, func(w *world, g *Gateway) error {
			_, err := g.Start(w.Context(), w.ticket(vm1.Path).EventID)
			return err
		}),
		trail: `EXECUTION_STARTED shepherd prod-shop-shop-redis-01 prod #7 ticket event {"plan": "<id>", "cluster": "east", "sequence": 1}`, statements: 6,
	},
	{
		name: "start: again",
		given: after(func(w *world) { gone(w); w.started(vm1.Path) }, func(w *world, g *Gateway) error {
			_, err := g.Start(w.Context(), w.ticket(vm1.Path).EventID)
			return err
		}),
		nothing: true, statements: 7,
	},
	{
		name: "start: too late",
		given: after(func(w *world) { gone(w); w.sql("update vms set applied_sequence = 2") }, func(w *world, g *Gateway) error {
			if _, err := g.Start(w.Context(), w.ticket(vm1.Path).EventID); !errors.Is(err, ErrDone) {
				return errors.Join(err, errors.New("want ErrDone"))
			}
			return nil
		}),
		trail: `REQUEST_CANCELLED shepherd prod-shop-shop-redis-01 prod #7 ticket event {"why": "a later change of this VM was applied", "code": "SUPERSEDED"}`,
		jobs:  tellSeven, statements: 7,
	},
	{
		name: "finish",
		given: func(w *world) func(*Gateway) error {
			gone(w)
			work := w.started(vm1.Path)
			a := answer
			a.Namespace = "k-prod-shop"
			_, err := w.g.BeginNamespace(w.Context(), work)
			w.ok(err)
			return func(g *Gateway) error { return g.Finish(w.Context(), work, a) }
		},
		trail: `NAMESPACE_CREATED shepherd prod-shop-shop-redis-01 prod #7 ticket event {"cluster": "east", "namespace": "k-prod-shop"}
EXECUTION_COMPLETED shepherd prod-shop-shop-redis-01 prod #7 ticket event {"uid": "uid-1", "cluster": "east", "objects": "VirtualMachine: created", "resourceVersion": "101"}`,
		jobs: `verify_vm cluster_east {"event_id": "<id>"}
` + tellSeven, statements: 10,
	},
	{
		name: "finish: again",
		given: func(w *world) func(*Gateway) error {
			gone(w)
			work := w.started(vm1.Path)
			w.ok(w.g.Finish(w.Context(), work, answer))
			return func(g *Gateway) error { return g.Finish(w.Context(), work, answer) }
		},
		nothing: true, statements: 2,
	},
	{
		name: "fail",
		given: after(func(w *world) { gone(w); w.started(vm1.Path) }, func(w *world, g *Gateway) error {
			return g.Fail(w.Context(), w.ticket(vm1.Path).EventID, outOfQuota)
		}),
		trail: `EXECUTION_FAILED shepherd prod-shop-shop-redis-01 prod #7 ticket event {"code": "NAMESPACE_QUOTA_EXCEEDED", "cluster": "east", "message": "the quota is used up — ask for more"}`,
		jobs:  tellSeven, statements: 8,
	},
	{
		name: "fail: again",
		given: after(func(w *world) {
			gone(w)
			w.ok(w.g.Fail(w.Context(), w.ticket(vm1.Path).EventID, outOfQuota))
		}, func(w *world, g *Gateway) error {
			return g.Fail(w.Context(), w.ticket(vm1.Path).EventID, domain.Problem{Code: domain.ForeignVM, Message: "another reason"})
		}),
		nothing: true, statements: 2,
	},
	{
		name: "observe",
		given: after(gone, func(w *world, g *Gateway) error {
			return g.Observe(w.Context(), w.ticket(vm1.Path).EventID, domain.VMRunning, "it runs")
		}),
		trail: `VM_OBSERVED shepherd prod-shop-shop-redis-01 prod #7 ticket event {"status": "RUNNING", "message": "it runs"}`,
		jobs:  tellSeven, statements: 5,
	},
	{
		name: "observe: as before",
		given: after(gone, func(w *world, g *Gateway) error {
			return g.Observe(w.Context(), w.ticket(vm1.Path).EventID, domain.VMCreating, "")
		}),
		nothing: true, statements: 5,
	},
	{
		name: "observe: it is gone, and somebody waits for room",
		given: after(func(w *world) {
			w.running(7, "c0", "c1", vm1)
			w.removed(8, "c1", "c2", goneVM)
			w.ok(w.g.Finish(w.Context(), w.started(vm1.Path), Applied{Summary: "deleted"}))
			w.pull(9)
			w.submit(9, newVM(6, crowded))
			w.judged()
		}, func(w *world, g *Gateway) error {
			return g.Observe(w.Context(), w.ticket(vm1.Path).EventID, domain.VMDeleted, "")
		}),
		trail:      `VM_OBSERVED shepherd prod-shop-shop-redis-01 prod #8 ticket event {"status": "DELETED", "message": ""}`,
		jobs:       "judge_pull_request default {\"number\": 9}\ntell_pull_request default {\"number\": 8}",
		statements: 9,
	},
	{
		name: "wait",
		given: after(gone, func(w *world, g *Gateway) error {
			return g.Wait(w.Context(), w.ticket(vm1.Path).EventID, outOfQuota)
		}),
		jobs: tellSeven, statements: 4,
	},
	{
		name: "wait: for the same as before",
		given: after(func(w *world) {
			gone(w)
			w.ok(w.g.Wait(w.Context(), w.ticket(vm1.Path).EventID, outOfQuota))
		}, func(w *world, g *Gateway) error {
			return g.Wait(w.Context(), w.ticket(vm1.Path).EventID, outOfQuota)
		}),
		nothing: true, statements: 1,
	},
	{
		name: "recognise",
		given: after(func(*world) {}, func(w *world, g *Gateway) error {
			return g.Recognise(w.Context(), "c0", []Recognised{{Change: vm1, UID: "uid-1", Sequence: 3}}, audit.Actor{ID: 104, Login: "dave"})
		}),
		trail:      `VM_RECOGNISED dave prod-shop-shop-redis-01 prod #0 {"uid": "uid-1", "commit": "c0", "cluster": "east", "sequence": 3}`,
		statements: 7,
	},
	{
		name: "recognise: a later change of one that is known",
		given: after(func(w *world) {
			w.ok(w.g.Recognise(w.Context(), "c0", []Recognised{{Change: vm1, UID: "uid-1", Sequence: 3}}, audit.Actor{ID: 104, Login: "dave"}))
		}, func(w *world, g *Gateway) error {
			return g.Recognise(w.Context(), "c1", []Recognised{{Change: vm1, UID: "uid-1", Sequence: 5}}, audit.Actor{ID: 104, Login: "dave"})
		}),
		trail:      `VM_RECOGNISED dave prod-shop-shop-redis-01 prod #0 {"uid": "uid-1", "commit": "c1", "cluster": "east", "sequence": 5}`,
		statements: 6,
	},
	{
		name: "recognise: one that is known",
		given: after(gone, func(w *world, g *Gateway) error {
			return g.Recognise(w.Context(), "c1", []Recognised{{Change: vm1, UID: "uid-2", Sequence: 9}}, audit.Actor{ID: 104, Login: "dave"})
		}),
		nothing: true, statements: 1,
	},
}

var outOfQuota = domain.Problem{Code: domain.NamespaceQuotaExceeded, Message: "the quota is used up", Hint: "ask for more"}
