package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/kubetest"
	"kv-shepherd.io/shepherd/internal/render"
	"kv-shepherd.io/shepherd/internal/stage"
)

// percentiles reports p50 and p95 of durations in milliseconds.
func percentiles(b *testing.B, name string, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	at := func(q float64) float64 {
		return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000
	}
	b.ReportMetric(at(0.50), name+"-p50-ms")
	b.ReportMetric(at(0.95), name+"-p95-ms")
}

// fleet is a spec repository of many VMs that nobody has accepted: what is there costs nothing.
func fleet(n int) func(*stage.Options) {
	return func(o *stage.Options) {
		o.Unprotected = true
		o.Forge.RateLimit = 1 << 30
		o.Files["systems/shop/system.yaml"] = stage.System("the web shop")
		for i := range n {
			service := fmt.Sprintf("svc%d", i/500)
			o.Files["systems/shop/"+service+"/service.yaml"] = stage.Service("one of many")
			o.Files[fmt.Sprintf("systems/shop/%s/test-shop/%02d.yaml", service, i%500+1)] = stage.VM("small", "one of many")
		}
	}
}

// BenchmarkWebhookToCheck is the time from a pull request for one VM to its posted approval check, in a
// spec repository of 10,000 VMs.
func BenchmarkWebhookToCheck(b *testing.B) {
	w := newWorld(b, fleet(10000))
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		branch := fmt.Sprintf("ask-%d", i)
		if _, err := w.Alice.Commit(w.Repo, branch, "main", forgetest.Files{
			fmt.Sprintf("systems/shop/svc0/test-shop/%d.yaml", 1000+i): stage.VM("small", "one more"),
		}, "ask"); err != nil {
			b.Fatal(err)
		}
		began := time.Now()
		pr, err := w.Alice.OpenPull(w.Repo, "One more", branch, "main", "", false)
		if err != nil {
			b.Fatal(err)
		}
		for {
			if _, ok := pr.Check("shepherd/approval"); ok {
				break
			}
			time.Sleep(time.Millisecond)
		}
		took = append(took, time.Since(began))
	}
	percentiles(b, "check", took)
}

// BenchmarkMergeToApplied is the time from a merge to the VM's object, one at a time.
func BenchmarkMergeToApplied(b *testing.B) {
	w := newWorld(b, func(o *stage.Options) { o.Forge.RateLimit = 1 << 30 })
	w.land("first", forgetest.Files{
		"systems/shop/system.yaml":        stage.System("the web shop"),
		"systems/shop/redis/service.yaml": stage.Service("the cache"),
	})
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		name := fmt.Sprintf("%d", 10+i)
		pr := w.ask("vm-"+name, forgetest.Files{"systems/shop/redis/test-shop/" + name + ".yaml": stage.VM("small", "one more")})
		w.check(pr, "shepherd/approval", "action_required")
		w.approve(w.Bob, pr)
		w.check(pr, "shepherd/approval", "success")
		b.StartTimer()
		began := time.Now()
		w.merge(pr, "merge")
		w.applied(1, "test-shop-shop-redis-"+name)
		took = append(took, time.Since(began))
	}
	percentiles(b, "applied", took)
}

// land asks for structure, which needs no approval, and merges it.
func (w *world) land(branch string, files forgetest.Files) {
	w.t.Helper()
	pr := w.ask(branch, files)
	w.check(pr, "shepherd/approval", "success")
	w.merge(pr, "squash")
	w.eventually("the structure to be accepted", func() bool {
		return w.count("select count(*) from accepted where commit = $1", w.Repo.Head("main")) == len(files)
	})
}

// applied waits until the cluster has n VMs whose names begin so, by asking the API server.
func (w *world) applied(n int, prefix string) {
	w.t.Helper()
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(kubevirtv1.VirtualMachineGroupVersionKind.GroupVersion().WithKind("VirtualMachineList"))
	for {
		if err := w.kube.Client().List(w.t.Context(), list, client.InNamespace(w.kubeNamespace("test"))); err != nil {
			w.t.Fatal(err)
		}
		found := 0
		for _, item := range list.Items {
			if strings.HasPrefix(item.Name, prefix) {
				found++
			}
		}
		if found >= n {
			return
		}
		time.Sleep(time.Duration(min(2*n, 100)) * time.Millisecond) // asking is work for the API server too
	}
}

// bulk is how many VMs are merged in one pull request, and how many of them a cluster is given at once.
const (
	bulk        = 200
	concurrency = 4
)

