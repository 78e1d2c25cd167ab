package approval

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
)

func (w *world) same(what string, want, got any) {
	w.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		w.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// noClusterJobs holds that nothing which changes a cluster is queued.
func (w *world) noClusterJobs() {
	w.Helper()
	if jobs := w.texts(`select kind from river_job where kind <> 'tell_pull_request'`); len(jobs) != 0 {
		w.Errorf("queued before its time: %v", jobs)
	}
}

func TestSubmitWritesTheRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.submit(7, newSystem(0), vm1)
	w.same("tickets", []string{"prod-shop-shop-redis-01 PENDING_APPROVAL PENDING"}, w.states(7))
	w.same("claims", []string{"index:redis/01 #7", "system:shop #7", "vm:prod-shop-shop-redis-01 #7"}, w.claims())
	w.noClusterJobs()

	got := w.ticket(vm1.Path)
	type facts struct {
		Operation, Environment, System, Service, Namespace, Instance, Requester, Reason, Digest, Cluster, Class string
		Version, Required, Claims                                                                               int
	}
	w.same("ticket", facts{"CREATE_VM", "prod", "shop", "redis", "prod-shop", "01", "ada", "a <second> replica", "digest-01", "east", "fast", 3, 1, 2},
		facts{got.Operation, got.Environment, got.System, got.Service, got.Namespace, got.Instance, got.RequesterLogin, got.Reason, got.ChangeDigest,
			got.SelectedCluster, got.SelectedStorageClass, got.SelectedTemplateVersion, got.ApprovalsRequired, len(got.Edges.Claims)})
	if !json.Valid(got.Verdict) || !strings.Contains(string(got.Verdict), `"rule"`) {
		t.Errorf("the verdict is %s", got.Verdict)
	}

	e := got.Edges.Event
	w.same("event", []string{domain.VMCreationRequested, vm1.Subject, "ada", "0"}, []string{e.Type, e.Subject, e.RequestedByLogin, fmt.Sprint(e.Sequence)})
	payload, err := ParsePayload(e.Payload)
	w.ok(err)
	w.same("payload", Payload{Operation: domain.CreateVM, Ref: vm1.Ref, Environment: domain.Prod, Wanted: payload.Wanted, Digest: vm1.Digest}, payload)
	var wanted, asked any
	w.ok(json.Unmarshal(payload.Wanted, &wanted))
	w.ok(json.Unmarshal(vm1.Wanted, &asked))
	w.same("wanted", asked, wanted)

	p := got.Edges.Plan
	w.same("plan", []any{"effective-01", "east", "k-prod-shop", "ubuntu", 3, []string{"head1"}},
		[]any{p.EffectiveDigest, p.Cluster, p.KubernetesNamespace, p.Template, p.TemplateVersion, []string{p.Edges.Heads[0].Sha}})
	if p.PublishedAt != nil || p.TemplateSnapshot["status"] != "active" || p.SizeSnapshot["memory"] != "4Gi" {
		t.Errorf("the plan is %v", p)
	}
	manifests, err := json.Marshal(vm1.Plan.Manifests)
	w.ok(err)
	w.same("manifests", string(manifests), string(p.Manifests))

	row, err := w.db.PullRequest.Get(t.Context(), 7)
	w.ok(err)
	w.same("pull request", []any{"more redis", "ada", "head1", "main", int64(1)}, []any{row.Title, row.AuthorLogin, row.HeadSha, row.BaseRef, row.Judged})
	var report judge.Report
	w.ok(json.Unmarshal(row.Report, &report))
	w.same("paths", []string{systemRef.Path(), vm1.Path}, []string{report.Changes[0].Path, report.Changes[1].Path})
}

// The same again, on another head: the plan is now known there, and nothing else moves.
func TestSubmitAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.approved(7, vm1)
	before := w.ticket(vm1.Path)
	trail := w.last("audit_log")
	claims := w.texts("select c::text from claims c order by id")
	moved := submission(7, vm1)
	moved.Report.Head, moved.Pull.HeadSHA, moved.Judged = "head2", "head2", 2
	for range 2 {
		w.ok(w.g.Submit(t.Context(), moved))
	}
	got := w.ticket(vm1.Path)
	var heads []string
	for _, h := range got.Edges.Plan.Edges.Heads {
		heads = append(heads, h.Sha)
	}
	w.same("heads", []string{"head1", "head2"}, heads)
	w.same("ids", []any{before.ID, before.EventID, before.PlanID, ticket.StatusAPPROVED}, []any{got.ID, got.EventID, got.PlanID, got.Status})
	w.same("payload", string(before.Edges.Event.Payload), string(got.Edges.Event.Payload))
	w.same("trail", "", w.trail(trail))
	w.same("plans", []string{"1"}, w.texts("select count(*)::text from plans"))
	w.same("claims", claims, w.texts("select c::text from claims c order by id"))
	w.noClusterJobs()
}

