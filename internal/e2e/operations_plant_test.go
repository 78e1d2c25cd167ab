package e2e

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1beta1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/kubetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// plant is a world whose clusters are reached through a gate: it plays the server of KubeVirt that
// restarts machines, and can be shut to what changes them.
type plant struct {
	*world
	gate *gate
}

type gate struct {
	kube *kubetest.Cluster
	pass http.Handler

	mu   sync.Mutex
	shut chan struct{} // nil: it is open
	held int           // requests that have waited at the gate
}

// newPlant sets the scene, and before the server looks at the clusters what else they have. Alice may also
// delete, in prod too.
func newPlant(t testing.TB, before ...func(*world)) *plant {
	t.Helper()
	const deletes = `apiVersion: kubevirt-shepherd.io/v1alpha1
kind: RoleBinding
spec:
  role: system-admin
  people: [{login: alice, id: 101}]
  allowedEnvironments: [test, prod]
`
	p := &plant{gate: &gate{}}
	p.world = setup{stage: []func(*stage.Options){func(o *stage.Options) {
		o.Files["platform/roles/admins.yaml"] = []byte(deletes)
	}}, kubeconfig: func(w *world) []byte {
		p.gate.kube = w.kube
		for _, prepare := range before {
			prepare(w)
		}
		return p.gate.open(w)
	}}.world(t)
	t.Cleanup(p.gate.letThrough) // what waits at the end ends
	return p
}

// open lets the gate listen and gives the kubeconfig that leads through it.
func (g *gate) open(w *world) []byte {
	config := g.kube.Config()
	target := must(url.Parse(config.Host))(w)
	g.pass = &httputil.ReverseProxy{Transport: must(rest.TransportFor(config))(w), Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Del("Authorization")
	}, ErrorHandler: func(rw http.ResponseWriter, _ *http.Request, _ error) { rw.WriteHeader(http.StatusBadGateway) }}
	server := httptest.NewTLSServer(g)
	w.t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: u, user: {token: t}}]
`, server.URL, base64.StdEncoding.EncodeToString(authority))
}

// ServeHTTP passes everything on, but for restarts, and for what changes machines while the gate is shut.
func (g *gate) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, "/apis/subresources.kubevirt.io/") {
		g.restart(rw, r)
		return
	}
	if shut := g.waitsFor(r); shut != nil {
		select {
		case <-shut:
		case <-r.Context().Done():
			return
		}
	}
	g.pass.ServeHTTP(rw, r)
}

func (g *gate) waitsFor(r *http.Request) chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut == nil || r.Method == http.MethodGet || !strings.Contains(r.URL.Path, "/virtualmachines/") {
		return nil
	}
	g.held++
	return g.shut
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut, g.held = make(chan struct{}), 0
}

func (g *gate) letThrough() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

func (g *gate) waiting() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.held
}

// restart keeps the wish in the machine's status, as KubeVirt does, and refuses what cannot be.
func (g *gate) restart(rw http.ResponseWriter, r *http.Request) {
	parts := strings.Split(r.URL.Path, "/")
	key := client.ObjectKey{Namespace: parts[5], Name: parts[7]}
	var vm kubevirtv1.VirtualMachine
	var instance kubevirtv1.VirtualMachineInstance
	err := g.kube.Client().Get(r.Context(), key, &vm)
	if err == nil {
		err = g.kube.Client().Get(r.Context(), key, &instance)
	}
	if err == nil && len(vm.Status.StateChangeRequests) == 0 {
		vm.Status.StateChangeRequests = []kubevirtv1.VirtualMachineStateChangeRequest{
			{Action: kubevirtv1.StopRequest, UID: &instance.UID}, {Action: kubevirtv1.StartRequest},
		}
		err = g.kube.Client().Status().Update(r.Context(), &vm)
	}
	if err != nil {
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(http.StatusConflict)
		_, _ = fmt.Fprintf(rw, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Conflict","message":%q,"details":{"name":%q},"code":409}`, err.Error(), key.Name)
		return
	}
	rw.WriteHeader(http.StatusAccepted)
}

