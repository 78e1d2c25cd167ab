package service

import (
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// behind is a world whose cluster is reached through a server of the test's: answer gets every request,
// and passes on what it does not answer itself.
func behind(t *testing.T, answer func(w *world, rw http.ResponseWriter, r *http.Request, pass http.Handler)) *world {
	t.Helper()
	w := newWorld(t)
	config := w.kube.Config()
	target, err := url.Parse(config.Host)
	w.ok(err)
	transport, err := rest.TransportFor(config)
	w.ok(err)
	pass := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Del("Authorization")
	}}
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { answer(w, rw, r, pass) }))
	t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	w.kubeconfig = fmt.Appendf(nil, `apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: u, user: {token: t}}]
`, server.URL, base64.StdEncoding.EncodeToString(authority))
	w.add("prod-1")
	return w
}

// virtAPI is the restart subresource as KubeVirt serves it: the wish goes into the VM's status, and is
// refused while one waits there.
type virtAPI struct {
	calls, restarts atomic.Int64
}

func isRestart(r *http.Request) bool {
	return r.Method == http.MethodPut && strings.HasPrefix(r.URL.Path, "/apis/subresources.kubevirt.io/")
}

// withVirtAPI is a world in which VMs can be restarted.
func withVirtAPI(t *testing.T) (*world, *virtAPI) {
	v := &virtAPI{}
	return behind(t, func(w *world, rw http.ResponseWriter, r *http.Request, pass http.Handler) {
		if isRestart(r) {
			v.serve(w, rw, r)
			return
		}
		pass.ServeHTTP(rw, r)
	}), v
}

func (v *virtAPI) serve(w *world, rw http.ResponseWriter, r *http.Request) {
	v.calls.Add(1)
	parts := strings.Split(r.URL.Path, "/")
	key := client.ObjectKey{Namespace: parts[5], Name: parts[7]}
	refuse := func(code int, message string) {
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(code)
		_, _ = fmt.Fprintf(rw, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Conflict","message":%q,"details":{"name":%q},"code":%d}`, message, key.Name, code)
	}
	var vm kubevirtv1.VirtualMachine
	var instance kubevirtv1.VirtualMachineInstance
	if err := w.kube.Client().Get(r.Context(), key, &vm); err != nil {
		refuse(http.StatusNotFound, err.Error())
		return
	}
	if err := w.kube.Client().Get(r.Context(), key, &instance); err != nil {
		refuse(http.StatusConflict, "VM is not running")
		return
	}
	if len(vm.Status.StateChangeRequests) > 0 {
		refuse(http.StatusInternalServerError, "unable to complete request: stop/start already underway")
		return
	}
	vm.Status.StateChangeRequests = []kubevirtv1.VirtualMachineStateChangeRequest{
		{Action: kubevirtv1.StopRequest, UID: &instance.UID}, {Action: kubevirtv1.StartRequest},
	}
	if err := w.kube.Client().Status().Update(r.Context(), &vm); err != nil {
		refuse(http.StatusConflict, "the object has been modified")
		return
	}
	v.restarts.Add(1)
	rw.WriteHeader(http.StatusAccepted)
}

// boots makes an instance for a VM, as KubeVirt's controller does, and returns its uid.
func (w *world) boots(name string) string {
	w.Helper()
	instance := &kubevirtv1.VirtualMachineInstance{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.ns}}
	w.ok(w.kube.Client().Create(w.Context(), instance))
	return string(instance.UID)
}

// halts ends the instance and answers what was asked of the controller.
func (w *world) halts(name string) {
	w.Helper()
	w.ok(w.kube.Client().Delete(w.Context(), &kubevirtv1.VirtualMachineInstance{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: w.ns}}))
	var vm kubevirtv1.VirtualMachine
	w.ok(w.kube.Client().Get(w.Context(), client.ObjectKey{Namespace: w.ns, Name: name}, &vm))
	vm.Status.StateChangeRequests = nil
	w.ok(w.kube.Client().Status().Update(w.Context(), &vm))
}
