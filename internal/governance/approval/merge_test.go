package approval

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent/pullrequest"
	"kv-shepherd.io/shepherd/ent/vm"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
)

func newService(approvals int) judge.Change {
	ref := spec.Ref{Kind: spec.KindService, System: "shop", Service: "redis"}
	c := newSystem(approvals)
	c.Ref, c.Path, c.Subject, c.Operation, c.Digest, c.Claims = ref, ref.Path(), ref.String(), domain.CreateService, "digest-redis", []string{"service:redis"}
	return c
}

func TestMerge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	changes := []judge.Change{newSystem(0), newService(0), vm1, newVM(2, free)}
	w.approved(7, changes...)
	payload := string(w.ticket(vm1.Path).Edges.Event.Payload)
	s := w.span(7, "c0", "c1", changes...)
	w.ok(w.g.Merge(t.Context(), s))

	// What is only recorded is done, what a cluster has to do is queued.
	w.same("tickets", []string{
		"prod-shop-shop-redis-01 APPROVED PROCESSING", "shop COMPLETED COMPLETED", "shop/redis COMPLETED COMPLETED", "prod-shop-shop-redis-02 APPROVED PROCESSING",
	}, w.states(7))
	w.same("claims", []string{"index:redis/01 #7", "index:redis/02 #7", "vm:prod-shop-shop-redis-01 #7", "vm:prod-shop-shop-redis-02 #7"}, w.claims())
	w.same("jobs", []string{
		`event_job cluster_east {"event_id": "` + w.ticket(vm1.Path).EventID.String() + `"}`,
		`event_job cluster_east {"event_id": "` + w.ticket(newVM(2).Path).EventID.String() + `"}`,
	}, w.texts("select kind || ' ' || queue || ' ' || args::text from river_job where kind <> 'tell_pull_request' order by id"))

	w.same("accepted", []string{
		"Service redis shop/redis c1 7 ada", "System shop shop/ c1 7 ada",
		"VirtualMachine prod-shop-shop-redis-01 shop/redis c1 7 ada", "VirtualMachine prod-shop-shop-redis-02 shop/redis c1 7 ada",
	}, w.texts(`select kind || ' ' || name || ' ' || system || '/' || service || ' ' || commit || ' ' || pull_request || ' ' || created_by_login from accepted order by 1`))
	row, err := w.db.Accepted.Get(t.Context(), vm1.Path)
	w.ok(err)
	w.same("spec and document, byte for byte", []string{string(vm1.Wanted), string(vm1.Document)}, []string{string(row.Spec), string(row.Document)})
	w.same("indexes", []string{"redis 1 prod-shop-shop-redis-01", "redis 2 prod-shop-shop-redis-02"}, w.texts(`select service || ' ' || number || ' ' || vm from indexes order by 1`))

	machine, of := w.vm(vm1.Path), w.ticket(vm1.Path)
	w.same("vm", []any{"prod-shop-shop-redis-01", "01", "prod", "k-prod-shop", "east", vm.StatusCREATING, int64(1), int64(0), of.PlanID, "ada"},
		[]any{machine.Name, machine.Instance, machine.Environment, machine.KubernetesNamespace, machine.Cluster, machine.Status, machine.Sequence, machine.AppliedSequence, machine.AcceptedPlan, machine.CreatedByLogin})
	if machine.AppliedPlan != nil || machine.UID != "" {
		t.Errorf("it is applied already: %v", machine)
	}
	e := of.Edges.Event
	w.same("event", []any{int64(1), "c1", payload}, []any{e.Sequence, e.MergeCommit, string(e.Payload)})
	if e.ProcessedAt == nil || e.FinishedAt != nil {
		t.Errorf("its times are %v", e)
	}

	repo, err := w.db.Repository.Get(t.Context(), repositoryID)
	w.ok(err)
	pull, err := w.db.PullRequest.Get(t.Context(), 7)
	w.ok(err)
	w.same("cursor and pull request", []any{"c1", pullrequest.StateMerged}, []any{repo.Cursor, pull.State})
	var report judge.Report
	w.ok(json.Unmarshal(pull.MergeReport, &report))
	w.same("merge report", []any{"c1", 4, 0}, []any{report.Head, len(report.Changes), len(report.Problems)})

	before := w.dump()
	if err := w.g.Merge(t.Context(), s); !errors.Is(err, ErrMoved) {
		t.Errorf("the same span again: got %v", err)
	}
	w.same("the same span again", before, w.dump())
}

// The second event of a VM comes after the first, whatever the pull request.
func TestMergeOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.merged(7, "c0", "c1", vm1)
	w.ok(w.g.Finish(t.Context(), w.started(vm1.Path), answer))
	again := newVM(1, digest("digest-again"))
	w.merged(8, "c1", "c2", again)
	got := w.vm(vm1.Path)
	w.same("vm", []any{int64(2), w.ticket(vm1.Path).PlanID, int64(1)}, []any{got.Sequence, got.AcceptedPlan, got.AppliedSequence})
	w.same("sequence", int64(2), w.ticket(vm1.Path).Edges.Event.Sequence)
	w.same("indexes", []string{"1"}, w.texts("select count(*)::text from indexes"))
	w.same("accepted", []string{"c2 8 ada"}, w.texts("select commit || ' ' || pull_request || ' ' || created_by_login from accepted"))
}

func TestMergeRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.approved(7, vm1, vm2)
	w.submit(8, vm3)
	for what, edit := range map[string]func(*Span){
		"another cursor":        func(s *Span) { s.From = "elsewhere" },
		"another repository":    func(s *Span) { s.Repository = 1 },
		"another digest":        func(s *Span) { s.Merged[1].Change.Digest = "digest-other" },
		"another path":          func(s *Span) { s.Merged[1].Change = newVM(4, digest(vm2.Digest)) },
		"a ticket that waits":   func(s *Span) { s.Merged[1] = Merged{Change: vm3, Ticket: w.ticket(vm3.Path).ID} },
		"a ticket of elsewhere": func(s *Span) { s.Pull.Number = 8 },
		"the same ticket twice": func(s *Span) { s.Merged[1] = s.Merged[0] },
		"a ticket that is gone": func(s *Span) { s.Merged[1].Ticket = uuid.New() },
		"an index that is used": func(s *Span) {
			s.Merged[1] = Merged{Change: newVM(1, free, func(c *judge.Change) { c.Ref.Namespace = "test-shop"; c.Path = c.Ref.Path() })}
		},
	} {
		s := w.span(7, "c0", "c1", vm1, vm2)
		edit(&s)
		before := w.dump()
		err := w.g.Merge(t.Context(), s)
		if err == nil {
			t.Errorf("%s: merged", what)
		}
		w.same(what, before, w.dump())
	}
}

// What is quarantined is not accepted, keeps no claim, and is offered to be undone; the rest goes on.
func TestMergeQuarantine(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.approved(7, newSystem(0), newService(0), vm1, vm2)
	s := w.span(7, "c0", "c1", vm1)
	s.Quarantined = []Quarantined{
		{Path: systemRef.Path(), Subject: "shop", Code: domain.NameTaken, Message: "the name is taken"},
		{Path: vm2.Path, Subject: vm2.Subject, Environment: domain.Prod, Code: domain.ApprovalBypassed, Message: "nobody approved it"},
	}
	w.ok(w.g.Merge(t.Context(), s))
	w.same("tickets", []string{"prod-shop-shop-redis-01 APPROVED PROCESSING", "prod-shop-shop-redis-02 CANCELLED CANCELLED APPROVAL_BYPASSED"}, w.states(7))
	w.same("claims", []string{"index:redis/01 #7", "vm:prod-shop-shop-redis-01 #7"}, w.claims())
	w.same("accepted", []string{vm1.Path}, w.texts("select id from accepted"))
	w.same("jobs", []string{"event_job", "offer_undo"}, w.texts("select kind from river_job where kind <> 'tell_pull_request' order by kind"))
	w.same("undo", []string{`{"to": "c1", "from": "c0"}`}, w.texts("select args::text from river_job where kind = 'offer_undo'"))
	w.same("trail", []string{"APPROVAL_BYPASSED prod-shop-shop-redis-02", "CHANGE_QUARANTINED shop"},
		w.texts("select action_code || ' ' || subject from audit_log where action_code in ('APPROVAL_BYPASSED', 'CHANGE_QUARANTINED') order by 1"))
	pull, err := w.db.PullRequest.Get(t.Context(), 7)
	w.ok(err)
	var report judge.Report
	w.ok(json.Unmarshal(pull.MergeReport, &report))
	w.same("merge report", []any{1, domain.NameTaken, domain.ApprovalBypassed}, []any{len(report.Changes), report.Problems[0].Code, report.Problems[1].Code})
}

// A merge of a pull request that nobody told of, and a push without one.
func TestMergeUnheard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.span(99, "c0", "c1", newSystem(0))
	w.ok(w.g.Merge(t.Context(), s))
	s = w.span(0, "c1", "c2", newService(0))
	w.ok(w.g.Merge(t.Context(), s))
	w.ok(w.g.Merge(t.Context(), Span{Repository: repositoryID, From: "c2", To: "c3"}))
	w.same("accepted", []string{"redis 0", "shop 99"}, w.texts("select name || ' ' || pull_request from accepted order by 1"))
	w.same("jobs", []string{`tell_pull_request {"number": 99}`}, w.texts("select kind || ' ' || args::text from river_job"))
	w.same("pull request", []string{"ada merged"}, w.texts("select author_login || ' ' || state from pull_requests where id = 99"))
	repo, err := w.db.Repository.Get(t.Context(), repositoryID)
	w.ok(err)
	w.same("cursor", "c3", repo.Cursor)
}

// What was judged before the merge and arrives after it changes nothing.
func TestAfterTheMerge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.merged(7, "c0", "c1", newSystem(0), vm1)
	decision := w.decided(vm1.Path, Outcome{Status: domain.TicketPending})
	before := w.dump()
	w.submit(7, newSystem(0), vm1)
	w.submit(7, newVM(1, cluster("west")), vm2)
	w.ok(w.g.Cancel(t.Context(), pullOf(7), 9, "closed"))
	w.ok(w.g.Decide(t.Context(), 7, decision))
	w.same("database", before, w.dump())
}
