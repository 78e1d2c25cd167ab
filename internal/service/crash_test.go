package service

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/faulttest"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/render"
	"kv-shepherd.io/shepherd/internal/store"
)

// deed is something that an event does to a VM with a disk, and how to see that it was done.
type deed struct {
	name   string
	change func(w *world, ref spec.Ref) judge.Change
	done   func(w *world, ref spec.Ref, id uuid.UUID) bool
	// restarts is how often KubeVirt has to be asked to restart the VM.
	restarts int64
}

func (w *world) pair(ref spec.Ref, size string) []render.Manifest {
	return []render.Manifest{disk(ref, w.ns), memory(machine(ref, w.ns), size)}
}

// volume is the VM's disk on the API server, nil where there is none.
func (w *world) volume(ref spec.Ref) *unstructured.Unstructured {
	w.Helper()
	u := &unstructured.Unstructured{}
	u.SetAPIVersion("cdi.kubevirt.io/v1beta1")
	u.SetKind("DataVolume")
	err := w.kube.Client().Get(w.Context(), client.ObjectKey{Namespace: w.ns, Name: ref.VMName() + "-data"}, u)
	if client.IgnoreNotFound(err) != nil {
		w.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return u
}

var deeds = []deed{
	{"modify", func(w *world, ref spec.Ref) judge.Change {
		return w.change(domain.ModifyVM, ref, runs, runs, w.pair(ref, "2Gi")...)
	}, func(w *world, ref spec.Ref, id uuid.UUID) bool {
		return w.live(id).Spec.Template.Spec.Domain.Memory.Guest.String() == "2Gi"
	}, 0},
	{"stop", func(w *world, ref spec.Ref) judge.Change {
		return w.change(domain.StopVM, ref, runs, rests, disk(ref, w.ns), halted(machine(ref, w.ns)))
	}, func(w *world, ref spec.Ref, id uuid.UUID) bool { return w.strategy(id) == "Halted" }, 0},
	{"restart", func(w *world, ref spec.Ref) judge.Change {
		return w.change(domain.RestartVM, ref, runs, anew, w.pair(ref, "1Gi")...)
	}, func(w *world, ref spec.Ref, id uuid.UUID) bool { return w.live(id) != nil }, 1},
	{"modify and restart", func(w *world, ref spec.Ref) judge.Change {
		return w.change(domain.ModifyVM, ref, runs, anew, w.pair(ref, "2Gi")...)
	}, func(w *world, ref spec.Ref, id uuid.UUID) bool {
		return w.live(id).Spec.Template.Spec.Domain.Memory.Guest.String() == "2Gi"
	}, 1},
	{"delete", func(w *world, ref spec.Ref) judge.Change { return w.deletion(ref, runs) },
		func(w *world, ref spec.Ref, id uuid.UUID) bool { return w.live(id) == nil && w.volume(ref) == nil }, 0},
	{"delete and retain", func(w *world, ref spec.Ref) judge.Change { return w.deletion(ref, retains) },
		func(w *world, ref spec.Ref, id uuid.UUID) bool { return w.live(id) == nil && w.volume(ref) != nil }, 0},
}

// attempt makes a running VM, has crash carry its event out, and then another process; controller is
// whether KubeVirt's controller was faster than that. However it goes, the deed is done, once.
func (d deed) attempt(w *world, virt *virtAPI, controller bool, crash func(id uuid.UUID) error) error {
	ref := newRef()
	w.done(w.ask(w.creation(ref, w.pair(ref, "1Gi")...))[0])
	run := w.boots(ref.VMName())
	before := virt.restarts.Load()
	id := w.ask(d.change(w, ref))[0]
	err := crash(id)
	if virt.restarts.Load() > before && controller {
		w.halts(ref.VMName())
		w.boots(ref.VMName())
	}
	w.ok(w.try(w.service(w.gateway), id))
	w.ok(w.vms.Execute(w.Context(), id))
	if got := virt.restarts.Load() - before; got != d.restarts {
		w.Errorf("%s, controller %v: restarted %d times after %v", d.name, controller, got, err)
	}
	if !d.done(w, ref, id) || w.event(id).Status != event.StatusCOMPLETED {
		w.Errorf("%s: not done after %v", d.name, err)
	}
	if d.restarts > 0 {
		if got := w.lines(`select note from effects where status = 'done' and id = $1`, "restart:"+id.String()); len(got) != 1 || got[0] != run {
			w.Errorf("%s: noted %v, it ran as %s", d.name, got, run)
		}
	}
	for _, action := range []string{"EXECUTION_STARTED", "EXECUTION_COMPLETED"} {
		if n := len(w.lines(`select action_code from audit_log where event_id = $1 and action_code = $2`, id, action)); n != 1 {
			w.Errorf("%s: %s %d times", d.name, action, n)
		}
	}
	return err
}

// The database goes away at each statement in turn.
func TestCrashAtEveryStatement(t *testing.T) {
	t.Parallel()
	for _, d := range deeds {
		if strings.Contains(d.name, " and ") {
			continue // the same statements
		}
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			w, virt := withVirtAPI(t)
			for _, controller := range []bool{false, true}[:1+d.restarts] {
				statements, err := faulttest.Everywhere(w.pool, func(p *faulttest.Pool) error {
					return d.attempt(w, virt, controller, func(id uuid.UUID) error {
						return w.service(approval.New(store.New(p), w.queue, w.now)).Execute(t.Context(), id)
					})
				}, func(n int, fired string, err error) bool {
					if !errors.Is(err, faulttest.ErrInjected) {
						t.Errorf("statement %d was broken and the job was told %v:\n%s", n, err, fired)
					}
					return !t.Failed()
				})
				if err != nil || statements < 15 {
					t.Errorf("%d statements, %v", statements, err)
				}
				t.Logf("%s: %d statements", d.name, statements)
			}
		})
	}
}