// boots plays KubeVirt: a machine runs, as an instance of its own.
func (w *plant) boots(names ...string) {
	w.t.Helper()
	for _, name := range names {
		w.vm(name)
		key := w.key(name)
		err := w.kube.Client().Create(w.t.Context(), &kubevirtv1.VirtualMachineInstance{ObjectMeta: metav1.ObjectMeta{Name: key.Name, Namespace: key.Namespace}})
		w.do(err)
		w.is(name, kubevirtv1.VirtualMachineStatusRunning)
	}
}

// halts plays KubeVirt: the machine's instance is gone.
func (w *plant) halts(name string) {
	w.t.Helper()
	key := w.key(name)
	w.do(w.kube.Client().Delete(w.t.Context(), &kubevirtv1.VirtualMachineInstance{ObjectMeta: metav1.ObjectMeta{Name: key.Name, Namespace: key.Namespace}}))
	w.is(name, kubevirtv1.VirtualMachineStatusStopped)
}

// is plays KubeVirt: a machine is in a state, and nothing that was asked of it is open any more.
func (w *plant) is(name string, state kubevirtv1.VirtualMachinePrintableStatus, further ...kubevirtv1.VirtualMachineCondition) {
	w.t.Helper()
	vm := w.vm(name)
	if len(vm.Status.StateChangeRequests) > 0 {
		vm.Status.StateChangeRequests = nil
		w.do(w.kube.Client().Status().Update(w.t.Context(), vm))
	}
	w.do(kubetest.SetVMStatus(w.t.Context(), w.kube.Client(), w.key(name), state, further...))
}

// strategy is what a machine is told about its power.
func (w *plant) strategy(name string) kubevirtv1.VirtualMachineRunStrategy {
	w.t.Helper()
	if s := w.vm(name).Spec.RunStrategy; s != nil {
		return *s
	}
	return ""
}

// byHand changes a machine on the cluster, past git.
func (w *plant) byHand(name string, change func(*kubevirtv1.VirtualMachine)) {
	w.t.Helper()
	vm := w.vm(name)
	change(vm)
	w.do(w.kube.Client().Update(w.t.Context(), vm, client.FieldOwner("kubectl-edit")))
}

// disks are the names and sizes of the DataVolumes in a namespace.
func (w *plant) disks(env string) string {
	w.t.Helper()
	var list cdiv1beta1.DataVolumeList
	w.do(w.kube.Client().List(w.t.Context(), &list, client.InNamespace(w.kubeNamespace(env))))
	var out []string
	for _, d := range list.Items {
		size := "?"
		if d.Spec.Storage != nil {
			size = d.Spec.Storage.Resources.Requests.Storage().String()
		}
		out = append(out, d.Name+" "+size)
	}
	return strings.Join(out, ", ")
}

// bound plays CDI and the storage: a disk has its claim, which can grow.
func (w *plant) bound(env, disk, class, size string) {
	w.t.Helper()
	var dv cdiv1beta1.DataVolume
	key := client.ObjectKey{Namespace: w.kubeNamespace(env), Name: disk}
	w.do(w.kube.Client().Get(w.t.Context(), key, &dv))
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{
		Name: key.Name, Namespace: key.Namespace, Labels: dv.Labels,
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "cdi.kubevirt.io/v1beta1", Kind: "DataVolume", Name: dv.Name, UID: dv.UID}},
	}}
	claim.Spec.StorageClassName, claim.Spec.AccessModes = &class, []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: quantity(size)}
	w.do(w.kube.Client().Create(w.t.Context(), claim))
	claim.Status.Phase = corev1.ClaimBound
	w.do(w.kube.Client().Status().Update(w.t.Context(), claim))
}

func (w *plant) claimSize(env, name string) string {
	w.t.Helper()
	var claim corev1.PersistentVolumeClaim
	w.do(w.kube.Client().Get(w.t.Context(), client.ObjectKey{Namespace: w.kubeNamespace(env), Name: name}, &claim))
	return claim.Spec.Resources.Requests.Storage().String()
}
