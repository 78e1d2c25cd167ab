package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/app"
	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/kubetest"
	"kv-shepherd.io/shepherd/internal/render"
	"kv-shepherd.io/shepherd/internal/stage"
)

// thousand is how many VMs one pull request brings to two clusters.
const thousand = 1000

// BenchmarkMerge1000 merges 1,000 VMs in one pull request, which the server, a process of its own, applies to
// two clusters with an API server each. It reports how long it takes from the pull request to its check and
// from the merge to the last object, the objects a second and the server's peak memory; and, in the same run
// with the same objects, a bare loop of server-side applies with the same concurrency on each cluster, and
// `kubectl apply --server-side`, one on each cluster side by side.
func BenchmarkMerge1000(b *testing.B) {
	second, err := kubetest.Start(b.Context(), kubetest.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = second.Stop() })
	w := setup{asleep: true, stage: []func(*stage.Options){func(o *stage.Options) {
		o.Forge.RateLimit = 1 << 30
		o.Files["platform/clusters/test-2.yaml"] = platformFile("Cluster", "  environment: test\n  status: active\n")
		o.Files["platform/namespaces/t.yaml"] = platformFile("Namespace", "  environment: test\n  kubernetesName: fleet\n")
	}}}.world(b)
	clusters, _, err := app.NewClusters(w.cfg, w.pool, w.logger())
	if err != nil {
		b.Fatal(err)
	}
	if _, err := clusters.Add(b.Context(), "test-2", second.Kubeconfig(), audit.Actor{Login: "dave", ID: 104}); err != nil {
		b.Fatal(err)
	}
	w.baseline(w.Repo.Head("main"))
	w.cfg.Approval.CommentInterval = config.Defaults().Approval.CommentInterval
	w.cfg.Limits.Creates, w.cfg.Limits.PerHour = thousand, 0
	w.launch()
	f := &pair{w: w, clusters: map[string]*kubetest.Cluster{"test-1": w.kube, "test-2": second}}
	for i := 0; b.Loop(); i++ {
		f.round(b, fmt.Sprintf("s%d", i))
	}
}

// pair is the two clusters of the benchmark.
type pair struct {
	w        *world
	clusters map[string]*kubetest.Cluster
}

func (f *pair) round(b *testing.B, system string) {
	b.StopTimer()
	w := f.w
	files := forgetest.Files{"systems/" + system + "/system.yaml": stage.System("many"), "systems/" + system + "/" + system + "b/service.yaml": stage.Service("many")}
	for n := range thousand {
		files[fmt.Sprintf("systems/%s/%sb/t/%02d.yaml", system, system, n+1)] = stage.VM("small", "one of many")
	}
	began := time.Now()
	pr := w.ask(system, files)
	w.check(pr, "shepherd/approval", "action_required")
	b.ReportMetric(time.Since(began).Seconds(), "judge-s")
	w.approve(w.Bob, pr)
	w.check(pr, "shepherd/approval", "success")
	b.StartTimer()
	began = time.Now()
	w.merge(pr, "merge")
	f.applied(thousand, "t-"+system)
	took := time.Since(began)
	b.StopTimer()
	objects := f.objects(system)
	n := float64(len(objects["test-1"]) + len(objects["test-2"]))
	b.ReportMetric(took.Seconds(), "applied-s")
	b.ReportMetric(n/took.Seconds(), "objects/s")
	b.ReportMetric(peak(b, w.process), "peak-MB")
	bare := f.bare("bare-"+system, objects)
	b.ReportMetric(n/bare.Seconds(), "bare-objects/s")
	b.ReportMetric(bare.Seconds()/took.Seconds(), "of-bare")
	kubectl := f.kubectl(b, "kubectl-"+system, objects)
	b.ReportMetric(n/kubectl.Seconds(), "kubectl-objects/s")
	b.ReportMetric(kubectl.Seconds()/took.Seconds(), "of-kubectl")
	b.StartTimer()
}

