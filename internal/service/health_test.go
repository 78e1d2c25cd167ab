package service

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kv-shepherd.io/shepherd/ent/cluster"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/store"
)

// watched is a world whose cluster prod-1 can be given other answers, and the loop on it.
type watched struct {
	*world
	health *Health
	answer atomic.Pointer[func(rw http.ResponseWriter, r *http.Request) bool]
}

func newWatched(t *testing.T) *watched {
	t.Helper()
	w := &watched{}
	w.world = behind(t, func(_ *world, rw http.ResponseWriter, r *http.Request, pass http.Handler) {
		if answer := w.answer.Load(); answer != nil && (*answer)(rw, r) {
			return
		}
		pass.ServeHTTP(rw, r)
	})
	w.health = NewHealth(w.clusters, w.queue, slog.New(slog.DiscardHandler))
	return w
}

// look runs the loop's round and tells how the cluster is then.
func (w *watched) look() string {
	w.Helper()
	w.ok(w.health.Run(w.Context(), jobs.CheckClusters{}))
	return w.is("prod-1")
}

func (w *watched) is(name string) string {
	w.Helper()
	return w.lines(`select trim(health || ' ' || health_message) from clusters where id = $1`, name)[0]
}

func (w *watched) same(what string, want, got []string) {
	w.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		w.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// reports writes open pull requests with these reports, and forgets who was to be judged.
func (w *watched) reports(of map[int]string) {
	w.Helper()
	for number, report := range of {
		_, err := w.pool.Exec(w.Context(), `insert into pull_requests (id, wanted, created_at, state, report) values ($1, 1, now(), 'open', $2)`, number, report)
		w.ok(err)
	}
}

func (w *watched) judgings() []string {
	w.Helper()
	return w.lines(`select format('%s at %s', args->>'number', priority) from river_job where kind = 'judge_pull_request' order by (args->>'number')::int`)
}

const trail = `select format('%s by %s: %s to %s', subject, performed_by, params->>'was', params->>'health') from audit_log where action_code = 'CLUSTER_HEALTH' order by id`

// A cluster that does not answer is given two more looks; the first answer makes it whole again. Both are
// audited, and whoever leans on it is judged again, once each time and behind what people wait for.
func TestHealthOfACutCluster(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	line, kubeconfig := newLine(w.world)
	w.kubeconfig = kubeconfig
	w.add("prod-1")
	w.reports(map[int]string{
		20: `{"changes": [{"plan": {"cluster": "prod-1"}}]}`,
		21: `{"changes": [{"plan": {"cluster": "test-1"}}]}`,
		22: `{"changes": [{"problems": [{"code": "NO_ELIGIBLE_CLUSTER"}]}]}`,
	})
	var got []string
	for _, cut := range []bool{false, true, true, false, true, true, true, true, false} {
		if cut {
			line.cut()
		}
		got = append(got, w.look())
		if cut {
			line.mend()
		}
	}
	const closed = "the cluster cannot be reached: it refuses connections"
	w.same("health", []string{
		"healthy", "healthy no answer, 1 of 3: " + closed, "healthy no answer, 2 of 3: " + closed, "healthy",
		"healthy no answer, 1 of 3: " + closed, "healthy no answer, 2 of 3: " + closed, "unreachable " + closed, "unreachable " + closed, "healthy",
	}, got)
	w.same("trail", []string{"prod-1 by shepherd: healthy to unreachable", "prod-1 by shepherd: unreachable to healthy"}, w.lines(trail))
	w.same("judged again", []string{"20 at 4", "22 at 4"}, w.judgings())
}

// What a cluster says of itself counts at once.
func TestHealthOfAnAnsweringCluster(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(w *watched)
		want   string
		trail  int
	}{
		"nothing happened": {func(*watched) {}, "healthy", 0},
		"another cluster": {func(w *watched) {
			_, err := w.pool.Exec(w.Context(), `update clusters set uid = 'of-another-cluster'`)
			w.ok(err)
		}, "unhealthy leads to another cluster", 1},
		"without KubeVirt": {func(w *watched) { w.instead("/apis/kubevirt.io/v1", http.StatusNotFound) }, "unhealthy KubeVirt is not installed", 1},
		"no Kubernetes": {func(w *watched) { w.instead("/version", http.StatusOK) },
			"unhealthy what answers at the cluster's address is no Kubernetes API server", 1},
		"the credentials ran out": {func(w *watched) { w.instead("/version", http.StatusUnauthorized) },
			"healthy no answer, 1 of 3: the cluster does not accept Shepherd's credentials", 0},
		"the encryption key is lost": {func(w *watched) {
			other := NewClusters(w.db, newKeyring(w.T, "b"), provider.Options{}, w.now)
			w.health = NewHealth(other, w.queue, slog.New(slog.DiscardHandler))
		}, "unhealthy its credentials do not open with any encryption key", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWatched(t)
			tt.change(w)
			for range 2 {
				if got := strings.Replace(w.look(), "2 of 3", "1 of 3", 1); got != tt.want {
					t.Errorf("%s: want %s", got, tt.want)
				}
			}
			if got := w.lines(trail); len(got) != tt.trail {
				t.Errorf("trail %v: want %d lines", got, tt.trail)
			}
		})
	}
}

