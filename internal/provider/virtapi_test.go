package provider

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubevirt "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// virtAPI is the restart subresource as KubeVirt serves it: it checks, writes the wish into the VM's
// status, and leaves the rest to the controller.
type virtAPI struct {
	admin client.Client
	calls atomic.Int64
}

const restartPrefix = "/apis/subresources.kubevirt.io/v1"

func isRestart(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, restartPrefix) }

func (v *virtAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.URL.Path == restartPrefix { // how the aggregator sees that the service is up
		_, _ = fmt.Fprint(w, `{"kind":"APIResourceList","apiVersion":"v1","groupVersion":"subresources.kubevirt.io/v1","resources":[]}`)
		return
	}
	var namespace, name string
	path := strings.NewReplacer("/", " ").Replace(strings.TrimPrefix(r.URL.Path, restartPrefix))
	if _, err := fmt.Sscanf(path, " namespaces %s virtualmachines %s restart", &namespace, &name); err != nil || r.Method != http.MethodPut {
		http.NotFound(w, r)
		return
	}
	v.calls.Add(1)
	var refused apierrors.APIStatus
	if errors.As(v.restart(r, client.ObjectKey{Namespace: namespace, Name: name}), &refused) {
		answer := refused.Status()
		answer.Kind, answer.APIVersion = "Status", "v1"
		w.WriteHeader(int(answer.Code))
		_ = json.NewEncoder(w).Encode(answer)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

func (v *virtAPI) restart(r *http.Request, key client.ObjectKey) error {
	resource := schema.GroupResource{Group: "kubevirt.io", Resource: "virtualmachine"}
	var vm kubevirt.VirtualMachine
	if err := v.admin.Get(r.Context(), key, &vm); err != nil {
		return err
	}
	strategy, err := vm.RunStrategy()
	if err != nil {
		return apierrors.NewInternalError(err)
	}
	if strategy == kubevirt.RunStrategyHalted || strategy == kubevirt.RunStrategyOnce {
		return apierrors.NewConflict(resource, key.Name, fmt.Errorf("RunStrategy %v does not support manual restart requests", strategy))
	}
	var instance kubevirt.VirtualMachineInstance
	if err := v.admin.Get(r.Context(), key, &instance); apierrors.IsNotFound(err) {
		return apierrors.NewConflict(resource, key.Name, fmt.Errorf("VM is not running: %v", kubevirt.RunStrategyHalted))
	} else if err != nil {
		return err
	}
	if len(vm.Status.StateChangeRequests) > 0 {
		return apierrors.NewInternalError(errors.New("unable to complete request: stop/start already underway"))
	}
	vm.Status.StateChangeRequests = []kubevirt.VirtualMachineStateChangeRequest{
		{Action: kubevirt.StopRequest, UID: &instance.UID}, {Action: kubevirt.StartRequest},
	}
	return v.admin.Status().Update(r.Context(), &vm)
}

// withVirtAPI is the bench with a virt-api that belongs to this test alone.
func (b bench) withVirtAPI() (bench, *virtAPI) {
	v := &virtAPI{admin: b.admin}
	return b.front(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if isRestart(r) {
			pass = v
		}
		pass.ServeHTTP(w, r)
	}), v
}

// runs makes an instance for a VM, as KubeVirt's controller does.
func (b bench) runs(name string) RestartMark {
	b.t.Helper()
	instance := &kubevirt.VirtualMachineInstance{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: b.ns}}
	b.create(instance)
	return RestartMark(instance.UID)
}

// stops ends the instance and answers what was asked of the controller.
func (b bench) stops(name string) {
	b.t.Helper()
	b.discard(&kubevirt.VirtualMachineInstance{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: b.ns}})
	var vm kubevirt.VirtualMachine
	if err := b.admin.Get(b.t.Context(), client.ObjectKey{Namespace: b.ns, Name: name}, &vm); err != nil {
		b.t.Fatal(err)
	}
	vm.Status.StateChangeRequests = nil
	if err := b.admin.Status().Update(b.t.Context(), &vm); err != nil {
		b.t.Fatal(err)
	}
}