// applied waits until both clusters together have n VMs whose names begin so.
func (f *pair) applied(n int, prefix string) {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(kubevirtv1.VirtualMachineGroupVersionKind.GroupVersion().WithKind("VirtualMachineList"))
	f.w.eventuallyWithin(10*time.Minute, "all VMs to be applied", func() bool {
		found := 0
		for _, c := range f.clusters {
			f.w.do(c.Client().List(f.w.t.Context(), list, client.InNamespace("fleet")))
			for _, item := range list.Items {
				if strings.HasPrefix(item.Name, prefix) {
					found++
				}
			}
		}
		return found >= n
	})
}

// objects are what was applied, by cluster.
func (f *pair) objects(system string) map[string][]render.Manifest {
	f.w.t.Helper()
	const query = `select v.cluster, p.manifests from plans p join vms v on v.accepted_plan = p.id where v.system = $1`
	rows := must(f.w.pool.Query(f.w.t.Context(), query, system))(f.w)
	defer rows.Close()
	out := map[string][]render.Manifest{}
	for rows.Next() {
		var (
			cluster string
			data    []byte
			ms      []render.Manifest
		)
		f.w.do(rows.Scan(&cluster, &data))
		f.w.do(json.Unmarshal(data, &ms))
		out[cluster] = append(out[cluster], ms...)
	}
	f.w.do(rows.Err())
	return out
}

// in makes the objects those of another namespace, which is made.
func (f *pair) in(namespace string, cluster *kubetest.Cluster, ms []render.Manifest) []*unstructured.Unstructured {
	f.w.do(cluster.Client().Create(f.w.t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
	out := make([]*unstructured.Unstructured, len(ms))
	for i, m := range ms {
		out[i] = &unstructured.Unstructured{}
		f.w.do(json.Unmarshal(m.JSON, &out[i].Object))
		out[i].SetNamespace(namespace)
	}
	return out
}

// bare applies the objects with nothing around it, as many at once as a cluster's queue has workers.
func (f *pair) bare(namespace string, objects map[string][]render.Manifest) time.Duration {
	f.w.t.Helper()
	var all sync.WaitGroup
	work := map[string]chan *unstructured.Unstructured{}
	for name, c := range f.clusters {
		us := f.in(namespace, c, objects[name])
		work[name] = make(chan *unstructured.Unstructured, len(us))
		for _, u := range us {
			work[name] <- u
		}
		close(work[name])
	}
	began := time.Now()
	for name, c := range f.clusters {
		for range concurrency {
			all.Go(func() {
				for u := range work[name] {
					f.w.do(applyBare(f.w.t.Context(), c.Client(), u))
				}
			})
		}
	}
	all.Wait()
	return time.Since(began)
}

// kubectl applies one file on each cluster, side by side.
func (f *pair) kubectl(b *testing.B, namespace string, objects map[string][]render.Manifest) time.Duration {
	b.Helper()
	if _, err := exec.LookPath("kubectl"); err != nil {
		b.Fatal("kubectl is what this is compared with: install it")
	}
	dir := b.TempDir()
	var commands []*exec.Cmd
	for name, c := range f.clusters {
		var all bytes.Buffer
		for _, u := range f.in(namespace, c, objects[name]) {
			all.Write(must(json.Marshal(u))(f.w))
			all.WriteByte('\n')
		}
		file, kubeconfig := filepath.Join(dir, name+".json"), filepath.Join(dir, name+".kubeconfig")
		f.w.do(os.WriteFile(file, all.Bytes(), 0o600))
		f.w.do(os.WriteFile(kubeconfig, c.Kubeconfig(), 0o600))
		commands = append(commands, exec.Command("kubectl", "--kubeconfig", kubeconfig, "apply", "--server-side", "-f", file))
	}
	began := time.Now()
	var all sync.WaitGroup
	for _, cmd := range commands {
		all.Go(func() {
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Errorf("kubectl: %v\n%.2000s", err, out)
			}
		})
	}
	all.Wait()
	return time.Since(began)
}

// peak is the most memory that a process has had, in MB.
func peak(b *testing.B, pid int) float64 {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb / 1024
		}
	}
	b.Fatal("the process does not say its peak memory")
	return 0
}