// instead answers the requests of one path with a code.
func (w *watched) instead(path string, code int) {
	answer := func(rw http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != path {
			return false
		}
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(code)
		_, _ = rw.Write([]byte("{}"))
		return true
	}
	w.answer.Store(&answer)
}

// Storage classes that come or go change what can be planned.
func TestHealthRefreshesStorageClasses(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.look()
	_, err := w.pool.Exec(t.Context(), `update clusters set storage_classes = '["gone"]', kubernetes_version = 'v0'`)
	w.ok(err)
	w.reports(map[int]string{20: `{"changes": [{"problems": [{"code": "STORAGE_CLASS_UNKNOWN"}]}]}`, 21: `{"problems": [{"code": "QUARANTINED"}]}`})
	w.look()
	w.look()
	if got := w.lines(`select coalesce(storage_classes::text, 'null') || kubernetes_version from clusters`); strings.Contains(got[0], "gone") || strings.HasSuffix(got[0], "v0") {
		t.Errorf("facts: %s", got)
	}
	w.same("trail", []string{"prod-1 by shepherd: healthy to healthy"}, w.lines(trail))
	w.same("judged again", []string{"20 at 4"}, w.judgings())
}

// What a cluster can do is noted, and whoever leans on it is judged again when that changes; the log says what
// has changed, and warns of health alone.
func TestHealthRefreshesCapabilities(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	var log strings.Builder
	w.health.log = slog.New(slog.NewTextHandler(&log, nil))
	w.look()
	before := w.lines(`select capabilities::text from clusters`)
	_, err := w.pool.Exec(t.Context(), `update clusters set capabilities = '{"devices": {"nvidia.com/A10": 2}, "networks": ["default/gone"]}'`)
	w.ok(err)
	w.reports(map[int]string{20: `{"changes": [{"plan": {"cluster": "prod-1"}}]}`, 21: `{"changes": [{"plan": {"cluster": "test-1"}}]}`})
	w.look()
	w.same("capabilities", before, w.lines(`select capabilities::text from clusters`))
	w.same("judged again", []string{"20 at 4"}, w.judgings())
	w.same("changed", []string{"devices: -nvidia.com/A10=2", "networks: -default/gone"},
		w.lines(`select c from audit_log, jsonb_array_elements_text(params->'changed') c where action_code = 'CLUSTER_HEALTH' and c not like 'not known%'`))
	if got := log.String(); !strings.Contains(got, "level=INFO") || strings.Contains(got, "level=WARN") || !strings.Contains(got, "devices: -nvidia.com/A10=2") {
		t.Errorf("log %s", got)
	}
	w.instead("/apis/kubevirt.io/v1", http.StatusNotFound)
	w.look()
	if got := log.String(); !strings.Contains(got, "level=WARN") {
		t.Errorf("log %s", got)
	}
}

// What a cluster has more than before, such as the devices of a new node, is noted, and has nobody judged again but
// those that lacked something.
func TestHealthOfAClusterThatGrows(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.look()
	w.reports(map[int]string{
		20: `{"changes": [{"plan": {"cluster": "prod-1"}}]}`,
		21: `{"changes": [{"plan": {"cluster": "prod-1"}, "problems": [{"code": "NO_ELIGIBLE_CLUSTER"}]}]}`,
	})
	for _, step := range []struct {
		what    string
		devices map[string]int64
		classes []provider.StorageClass
		want    []string
	}{
		{"a new node", map[string]int64{"nvidia.com/A10": 2}, nil, []string{"21 at 4"}},
		{"a storage class", map[string]int64{"nvidia.com/A10": 2}, []provider.StorageClass{{Name: "fast"}}, []string{"21 at 4"}},
		{"nothing", map[string]int64{"nvidia.com/A10": 2}, []provider.StorageClass{{Name: "fast"}}, nil},
		{"another default", map[string]int64{"nvidia.com/A10": 2}, []provider.StorageClass{{Name: "fast", Default: true}}, []string{"20 at 4", "21 at 4"}},
		{"a node less", map[string]int64{"nvidia.com/A10": 1}, []provider.StorageClass{{Name: "fast", Default: true}}, []string{"20 at 4", "21 at 4"}},
		{"no storage class", map[string]int64{"nvidia.com/A10": 1}, nil, []string{"20 at 4", "21 at 4"}},
	} {
		_, err := w.pool.Exec(t.Context(), `delete from river_job; update pull_requests set queued = false`)
		w.ok(err)
		row, err := w.db.Cluster.Get(t.Context(), "prod-1")
		w.ok(err)
		facts := provider.Facts{UID: row.UID, HasKubeVirt: true, KubeVirtVersion: row.KubevirtVersion, Capabilities: *row.Capabilities, StorageClasses: step.classes}
		facts.Capabilities.Devices = step.devices
		w.ok(w.health.note(t.Context(), row, finding{health: row.Health, facts: &facts}))
		w.same("judged again after "+step.what, step.want, w.judgings())
	}
	w.same("devices", []string{`{"nvidia.com/A10": 1}`}, w.lines(`select (capabilities->'devices')::text from clusters`))
}

