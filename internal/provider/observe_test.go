package provider

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirt "kubevirt.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/kubetest"
)

// reports sets what KubeVirt would report and returns what is observed of it.
func (b bench) reports(vm client.Object, status kubevirt.VirtualMachinePrintableStatus, further ...kubevirt.VirtualMachineCondition) Observation {
	b.t.Helper()
	if err := kubetest.SetVMStatus(b.t.Context(), b.admin, client.ObjectKeyFromObject(vm), status, further...); err != nil {
		b.t.Fatal(err)
	}
	o, err := b.Observe(b.t.Context(), vm.GetNamespace(), vm.GetName())
	if err != nil {
		b.t.Fatal(err)
	}
	return o
}

func TestObserve(t *testing.T) {
	t.Parallel()
	b := setup(t)
	absent, err := b.Observe(t.Context(), b.ns, "vm")
	if err != nil || absent.Exists {
		t.Fatalf("%+v, %v", absent, err)
	}
	m, target := b.created("vm")
	fresh, err := b.Observe(t.Context(), b.ns, "vm")
	if err != nil || !fresh.Exists || fresh.UID != target.UID || fresh.RunStrategy != "Always" || fresh.Generation != 1 {
		t.Fatalf("%+v, %v", fresh, err)
	}
	if v := Judge(fresh, false, StickyAfter); v.State != StatePending {
		t.Errorf("a VM without status is %s: %s", v.State, v.Message)
	}
	if v := Judge(b.reports(m.vm, kubevirt.VirtualMachineStatusStopped), false, 0); v.State != StateStopped {
		t.Errorf("stopped is %+v", v)
	}
	failed := b.reports(m.vm, kubevirt.VirtualMachineStatusStopped, kubevirt.VirtualMachineCondition{
		Type: kubevirt.VirtualMachineFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate", Message: "exceeded\nquota\x1b[31m",
	})
	if v := Judge(failed, true, StickyAfter); v != (Verdict{StateFailed, "exceeded quota[31m"}) {
		t.Errorf("failed is %+v", v)
	}
	restart := b.reports(m.vm, kubevirt.VirtualMachineStatusRunning, kubevirt.VirtualMachineCondition{
		Type: kubevirt.VirtualMachineRestartRequired, Status: corev1.ConditionTrue, Message: "memory changed",
	})
	if v := Judge(restart, true, 0); v != (Verdict{StateRestartRequired, "applied, pending restart: memory changed"}) {
		t.Errorf("restart is %+v", v)
	}
}

func TestObserveFindsTheInstance(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, _ := b.created("vm")
	instance := &kubevirt.VirtualMachineInstance{ObjectMeta: metav1.ObjectMeta{Name: "vm", Namespace: b.ns}}
	b.create(instance)
	instance.Status = kubevirt.VirtualMachineInstanceStatus{
		NodeName: "node-1", Interfaces: []kubevirt.VirtualMachineInstanceNetworkInterface{{IP: "10.0.0.7"}, {}},
	}
	if err := b.admin.Update(t.Context(), instance); err != nil {
		t.Fatal(err)
	}
	o := b.reports(m.vm, kubevirt.VirtualMachineStatusRunning)
	if o.Node != "node-1" || !cmp.Equal(o.Addresses, []string{"10.0.0.7"}) || !o.Ready {
		t.Errorf("%+v", o)
	}
	if v := Judge(o, true, 0); v.State != StateRunning {
		t.Errorf("running is %+v", v)
	}
	limited := b.as(may("kubevirt.io", "virtualmachines", "get"))
	o, err := limited.Observe(t.Context(), b.ns, "vm")
	if err != nil || o.Node != "" || o.PrintableStatus != "Running" {
		t.Errorf("without permission for instances: %+v, %v", o, err)
	}
}
