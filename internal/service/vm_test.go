package service

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/store"
)

// live is the VM on the API server, nil where there is none.
func (w *world) live(id uuid.UUID) *kubevirtv1.VirtualMachine {
	w.Helper()
	var out kubevirtv1.VirtualMachine
	err := w.kube.Client().Get(w.Context(), client.ObjectKey{Namespace: w.ns, Name: w.event(id).Subject}, &out)
	if client.IgnoreNotFound(err) != nil {
		w.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return &out
}

func TestExecute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	id := w.merged()
	w.ok(w.vms.Execute(t.Context(), id))
	live := w.live(id)
	if live == nil {
		t.Fatal("there is no VM")
	}
	row := w.vm(id)
	if row.UID != string(live.UID) || row.AppliedSequence != 1 || w.event(id).Status != "COMPLETED" {
		t.Errorf("row %+v, event %s", row, w.event(id).Status)
	}
	for key, want := range map[string]string{"event-id": id.String(), "created-by": "alice", "merge-commit": "c1", "sequence": "1", "pull-request": "https://forge.test/acme/vms/pull/7"} {
		if got := live.Annotations["kubevirt-shepherd.io/"+key]; got != want {
			t.Errorf("annotation %s is %q, want %q", key, got, want)
		}
	}
	waiting := w.lines(`select kind || ' in ' || queue from river_job where kind in ('event_job', 'verify_vm') order by 1`)
	if diff := cmp.Diff([]string{"event_job in cluster_prod-1", "verify_vm in cluster_prod-1"}, waiting); diff != "" {
		t.Errorf("jobs (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"apply"}, w.steps); diff != "" {
		t.Errorf("measured (-want +got):\n%s", diff)
	}
	w.ok(w.vms.Execute(t.Context(), id)) // a second time changes nothing
	if again := w.live(id); again.ResourceVersion != live.ResourceVersion || len(w.steps) != 1 {
		t.Errorf("resourceVersion %s became %s", live.ResourceVersion, again.ResourceVersion)
	}
}

// Nothing is touched on a cluster of another environment, not even the namespace.
func TestExecuteEnvironmentMismatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	w.environment = domain.Test
	w.ns += "-missing"
	id := w.merged()
	err := w.vms.Execute(t.Context(), id)
	var p domain.Problem
	if !jobs.IsTerminal(err) || !errors.As(err, &p) || p.Code != domain.EnvironmentMismatch || !strings.Contains(p.Message, "prod-shop belongs to prod") || !strings.Contains(p.Message, `"test"`) {
		t.Fatalf("%v", err)
	}
	if w.live(id) != nil {
		t.Error("there is a VM")
	}
	w.ok(w.vms.Fail(t.Context(), id, err))
	e, row := w.event(id), w.vm(id)
	if e.Status != "FAILED" || e.ErrorCode != string(domain.EnvironmentMismatch) || row.Status != "FAILED" {
		t.Errorf("event %s %s, vm %s", e.Status, e.ErrorCode, row.Status)
	}
	w.ok(w.vms.Fail(t.Context(), id, err))
	if got := w.lines(`select action_code from audit_log where action_code = 'EXECUTION_FAILED'`); len(got) != 1 {
		t.Errorf("failed %d times", len(got))
	}
}

// What cannot be looked up is no permission.
func TestExecuteEnvironmentUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	id := w.merged()
	broken := errors.New("the mirror is gone")
	w.vms.environment = func(context.Context, string) (domain.Environment, error) { return "", broken }
	if err := w.vms.Execute(t.Context(), id); !errors.Is(err, broken) || jobs.IsTerminal(err) {
		t.Errorf("%v", err)
	}
	w.vms.environment = func(context.Context, string) (domain.Environment, error) { return "", nil }
	if err := w.vms.Execute(t.Context(), id); !jobs.IsTerminal(err) {
		t.Errorf("without an environment: %v", err)
	}
	if w.live(id) != nil {
		t.Error("there is a VM")
	}
}

func TestExecuteWaitsForTheLock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	id := w.merged()
	err := store.WithLock(t.Context(), w.pool, "vm/"+w.event(id).Subject, func(ctx context.Context) error {
		if err := w.vms.Execute(ctx, id); !jobs.IsLater(err) || !errors.Is(err, store.ErrLocked) {
			t.Errorf("%v", err)
		}
		return nil
	})
	w.ok(err)
	if w.live(id) != nil {
		t.Error("there is a VM")
	}
	w.ok(w.vms.Execute(t.Context(), id))
}

func TestExecuteNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	gone := uuid.New()
	if err := w.vms.Execute(t.Context(), gone); !jobs.IsTerminal(err) {
		t.Errorf("execute: %v", err)
	}
	if err := w.vms.Verify(t.Context(), jobs.VerifyVM{EventID: gone}); !jobs.IsTerminal(err) {
		t.Errorf("verify: %v", err)
	}
	if err := w.vms.Fail(t.Context(), gone, errors.New("x")); err != nil {
		t.Errorf("fail: %v", err)
	}
	w.pool.Close()
	for name, err := range map[string]error{
		"execute": w.vms.Execute(context.Background(), gone), "fail": w.vms.Fail(context.Background(), gone, errors.New("x")),
	} {
		if err == nil || jobs.IsTerminal(err) || jobs.IsLater(err) {
			t.Errorf("%s without a database: %v", name, err)
		}
	}
}

// A cluster whose credentials are not there, or that does not answer, is waited for or tried again; it
// is never the VM's end at once.
func TestExecuteWithoutCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	id := w.merged()
	_, err := w.pool.Exec(t.Context(), `delete from clusters`)
	w.ok(err)
	if err := w.vms.Execute(t.Context(), id); err == nil || jobs.IsTerminal(err) {
		t.Errorf("%v", err)
	}
	if e := w.event(id); e.Status != "PROCESSING" {
		t.Errorf("event %s", e.Status)
	}
	w.add("prod-1")
	w.ok(w.vms.Execute(t.Context(), id))
}

// A foreign VM of the same name is left alone and the request fails for good.
func TestExecuteForeignVM(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	id := w.merged()
	foreign := &kubevirtv1.VirtualMachine{}
	foreign.Namespace, foreign.Name = w.ns, w.event(id).Subject
	strategy := kubevirtv1.RunStrategyHalted
	foreign.Spec.RunStrategy, foreign.Spec.Template = &strategy, &kubevirtv1.VirtualMachineInstanceTemplateSpec{}
	w.ok(w.kube.Client().Create(t.Context(), foreign))
	err := w.vms.Execute(t.Context(), id)
	if p := problemOf(err); !jobs.IsTerminal(err) || p.Code != domain.ForeignVM {
		t.Errorf("%v", err)
	}
	if live := w.live(id); live.ResourceVersion != foreign.ResourceVersion {
		t.Error("the foreign VM was touched")
	}
}

func TestSorted(t *testing.T) {
	t.Parallel()
	plain := errors.New("502")
	is := func(class provider.Class, wait time.Duration) error {
		return fmt.Errorf("apply: %w", &provider.Error{Problem: domain.Problem{Code: domain.ForeignVM}, Class: class, RetryAfter: wait})
	}
	for _, c := range []struct {
		name     string
		err      error
		terminal bool
		wait     time.Duration
	}{
		{"none", nil, false, 0},
		{"of no cluster", plain, false, 0},
		{"never", is(provider.Never, 0), true, 0},
		{"retry", is(provider.Retry, 0), false, 0},
		{"later", is(provider.Later, time.Minute), false, time.Minute},
		{"later, at once", is(provider.Later, 0), false, time.Second},
		{"already sorted", jobs.Never(plain), true, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := sorted(c.err)
			if jobs.IsTerminal(got) != c.terminal || jobs.IsLater(got) != (c.wait > 0) || (got == nil) != (c.err == nil) {
				t.Errorf("%v", got)
			}
			var later interface{ RetryAfter() time.Duration }
			if errors.As(got, &later) && later.RetryAfter() != c.wait {
				t.Errorf("waits %s, want %s", later.RetryAfter(), c.wait)
			}
		})
	}
}

// People are told what they can act on; what they cannot stays in the log.
func TestProblemOf(t *testing.T) {
	t.Parallel()
	foreign := domain.Problem{Code: domain.ForeignVM, Message: "another VM has the name"}
	for _, c := range []struct {
		name string
		err  error
		code domain.Code
		says string
	}{
		{"a cluster's", fmt.Errorf("apply: %w", &provider.Error{Problem: foreign, Class: provider.Never}), domain.ForeignVM, "another VM has the name"},
		{"our own", jobs.Never(domain.Problem{Code: domain.EnvironmentMismatch, Message: "prod, test"}), domain.EnvironmentMismatch, "prod, test"},
		{"any other", errors.New("dial tcp 10.0.0.1: token abc"), domain.ClusterRefused, "the server's log has the details"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := problemOf(c.err)
			if got.Code != c.code || !strings.Contains(got.Message, c.says) || strings.Contains(got.Error(), "token abc") {
				t.Errorf("%v", got)
			}
		})
	}
}
