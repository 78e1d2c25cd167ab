package service

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/faulttest"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/store"
)

var (
	shop  = spec.Ref{Kind: spec.KindSystem, System: "shop"}
	redis = spec.Ref{Kind: spec.KindService, System: "shop", Service: "redis"}
)

// founded is a system with a service and two VMs.
func founded(t *testing.T) (w *world, one, two spec.Ref) {
	t.Helper()
	w = newWorld(t)
	w.add("prod-1")
	w.ask(structural(domain.CreateSystem, shop), structural(domain.CreateService, redis))
	one, _ = w.created()
	two, _ = w.created()
	return w, one, two
}

// claimed reports whether somebody else could ask for the service's name.
func (w *world) claimed() bool {
	w.Helper()
	c := structural(domain.CreateService, redis)
	c.Requirement.Approvals = 1
	report := judge.Report{Head: "h2", Platform: "c0", Governed: true, Changes: []judge.Change{c}}
	number := 9000 + int(number.Add(1))
	w.ok(w.db.PullRequest.Create().SetID(number).SetWanted(1).Exec(w.Context()))
	err := w.gateway.Submit(w.Context(), approval.Submission{
		Pull: approval.Pull{Number: number, Author: audit.Actor{ID: 102, Login: "carol"}, HeadSHA: "h2", BaseRef: "main", State: "open"}, Report: report,
	})
	if err != nil && !errors.Is(err, approval.ErrClaimed) {
		w.Fatal(err)
	}
	return err != nil
}

// A service and its system go after their VMs, in whatever order their jobs come; the names are free then.
func TestAServiceGoesLast(t *testing.T) {
	t.Parallel()
	w, one, two := founded(t)
	ids := w.ask(w.deletion(one, runs), w.deletion(two, retains), structural(domain.DeleteService, redis), structural(domain.DeleteSystem, shop))
	for _, early := range []int{3, 2} {
		if err := w.vms.Execute(t.Context(), ids[early]); !jobs.IsLater(err) {
			t.Fatalf("before the VMs: %v", err)
		}
	}
	w.done(ids[1])
	if err := w.vms.Execute(t.Context(), ids[2]); !jobs.IsLater(err) {
		t.Fatalf("before the other VM: %v", err)
	}
	w.done(ids[0])
	if err := w.vms.Execute(t.Context(), ids[3]); !jobs.IsLater(err) {
		t.Fatalf("the system before its service: %v", err)
	}
	w.done(ids[2])
	w.done(ids[3])
	w.ok(w.vms.Execute(t.Context(), ids[3])) // a second time
	for _, id := range ids {
		if e := w.event(id); e.Status != event.StatusCOMPLETED {
			t.Errorf("%s %s: %s %s", e.Subject, e.Status, e.ErrorCode, e.ErrorMessage)
		}
	}
	if got := w.lines(`select id from accepted`); len(got) != 0 {
		t.Errorf("still accepted: %v", got)
	}
	if w.claimed() {
		t.Error("the name is not free")
	}
}

// While a service is going its name is taken.
func TestTheNameOfAGoingService(t *testing.T) {
	t.Parallel()
	w, one, two := founded(t)
	deletion := structural(domain.DeleteService, redis)
	pull := approval.Pull{Number: 7, Author: audit.Actor{ID: 101, Login: "alice"}, HeadSHA: "h1", BaseRef: "main", State: "open"}
	w.ok(w.gateway.Submit(t.Context(), approval.Submission{Pull: pull, Judged: 1, Report: judge.Report{Head: "h1", Governed: true, Changes: []judge.Change{deletion}}}))
	repository, err := w.db.Repository.Get(t.Context(), 42)
	w.ok(err)
	w.ok(w.gateway.Merge(t.Context(), approval.Span{Repository: 42, From: repository.Cursor, To: "c99", Pull: pull, Merged: []approval.Merged{
		{Change: w.deletion(one, runs)}, {Change: w.deletion(two, runs)}, {Change: deletion},
	}}))
	ids, err := w.db.Event.Query().Where(event.PullRequest(7)).IDs(t.Context())
	w.ok(err)
	if !w.claimed() {
		t.Error("the name is free while the service goes")
	}
	for _, id := range ids {
		if w.event(id).Type == domain.VMDeletionRequested {
			w.done(id)
		}
	}
	for _, id := range ids {
		w.done(id)
	}
	if w.claimed() {
		t.Error("the name is not free")
	}
}

// A VM whose deletion failed keeps its service; when it is gone, a retry of both ends both.
func TestAServiceWithAVMLeft(t *testing.T) {
	t.Parallel()
	w, one, two := founded(t)
	ids := w.ask(w.deletion(one, runs), w.deletion(two, runs), structural(domain.DeleteService, redis))
	live := w.live(ids[1])
	w.ok(w.kube.Client().Delete(t.Context(), live))
	foreign := w.foreign(two, live.Labels)
	w.done(ids[0])
	w.failed(ids[1], domain.ForeignVM)
	w.failed(ids[2], domain.DeleteRestricted)
	if e := w.event(ids[2]); !strings.Contains(e.ErrorMessage, "1 of its virtual machines are still there: "+two.VMName()) {
		t.Errorf("%q", e.ErrorMessage)
	}
	if got := w.lines(`select status from tickets where event_id = $1`, ids[2]); !cmp.Equal(got, []string{"FAILED"}) {
		t.Errorf("ticket %v", got)
	}
	w.ok(w.kube.Client().Delete(t.Context(), foreign))
	service := w.retried(ids[2])
	if err := w.vms.Execute(t.Context(), service); !jobs.IsLater(err) {
		t.Fatalf("the service before its VM: %v", err)
	}
	again, err := w.db.Event.Query().Where(event.RetryOf(ids[1])).Only(t.Context())
	w.ok(err)
	w.done(again.ID)
	w.done(service)
	w.states(again.ID, event.StatusCOMPLETED, domain.VMDeleting)
	if e := w.event(service); e.Status != event.StatusCOMPLETED {
		t.Errorf("service %s %s", e.Status, e.ErrorMessage)
	}
}

// The database goes away at each statement in turn: the service goes once.
func TestCrashOfARemoval(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	statements, err := faulttest.Everywhere(w.pool, func(p *faulttest.Pool) error {
		id := w.ask(structural(domain.DeleteService, redis))[0]
		err := w.service(approval.New(store.New(p), w.queue, w.now)).Execute(context.Background(), id)
		w.done(id)
		if n := len(w.lines(`select 1::text from audit_log where event_id = $1 and action_code = 'EXECUTION_COMPLETED'`, id)); n != 1 || w.event(id).Status != event.StatusCOMPLETED {
			t.Errorf("completed %d times after %v", n, err)
		}
		return err
	}, func(_ int, fired string, err error) bool {
		if !errors.Is(err, faulttest.ErrInjected) {
			t.Errorf("told %v of a broken %s", err, fired)
		}
		return !t.Failed()
	})
	if err != nil || statements < 8 {
		t.Errorf("%d statements, %v", statements, err)
	}
}
