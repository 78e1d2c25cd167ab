package provider

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/domain"
)

// fault is one answer, and what has to be made of it.
type fault struct {
	name       string
	code       int // 0 for a lost connection
	body       string
	problem    domain.Code
	class      Class
	onlyWrites bool
}

var faults = []fault{
	{"cut", 0, "", domain.ClusterUnreachable, Later, true},
	{"forbidden", 403, status(403, "Forbidden", `User \"u\" cannot list resource \"x\" in API group`), domain.NamespacePermissionDenied, Never, false},
	{"denied", 403, status(403, "Forbidden", "admission webhook denied the request"), domain.ClusterRefused, Never, true},
	{"conflict", 409, status(409, "Conflict", "the object has been modified"), domain.FieldConflict, Retry, true},
	{"gone", 410, status(410, "Expired", "too old resource version"), domain.ClusterUnreachable, Retry, false},
	{"unserved", 404, "404 page not found", domain.ClusterRefused, Never, false},
	{"busy", 429, status(429, "TooManyRequests", "wait"), domain.ClusterUnreachable, Later, false},
	{"credentials", 401, status(401, "Unauthorized", "Unauthorized"), domain.ClusterUnreachable, Later, false},
	{"broken", 500, status(500, "InternalError", "etcdserver: leader changed"), domain.ClusterUnreachable, Retry, false},
}

// newCall is one request of an operation, and the operation.
type newCall struct {
	name, method, path string
	run                func(bench, machine, Target) error
	tolerates          string // the fault with which it goes on
}

func newCalls() []newCall {
	remove := func(retain bool) func(bench, machine, Target) error {
		return func(b bench, m machine, target Target) error {
			_, err := b.Delete(b.t.Context(), target, b.doomed(m.vm.GetName(), retain))
			return err
		}
	}
	running := func(b bench, m machine, _ Target) error {
		_, err := b.Running(b.t.Context(), b.ns, m.vm.GetName())
		return err
	}
	restart := func(b bench, m machine, target Target) error {
		_, err := b.Restart(b.t.Context(), target, b.ns, m.vm.GetName(), "run")
		return err
	}
	grow := func(b bench, m machine, target Target) error {
		_, err := b.Apply(b.t.Context(), target, m.manifests())
		return err
	}
	return []newCall{
		{"delete-looks", "GET", "/virtualmachines/", remove(false), ""},
		{"delete-lists-disks", "GET", "/datavolumes", remove(false), "unserved"},
		{"delete-lists-claims", "GET", "/persistentvolumeclaims", remove(false), ""},
		{"delete-lists-secrets", "GET", "/secrets", remove(false), ""},
		{"delete-frees", "PATCH", "/datavolumes/", remove(true), ""},
		{"delete-vm", "DELETE", "/virtualmachines/", remove(false), ""},
		{"delete-disk", "DELETE", "/datavolumes/", remove(false), ""},
		{"delete-claim", "DELETE", "/persistentvolumeclaims/", remove(false), ""},
		{"delete-secret", "DELETE", "/secrets/", remove(false), ""},
		{"running", "GET", "/virtualmachineinstances/", running, ""},
		{"restart-looks", "GET", "/virtualmachines/", restart, ""},
		{"restart-instance", "GET", "/virtualmachineinstances/", restart, ""},
		{"grow-looks", "GET", "/persistentvolumeclaims/", grow, ""},
		{"grow-class", "GET", "/storageclasses/", grow, "forbidden"},
		{"grow-writes", "PATCH", "/persistentvolumeclaims/", grow, ""},
	}
}

// TestEveryNewCallSortsItsFaults gives every fault to every request of Delete, Running, Restart and of
// a disk's growth.
func TestEveryNewCallSortsItsFaults(t *testing.T) {
	t.Parallel()
	b := setup(t)
	class := b.storageClass(true)
	for _, c := range newCalls() {
		for _, f := range faults {
			// The garbage collector has a claim before it is looked at again.
			if f.onlyWrites && c.method == http.MethodGet || c.name == "delete-claim" && f.name == "conflict" {
				continue
			}
			t.Run(c.name+"-"+f.name, func(t *testing.T) {
				t.Parallel()
				b := b
				b.t = t
				b.meets(f, c, class)
			})
		}
	}
}

// meets runs an operation one of whose requests meets a fault.
func (b bench) meets(f fault, c newCall, class string) {
	name := c.name + "-" + f.name
	m, target := b.created(name)
	b.bound(m.disk, class, "50Gi")
	if c.name == "delete-frees" {
		b.own(m.vm, m.disk)
	}
	m.size("60Gi")
	struck := b.struck(f, c.method, c.path)
	if c.tolerates == f.name {
		eventually(b.t, func() error { return c.run(struck, m, target) })
		return
	}
	e := refusedAs(b.t, c.run(struck, m, target), f.problem, f.class)
	if f.class == Later && e.RetryAfter <= 0 {
		b.t.Error("no time to wait")
	}
}

// struck is a bench on which the requests of one kind meet a fault.
func (b bench) struck(f fault, method, path string) bench {
	return b.front(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		switch {
		case r.Method != method || !strings.Contains(r.URL.Path+"/", path):
			pass.ServeHTTP(w, r)
		case f.code == 0:
			panic(http.ErrAbortHandler)
		default:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(f.code)
			_, _ = w.Write([]byte(f.body))
		}
	})
}

// TestNewCallsToAClusterThatIsNotThere: nothing is decided without an answer.
func TestNewCallsToAClusterThatIsNotThere(t *testing.T) {
	t.Parallel()
	at, err := newCluster([]byte(kubeconfigText("server: https://127.0.0.1:1", "token: t")), Options{Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	target := Target{Identity: testIdentity()}
	for name, run := range map[string]func() error{
		"delete": func() error {
			_, err := at.Delete(t.Context(), target, DeleteOptions{Namespace: "ns", Name: "vm"})
			return err
		},
		"running": func() error { _, err := at.Running(t.Context(), "ns", "vm"); return err },
		"restart": func() error { _, err := at.Restart(t.Context(), target, "ns", "vm", "run"); return err },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			refusedAs(t, run(), domain.ClusterUnreachable, Later, "refuses connections")
		})
	}
}