func TestSubmitAnotherDigest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.approved(7, vm1)
	w.submit(7, newVM(1, digest("digest-other")))
	w.same("tickets", []string{
		"prod-shop-shop-redis-01 CANCELLED CANCELLED SUPERSEDED", "prod-shop-shop-redis-01 PENDING_APPROVAL PENDING",
	}, w.states(7))
	w.same("claims", []string{"index:redis/01 #7", "vm:prod-shop-shop-redis-01 #7"}, w.claims())
	w.noClusterJobs()
	// The content comes back: it is a new request all the same.
	w.submit(7, vm1)
	w.same("last", "prod-shop-shop-redis-01 PENDING_APPROVAL PENDING", w.states(7)[2])
}

func TestSubmitAnotherPlan(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.approved(7, vm1)
	before := w.ticket(vm1.Path)
	change := newVM(1, cluster("west"))
	change.Verdict.Rule = "another rule"
	change.Requirement.Approvals = 2
	w.submit(7, change)
	got := w.ticket(vm1.Path)
	w.same("ticket", []any{before.ID, ticket.StatusPENDING_APPROVAL, "west", "the plan changed", 2, int64(0)},
		[]any{got.ID, got.Status, got.SelectedCluster, got.Decision, got.ApprovalsRequired, got.DecidedBy})
	if got.PlanID == before.PlanID || got.DecidedAt != nil {
		t.Errorf("the plan and the decision stayed: %v", got)
	}
	if !strings.Contains(string(got.Verdict), "another rule") {
		t.Errorf("the verdict is of the old plan: %s", got.Verdict)
	}
	// What was weighed against the old plan is void.
	w.ok(w.g.Decide(t.Context(), 7, []Decided{{Ticket: got.ID, Path: got.Path, Plan: before.PlanID, Outcome: approval(approves(12, bob))}}))
	w.same("tickets", []string{"prod-shop-shop-redis-01 PENDING_APPROVAL PENDING"}, w.states(7))
	w.same("payload", string(before.Edges.Event.Payload), string(got.Edges.Event.Payload))
}

// A change that is only recorded can be approved as well, and stays so.
func TestSubmitRecordOnly(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.approved(7, newSystem(1))
	w.submit(7, newSystem(1))
	w.same("tickets", []string{"shop APPROVED PENDING"}, w.states(7))
	s := w.span(7, "c0", "c1", newSystem(1))
	w.ok(w.g.Merge(t.Context(), s))
	w.same("tickets", []string{"shop COMPLETED COMPLETED"}, w.states(7))
	w.same("claims", []string(nil), w.claims())
}

func TestSubmitInvalid(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.submit(7, newVM(1, invalid), vm2)
	w.same("nothing of an invalid batch is submitted", []string(nil), w.states(7))
	w.same("claims", []string(nil), w.claims())

	w.approved(7, vm1, vm2, newSystem(0))
	// The change itself is invalid now: its ticket waits and keeps its names; what has no ticket loses them.
	w.submit(7, newVM(1, invalid), vm2, newSystem(0))
	w.same("tickets", []string{"prod-shop-shop-redis-01 PENDING_APPROVAL PENDING", "prod-shop-shop-redis-02 APPROVED PENDING"}, w.states(7))
	w.same("claims", []string{"index:redis/01 #7", "index:redis/02 #7", "vm:prod-shop-shop-redis-01 #7", "vm:prod-shop-shop-redis-02 #7"}, w.claims())
	// What cannot be planned, for whatever reason, waits too.
	w.submit(7, newVM(1), newVM(2, func(c *judge.Change) { c.Plan = nil }), newSystem(0))
	w.same("decision", "the request is no longer valid: it cannot be planned", w.ticket(vm2.Path).Decision)
	// A change that is gone loses its ticket even when the rest is invalid.
	w.submit(7, newVM(1, invalid))
	w.same("tickets", []string{"prod-shop-shop-redis-01 PENDING_APPROVAL PENDING", "prod-shop-shop-redis-02 CANCELLED CANCELLED SUPERSEDED"}, w.states(7))
	w.same("claims", []string{"index:redis/01 #7", "vm:prod-shop-shop-redis-01 #7"}, w.claims())
	// Drafts and forks reserve nothing.
	for _, edit := range []func(*judge.Report){func(r *judge.Report) { r.Draft = true }, func(r *judge.Report) { r.Fork = true }} {
		w.submit(7, vm1)
		s := submission(7, vm1)
		edit(&s.Report)
		w.ok(w.g.Submit(t.Context(), s))
		w.same("open tickets", []string{"0"}, w.texts("select count(*)::text from tickets where status in ('PENDING_APPROVAL', 'APPROVED')"))
		w.same("claims", []string(nil), w.claims())
	}
	w.noClusterJobs()
}

