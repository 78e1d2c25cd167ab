package service

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/ent/cluster"
	"kv-shepherd.io/shepherd/internal/render"
)

// many are requests for a number of new VMs, in turns on two clusters.
func (w *world) many(n int, clusters ...string) []render.PreviewRequest {
	out := make([]render.PreviewRequest, n)
	for i := range out {
		out[i] = w.wanting(i + 1)
		out[i].Cluster = clusters[i%len(clusters)]
	}
	return out
}

// A cluster that is gone, or that does not speak, takes no time from the others and is asked once, not once a
// preview.
func TestPreviewsOfASilentCluster(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		end   func(t *testing.T, l *line)
		want  string
		limit time.Duration
	}{
		{"down", func(_ *testing.T, l *line) { l.cut() }, "it refuses connections", time.Second},
		{"mute", func(t *testing.T, l *line) { l.cut(); mute(t, l.listen) }, "did not answer in time", 2 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.add("prod-1")
			l, kubeconfig := newLine(w)
			w.kubeconfig = kubeconfig
			w.add("prod-2")
			tt.end(t, l)
			p := w.previewer(func(d *PreviewerDeps) { d.Call = 500 * time.Millisecond })
			began := time.Now()
			for i, got := range w.previewed(p, w.many(40, "prod-1", "prod-2")...) {
				switch text := outline(got); {
				case i%2 == 0 && text != "VirtualMachine created, impact ":
					t.Errorf("%d on the other cluster: %s", i, text)
				case i%2 == 1 && (!strings.HasPrefix(text, "unanswered: cluster prod-2 does not answer: ") || !strings.Contains(text, tt.want)):
					t.Errorf("%d: %s", i, text)
				}
			}
			if spent := time.Since(began); spent > tt.limit+time.Second {
				t.Errorf("it took %s", spent)
			}
		})
	}
}

// mute accepts connections at an address and never says a word.
func mute(t *testing.T, address string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		var open []net.Conn // the garbage collector closes those that nobody holds
		for {
			conn, err := listener.Accept()
			if err != nil {
				break
			}
			open = append(open, conn)
		}
		for _, conn := range open {
			_ = conn.Close()
		}
	}()
}

// newWorldByLine is a world with cluster prod-1 behind a line.
func newWorldByLine(t *testing.T) (*world, *line) {
	t.Helper()
	w := newWorld(t)
	l, kubeconfig := newLine(w)
	w.kubeconfig = kubeconfig
	w.add("prod-1")
	return w, l
}

// A cluster that falls silent in the middle leaves the answers that it gave.
func TestPreviewsOfAClusterThatFallsSilent(t *testing.T) {
	t.Parallel()
	w, l := newWorldByLine(t)
	p := w.previewer(func(d *PreviewerDeps) { d.Call = 500 * time.Millisecond })
	if got := outline(w.previewed(p, w.wanting(1))[0]); got != "VirtualMachine created, impact " {
		t.Fatal(got)
	}
	l.freeze()
	began := time.Now()
	for i, got := range w.previewed(p, w.many(40, "prod-1")...) {
		if text := outline(got); !strings.HasPrefix(text, "unanswered: cluster prod-1 does not answer: ") {
			t.Errorf("%d: %s", i, text)
		}
	}
	if spent := time.Since(began); spent > 2*time.Second {
		t.Errorf("it took %s", spent)
	}
}

// A cluster that answers, and each time only just, ends with the time that there is for all.
func TestPreviewsEndWithTheirBudget(t *testing.T) {
	t.Parallel()
	w, l := newWorldByLine(t)
	l.delay.Store(int64(100 * time.Millisecond))
	p := w.previewer(func(d *PreviewerDeps) { d.Budget = time.Second })
	began := time.Now()
	answered, late := 0, 0
	for i, got := range w.previewed(p, w.many(60, "prod-1")...) {
		switch text := outline(got); {
		case text == "VirtualMachine created, impact ":
			answered++
		case strings.HasPrefix(text, "unanswered: cluster prod-1 does not answer fast enough"):
			late++
		default:
			t.Errorf("%d: %s", i, text)
		}
	}
	if answered == 0 || late == 0 {
		t.Errorf("%d answered, %d late", answered, late)
	}
	if spent := time.Since(began); spent > 3*time.Second {
		t.Errorf("it took %s", spent)
	}
}

// Of a VM that exists it is known what a change does even where the cluster does not answer.
func TestPreviewOfAChangeThatNobodyAnswers(t *testing.T) {
	t.Parallel()
	w, l := newWorldByLine(t)
	p := w.previewer(func(d *PreviewerDeps) { d.Call = 500 * time.Millisecond })
	larger := with(w.having(1), "1Gi", "2Gi")
	larger.Previous, larger.Running = w.having(1).Manifests, true
	l.freeze()
	got := w.previewed(p, larger, w.wanting(2))
	if got[0].Unanswered == "" || got[0].Impact != render.ImpactMigrates {
		t.Errorf("unanswered %q, impact %q", got[0].Unanswered, got[0].Impact)
	}
	fields := got[0].Objects[0].Fields
	if len(fields) != 1 || fields[0].Path != "spec.template.spec.domain.memory.guest" || fields[0].From != "1Gi" || fields[0].To != "2Gi" {
		t.Errorf("fields %+v", fields)
	}
	if got[1].Unanswered == "" || got[1].Impact != "" || len(got[1].Objects) != 0 {
		t.Errorf("a creation: %+v", got[1])
	}
}

// What is known to be unreachable is not asked.
func TestPreviewsDoNotAskWhatIsUnreachable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	w.ok(w.db.Cluster.Update().SetHealth(cluster.HealthUnreachable).SetHealthMessage("it refuses connections").Exec(t.Context()))
	got := outline(w.previewed(w.previewer(nil), w.wanting(1))[0])
	if got != "unanswered: cluster prod-1 does not answer: it refuses connections" {
		t.Error(got)
	}
}

func TestPreviewsWithoutADatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := w.previewer(nil).Preview(ctx, []render.PreviewRequest{w.wanting(1)})[0]
	if got.Unanswered != "what is known of cluster prod-1 cannot be read" || got.Cluster != "prod-1" {
		t.Errorf("%+v", got)
	}
	if none := w.previewer(nil).Preview(ctx, nil); len(none) != 0 {
		t.Errorf("%+v", none)
	}
}

func TestTwoHundredPreviews(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.add("prod-1")
	const n = 200
	missing, modified := w.many(n, "prod-1"), make([]render.PreviewRequest, n)
	for i, r := range missing {
		r.Namespace = w.ns + "-missing"
		r.Manifests = []render.Manifest{machine(r.Ref, r.Namespace)}
		missing[i], modified[i] = r, with(w.having(n+1+i), "1Gi", "2Gi")
	}
	tests := []struct {
		name     string
		requests []render.PreviewRequest
		want     string
	}{
		{"creations", w.many(n, "prod-1"), "VirtualMachine created"},
		{"creations in a namespace that is missing", missing, "Namespace created, VirtualMachine created"},
		{"modifications", modified, "VirtualMachine configured"},
	}
	for _, tt := range tests {
		began := time.Now()
		for i, got := range w.previewed(w.previewer(nil), tt.requests...) {
			if text := outline(got); !strings.HasPrefix(text, tt.want) {
				t.Errorf("%s, %d: %s", tt.name, i, text)
			}
		}
		t.Logf("%d %s on one cluster took %s", n, tt.name, time.Since(began).Round(time.Millisecond))
	}
}