// The connection to the cluster breaks at each request in turn, before or after it is carried out.
func TestCrashAtEveryRequest(t *testing.T) {
	t.Parallel()
	for _, d := range deeds {
		for _, late := range []bool{false, true} {
			name := d.name + map[bool]string{false: ", before", true: ", after"}[late]
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				virt := &virtAPI{}
				var left atomic.Int64
				w := behind(t, func(w *world, rw http.ResponseWriter, r *http.Request, pass http.Handler) {
					serve := pass.ServeHTTP
					if isRestart(r) {
						serve = func(rw http.ResponseWriter, r *http.Request) { virt.serve(w, rw, r) }
					}
					if left.Add(-1) != 0 {
						serve(rw, r)
						return
					}
					if late {
						serve(httptest.NewRecorder(), r)
					}
					panic(http.ErrAbortHandler)
				})
				requests := int64(0)
				for n := int64(1); n < 60 && !t.Failed(); n++ {
					var after int64
					_ = d.attempt(w, virt, n%2 == 0, func(id uuid.UUID) error {
						left.Store(n)
						err := w.service(w.gateway).Execute(t.Context(), id)
						after = left.Swap(0)
						return err
					})
					if requests = n - 1; after > 0 {
						break
					}
				}
				if requests < 5 {
					t.Errorf("%d requests", requests)
				}
				t.Logf("%s: %d requests", name, requests)
			})
		}
	}
}

// Who deletes is written down before the cluster is asked.
func TestAuditComesBeforeTheDeletion(t *testing.T) {
	t.Parallel()
	var trail atomic.Value
	w := behind(t, func(w *world, rw http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodDelete && strings.Contains(r.URL.Path, "/virtualmachines/") {
			trail.Store(w.lines(`select action_code || ' ' || subject from audit_log where action_code like 'EXECUTION%' order by id desc limit 1`))
		}
		pass.ServeHTTP(rw, r)
	})
	ref, _ := w.created()
	w.done(w.ask(w.deletion(ref, runs))[0])
	if got, _ := trail.Load().([]string); len(got) != 1 || got[0] != "EXECUTION_STARTED "+ref.VMName() {
		t.Errorf("trail %v", got)
	}
}