// What is not answered for this time stays as it was.
func TestHealthKeepsWhatIsNotAnswered(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	_, err := w.pool.Exec(t.Context(), `update clusters set capabilities = jsonb_set(capabilities, '{devices}', '{"nvidia.com/A10": 2}')`)
	w.ok(err)
	w.instead("/api/v1/nodes", http.StatusInternalServerError)
	w.look()
	w.same("trail", nil, w.lines(trail))
	w.same("devices", []string{"2"}, w.lines(`select capabilities->'devices'->>'nvidia.com/A10' from clusters`))
	w.instead("/api/v1/nodes", http.StatusForbidden)
	w.look()
	w.same("not known", []string{"true"}, w.lines(`select (capabilities->'unknown' ? 'Node')::text from clusters`))
}

// A dead cluster keeps no other one from being looked at, and each is noted under its own name.
func TestHealthOfMany(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.kubeconfig = w.kube.Kubeconfig()
	for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"} {
		w.add(name)
	}
	line, kubeconfig := newLine(w.world)
	w.kubeconfig = kubeconfig
	w.add("prod-1")
	line.cut()
	for range maxSilence {
		w.look()
	}
	w.same("health", []string{"10 healthy", "1 unreachable"}, w.lines(`select count(*) || ' ' || health from clusters group by health order by health`))
}

// What was looked at before the credentials were replaced says nothing about the new ones.
func TestHealthIsOvertaken(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	old, err := w.db.Cluster.Get(t.Context(), "prod-1")
	w.ok(err)
	w.add("prod-1")
	w.reports(map[int]string{20: `{"changes": [{"plan": {"cluster": "prod-1"}}]}`})
	w.ok(w.health.note(t.Context(), old, finding{health: cluster.HealthUnhealthy, message: "late"}))
	w.same("health", []string{"healthy"}, []string{w.is("prod-1")})
	w.same("trail", nil, w.lines(trail))
	w.same("judged again", nil, w.judgings())
	w.ok(w.db.Cluster.DeleteOneID("prod-1").Exec(t.Context()))
	w.ok(w.health.note(t.Context(), old, finding{health: cluster.HealthUnhealthy, message: "late"}))
}

// A loop that is stopped notes nothing: that nobody waited is not the cluster's fault.
func TestHealthStopped(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	row, err := w.db.Cluster.Get(t.Context(), "prod-1")
	w.ok(err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.health.check(ctx, row); err == nil {
		t.Error("no error")
	}
	w.same("health", []string{"healthy"}, []string{w.is("prod-1")})
}

func TestCondition(t *testing.T) {
	t.Parallel()
	for phase, want := range map[string]cluster.Health{
		"": cluster.HealthHealthy, "Deployed": cluster.HealthHealthy, "Deploying": cluster.HealthUnhealthy, "Deleting": cluster.HealthUnhealthy,
	} {
		if got, message := Condition(provider.Facts{HasKubeVirt: true, KubeVirtPhase: phase}); got != want || (message == "") != (want == cluster.HealthHealthy) {
			t.Errorf("phase %q: %s %s", phase, got, message)
		}
	}
}

// Reports as the judge writes them name their clusters where the waking looks.
func TestWakeClustersReadsReports(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.merged()
	c := judge.Change{Path: "p", Plan: &judge.Plan{Choice: judge.Choice{Cluster: "prod-1"}}}
	pull := approval.Pull{Number: 9, HeadSHA: "h1", BaseRef: "main", State: "open"}
	w.ok(w.db.PullRequest.Create().SetID(9).SetWanted(1).Exec(t.Context()))
	w.ok(w.gateway.Submit(t.Context(), approval.Submission{Pull: pull, Judged: 1, Report: judge.Report{Head: "h1", Changes: []judge.Change{c}}}))
	for _, name := range []string{"prod-1", "test-1"} {
		_, err := w.pool.Exec(t.Context(), `delete from river_job`)
		w.ok(err)
		w.ok(w.db.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return approval.WakeClusters(ctx, tx, w.queue, name) }))
		want := map[string][]string{"prod-1": {"9 at 4"}}[name]
		w.same("woken by "+name, want, w.judgings())
	}
}