// A change that was refused is not asked for again as it is; as another one it is.
func TestSubmitVetoed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.submit(7, vm1, vm2)
	w.decide(vm1.Path, refusal(refuses(12, bob, saying("not now"))))
	w.same("claims", []string{"index:redis/02 #7", "vm:prod-shop-shop-redis-02 #7"}, w.claims())
	w.ok(w.g.Submit(t.Context(), refused(submission(7, vm1, vm2))))
	w.same("tickets", []string{"prod-shop-shop-redis-01 REJECTED CANCELLED", "prod-shop-shop-redis-02 PENDING_APPROVAL PENDING"}, w.states(7))
	w.same("claims", []string{"index:redis/02 #7", "vm:prod-shop-shop-redis-02 #7"}, w.claims())

	w.ok(w.g.Submit(t.Context(), refused(submission(7, newVM(1, digest("digest-other")), vm2))))
	w.same("last", "prod-shop-shop-redis-01 PENDING_APPROVAL PENDING", w.states(7)[2])

	w.submit(7, vm1, vm2) // the veto is gone
	w.same("last", "prod-shop-shop-redis-01 PENDING_APPROVAL PENDING", w.states(7)[3])
}

func TestSubmitClaimed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.submit(7, vm1)
	twin := newVM(2)
	twin.Claims = append(twin.Claims, vm1.Claims[0])
	before := w.dump()
	// The path is taken, one key of many is taken, and a change without a ticket has taken it.
	for what, c := range map[string]judge.Change{"path": vm1, "key": twin, "free": newVM(1, free)} {
		if err := w.g.Submit(t.Context(), submission(8, newSystem(0), c)); !errors.Is(err, ErrClaimed) || !errors.Is(err, ErrMoved) {
			t.Errorf("%s: got %v", what, err)
		}
		w.same(what, before, w.dump())
	}
	w.decide(vm1.Path, approval(approves(11, alice)))
	if err := w.g.Submit(t.Context(), submission(8, vm1)); !errors.Is(err, ErrClaimed) {
		t.Errorf("approved elsewhere: got %v", err)
	}
	w.submit(7) // gone from there
	w.submit(8, vm1)
	w.same("claims", []string{"index:redis/01 #8", "vm:prod-shop-shop-redis-01 #8"}, w.claims())
}

// Of many pull requests that ask for one name at the same time, one gets it.
func TestSubmitRace(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]judge.Change{"with tickets": vm1, "without": newVM(1, free)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			const many = 20
			errs := make([]error, many)
			var wg sync.WaitGroup
			for i := range many {
				w.pull(100 + i)
				wg.Go(func() { errs[i] = w.g.Submit(t.Context(), submission(100+i, change)) })
			}
			wg.Wait()
			winner := 0
			for i, err := range errs {
				switch {
				case err == nil && winner == 0:
					winner = 100 + i
				case !errors.Is(err, ErrClaimed):
					t.Errorf("#%d: %v", 100+i, err)
				}
			}
			w.same("claims", []string{fmt.Sprintf("index:redis/01 #%d", winner), fmt.Sprintf("vm:prod-shop-shop-redis-01 #%d", winner)}, w.claims())
			w.same("judged", []string{fmt.Sprint(winner)}, w.texts("select id::text from pull_requests where judged > 0"))
			if name == "with tickets" {
				w.same("tickets", []string{fmt.Sprint(winner)}, w.texts("select pull_request::text from tickets"))
			}
		})
	}
}

func TestPublish(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.submit(7, vm1, vm2)
	if err := w.g.Publish(t.Context(), 7, nil, published); err != nil {
		t.Error(err)
	}
	w.ok(w.g.Publish(t.Context(), 8, planIDs(w, vm1.Path), published)) // another pull request's plans
	if w.ticket(vm1.Path).Edges.Plan.PublishedAt != nil {
		t.Error("published by another pull request")
	}
	w.publish(7, vm1.Path)
	w.ok(w.g.Publish(t.Context(), 7, planIDs(w, vm1.Path, vm2.Path), published.Add(time.Hour)))
	for path, want := range map[string]time.Time{vm1.Path: published, vm2.Path: published.Add(time.Hour)} {
		if got := w.ticket(path).Edges.Plan.PublishedAt; got == nil || !got.Equal(want) {
			t.Errorf("%s was published %v, want %v", path, got, want)
		}
	}
}

// A judging that began before a merge and is written down after it was seen by nobody who merged: it is done again,
// behind what people wait for.
func TestSubmitAfterTheBranchMoved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.pull(9)
	s := submission(9, vm1)
	s.Cursor = "c0"
	w.ok(w.g.Submit(t.Context(), s))
	w.same("nothing was merged", []string(nil), w.judgings())
	w.merged(7, "c0", "c1", newVM(5))
	w.same("another system's merge", []string(nil), w.judgings())
	w.ok(w.g.Submit(t.Context(), s))
	w.same("once more", []string{"9 at 4"}, w.judgings())
	s.Cursor = "c1"
	w.ok(w.g.Submit(t.Context(), s))
	w.same("of the branch as it is", []string{"9 at 4"}, w.judgings())
}