// BenchmarkMerge200 merges 200 VMs in one pull request and compares the objects a second, from the
// merge to the last object, with a bare loop of server-side applies of the same objects with the same
// concurrency on the same API server.
func BenchmarkMerge200(b *testing.B) {
	w := newWorld(b, func(o *stage.Options) { o.Forge.RateLimit = 1 << 30 })
	w.stop()
	w.cfg.Approval.CommentInterval = config.Defaults().Approval.CommentInterval
	w.cfg.Limits.Creates, w.cfg.Limits.Modifications, w.cfg.Limits.PerHour, w.cfg.Listen = bulk, bulk, 0, "127.0.0.1:0"
	w.serve()
	for i := 0; b.Loop(); i++ {
		b.StopTimer()
		service := fmt.Sprintf("bulk%d", i)
		files := forgetest.Files{"systems/shop/" + service + "/service.yaml": stage.Service("many")}
		if i == 0 {
			files["systems/shop/system.yaml"] = stage.System("the web shop")
		}
		for n := range bulk {
			files[fmt.Sprintf("systems/shop/%s/test-shop/%02d.yaml", service, n+1)] = stage.VM("small", "one of many")
		}
		began := time.Now()
		pr := w.ask(service, files)
		w.check(pr, "shepherd/approval", "action_required")
		b.ReportMetric(time.Since(began).Seconds(), "judge-s")
		w.approve(w.Bob, pr)
		w.check(pr, "shepherd/approval", "success")
		b.StartTimer()
		began = time.Now()
		w.merge(pr, "merge")
		w.applied(bulk, "test-shop-shop-"+service+"-")
		took := time.Since(began)
		b.StopTimer()
		for path := range files {
			if strings.Contains(path, "/test-shop/") {
				files[path] = stage.VM("medium", "one of many, larger")
			} else {
				delete(files, path)
			}
		}
		for n := range bulk { // until then each is watched
			w.do(kubetest.SetVMStatus(b.Context(), w.kube.Client(), w.key(fmt.Sprintf("test-shop-shop-%s-%02d", service, n+1)), kubevirtv1.VirtualMachineStatusRunning))
		}
		w.quiet()
		began = time.Now()
		larger := w.ask(service+"-larger", files)
		w.check(larger, "shepherd/approval", "action_required")
		b.ReportMetric(time.Since(began).Seconds(), "judge-modify-s")
		w.do(w.Alice.Close(larger))
		objects := w.objects(service)
		bare := w.bare(objects)
		b.ReportMetric(float64(len(objects))/took.Seconds(), "objects/s")
		b.ReportMetric(float64(len(objects))/bare.Seconds(), "bare-objects/s")
		b.ReportMetric(bare.Seconds()/took.Seconds(), "of-bare")
		b.StartTimer()
	}
}

// objects are the manifests that were applied for a service.
func (w *world) objects(service string) []render.Manifest {
	w.t.Helper()
	rows, err := w.pool.Query(w.t.Context(), `select p.manifests from plans p join vms v on v.accepted_plan = p.id where v.service = $1`, service)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	var out []render.Manifest
	for rows.Next() {
		var data []byte
		var ms []render.Manifest
		if err := rows.Scan(&data); err != nil {
			w.t.Fatal(err)
		}
		if err := json.Unmarshal(data, &ms); err != nil {
			w.t.Fatal(err)
		}
		out = append(out, ms...)
	}
	return out
}

// bare applies the same objects under other names, server-side, with nothing around it.
func (w *world) bare(objects []render.Manifest) time.Duration {
	w.t.Helper()
	ctx, c := w.t.Context(), w.kube.Client()
	var failed atomic.Value
	work := make(chan *unstructured.Unstructured)
	var wg sync.WaitGroup
	began := time.Now()
	for range concurrency {
		wg.Go(func() {
			for u := range work {
				if err := applyBare(ctx, c, u); err != nil {
					failed.Store(err)
				}
			}
		})
	}
	for _, m := range objects {
		u := &unstructured.Unstructured{}
		if err := json.Unmarshal(m.JSON, &u.Object); err != nil {
			w.t.Fatal(err)
		}
		u.SetName("bare-" + u.GetName())
		work <- u
	}
	close(work)
	wg.Wait()
	if err := failed.Load(); err != nil {
		w.t.Fatal(err)
	}
	return time.Since(began)
}

func applyBare(ctx context.Context, c client.Client, u *unstructured.Unstructured) error {
	return c.Apply(ctx, client.ApplyConfigurationFromUnstructured(u), client.FieldOwner("bare"), client.ForceOwnership)
}
