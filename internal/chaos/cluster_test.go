package chaos

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/kubetest"
)

// front stands before the API server and writes down what it is told to change, and does. What has come in
// goes on also when who asked dies meanwhile: so it is with a real API server.
type front struct {
	kubeconfig []byte

	mu     sync.Mutex
	writes []Write
}

func newFront(t testing.TB, kube *kubetest.Cluster) *front {
	t.Helper()
	config := kube.Config()
	target, err := url.Parse(config.Host)
	if err != nil {
		t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	f := &front{}
	pass := &httputil.ReverseProxy{Transport: transport, ModifyResponse: f.record, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Del("Authorization")
		r.Out.Header.Del("Accept-Encoding") // what is written down is read
	}, ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, _ error) { rw.WriteHeader(http.StatusBadGateway) }}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			pass.ServeHTTP(rw, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // cut off before the API server would have had it
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), time.Minute)
		defer cancel()
		whole := r.WithContext(context.WithValue(ctx, dry{}, r.URL.Query().Has("dryRun") || bytes.Contains(body, []byte(`"dryRun"`))))
		whole.Body = io.NopCloser(bytes.NewReader(body))
		pass.ServeHTTP(rw, whole)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.CloseClientConnections)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	f.kubeconfig = fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}],
clusters: [{name: k, cluster: {server: %q, certificate-authority-data: %s}}], users: [{name: u, user: {token: t}}]}`,
		server.URL, base64.StdEncoding.EncodeToString(authority))
	return f
}

// dry marks a request that only tries: by its address, or in the body where it deletes.
type dry struct{}

// record keeps what a cluster has obeyed; dry-runs and questions change nothing.
func (f *front) record(resp *http.Response) error {
	r := resp.Request
	_, namespaced, ok := strings.Cut(r.URL.Path, "/namespaces/")
	if tried, _ := r.Context().Value(dry{}).(bool); tried || r.Method == http.MethodGet || resp.StatusCode >= 300 || !ok {
		return nil
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	parts := strings.Split(namespaced, "/")
	if len(parts) < 2 {
		return nil // the namespace itself
	}
	w := Write{Verb: r.Method, Namespace: parts[0], Resource: parts[1], Object: objectOf(body)}
	if len(parts) > 2 {
		w.Name = parts[2]
	}
	if r.Method == http.MethodDelete {
		w.Object = Object{Name: w.Name}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes = append(f.writes, w)
	return nil
}

func objectOf(body []byte) Object {
	var vm kubevirtv1.VirtualMachine
	if json.Unmarshal(body, &vm) != nil {
		return Object{}
	}
	return object(&vm)
}

func object(vm *kubevirtv1.VirtualMachine) Object {
	o := Object{Name: vm.Name, UID: string(vm.UID), Version: vm.ResourceVersion, Annotations: vm.Annotations}
	if t := vm.Spec.Template; t != nil && t.Spec.Domain.Memory != nil && t.Spec.Domain.Memory.Guest != nil {
		o.Memory = t.Spec.Domain.Memory.Guest.String()
	}
	o.Running = vm.Spec.RunStrategy != nil && *vm.Spec.RunStrategy != kubevirtv1.RunStrategyHalted
	return o
}

// obeyed are the writes in two namespaces.
func (f *front) obeyed(namespaces ...string) (out []Write) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.writes {
		for _, ns := range namespaces {
			if w.Namespace == ns {
				out = append(out, w)
			}
		}
	}
	return out
}

func (f *front) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.writes)
}

// player is what KubeVirt would be: machines run, or stop, as they are told to.
type player struct {
	kube client.Client
	wg   sync.WaitGroup
}

func newPlayer(t testing.TB, kube *kubetest.Cluster, namespaces ...string) *player {
	t.Helper()
	c, err := client.NewWithWatch(kube.Config(), client.Options{Scheme: kube.Client().Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	p := &player{kube: kube.Client()}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	for _, ns := range namespaces {
		p.wg.Go(func() { p.follow(ctx, c, ns) })
	}
	t.Cleanup(func() { cancel(); p.wg.Wait() })
	return p
}

// follow watches a namespace until the end; a watch that ends is begun anew, with all that is there.
func (p *player) follow(ctx context.Context, c client.WithWatch, namespace string) {
	for ctx.Err() == nil {
		w, err := c.Watch(ctx, &kubevirtv1.VirtualMachineList{}, client.InNamespace(namespace))
		if err != nil {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		for e := range w.ResultChan() {
			if vm, ok := e.Object.(*kubevirtv1.VirtualMachine); ok && (e.Type == watch.Added || e.Type == watch.Modified) {
				p.play(ctx, vm)
			}
		}
	}
}

func (p *player) play(ctx context.Context, vm *kubevirtv1.VirtualMachine) {
	want := kubevirtv1.VirtualMachineStatusRunning
	if !object(vm).Running {
		want = kubevirtv1.VirtualMachineStatusStopped
	}
	if vm.Status.PrintableStatus == want && vm.Status.DesiredGeneration == vm.Generation {
		return
	}
	if vm.Status.PrintableStatus == want && want == kubevirtv1.VirtualMachineStatusStopped {
		return
	}
	_ = kubetest.SetVMStatus(ctx, p.kube, client.ObjectKeyFromObject(vm), want) // an error where it is gone, or changed again
}

// objects are the machines of two namespaces.
func (w *world) objects() (out []Object) {
	w.t.Helper()
	for _, env := range []string{"test", "prod"} {
		var list kubevirtv1.VirtualMachineList
		w.do(w.kube.Client().List(w.t.Context(), &list, client.InNamespace(w.namespace(env))))
		for i := range list.Items {
			out = append(out, object(&list.Items[i]))
		}
	}
	return out
}
