package render

import (
	"strings"
	"testing"

	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/internal/domain"
)

// renderedVM is a VM that passes the check, fresh for each call.
func renderedVM(t *testing.T) *kubevirtv1.VirtualMachine {
	t.Helper()
	ms, problems := Render(example())
	if problems.Blocking() {
		t.Fatal(list(problems))
	}
	vm, err := ToVM(ms[len(ms)-1])
	if err != nil {
		t.Fatal(err)
	}
	return vm
}

// checkCase breaks one thing of a good VM.
type checkCase struct {
	name  string
	spoil func(vm *kubevirtv1.VirtualMachine, instance *kubevirtv1.VirtualMachineInstanceSpec)
	field string // of the one problem to expect; empty: none is expected
	code  domain.Code
}

func ptr[T any](v T) *T { return &v }

var (
	invalid = domain.PlanInvalid
	denied  = domain.PolicyDenied
)

const (
	inSpec    = "spec.template.spec."
	inDomain  = inSpec + "domain."
	inDevices = inDomain + "devices."
)

func TestCheck(t *testing.T) {
	t.Parallel()
	allowance := Allowance{Networks: []string{"networks/vlan-7"}, HostDevices: []string{"example.com/fpga"},
		PriorityClasses: []string{"important", "system-cluster-critical"}, Images: []string{"images/ubuntu"},
		Registries: []string{"quay.io/containerdisks/"}}
	groups := map[string][]checkCase{
		"vm": vmCases, "disks": diskCases, "cloud-init": cloudInitCases, "networks": networkCases,
		"hardware": hardwareCases, "cpu": cpuCases, "isolation": isolationCases,
	}
	for group, cases := range groups {
		for _, c := range cases {
			t.Run(group+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				vm := renderedVM(t)
				c.spoil(vm, &vm.Spec.Template.Spec)
				got := Check(vm, allowance)
				if c.field == "" {
					if len(got) > 0 {
						t.Errorf("problems:\n%s", list(got))
					}
					return
				}
				if len(got) != 1 || got[0].Field != c.field || got[0].Code != c.code || got[0].Severity != domain.Error {
					t.Errorf("problems:\n%swant one %s at %s", list(got), c.code, c.field)
				}
			})
		}
	}
}

type (
	machine  = kubevirtv1.VirtualMachine
	instance = kubevirtv1.VirtualMachineInstanceSpec
)

var vmCases = []checkCase{
	{"good", func(*machine, *instance) {}, "", ""},
	{"no runStrategy", func(vm *machine, _ *instance) { vm.Spec.RunStrategy = nil }, "spec.runStrategy", invalid},
	{"unknown runStrategy", func(vm *machine, _ *instance) {
		vm.Spec.RunStrategy = ptr(kubevirtv1.VirtualMachineRunStrategy("always"))
	}, "spec.runStrategy", invalid},
	{"running", func(vm *machine, _ *instance) { vm.Spec.Running, vm.Spec.RunStrategy = ptr(true), nil }, "spec.running", denied},
	{"running as well", func(vm *machine, _ *instance) { vm.Spec.Running = ptr(true) }, "spec.running", invalid},
	{"no template", func(vm *machine, _ *instance) { vm.Spec.Template = nil }, "spec.template", invalid},
	{"long name", func(vm *machine, _ *instance) { vm.Name = strings.Repeat("a", 64) }, "metadata.name", invalid},
	{"bad namespace", func(vm *machine, _ *instance) {
		vm.Namespace = "Shop"
		vm.Spec.Template.Spec.Networks[0] = kubevirtv1.Network{Name: "default", NetworkSource: kubevirtv1.NetworkSource{Pod: &kubevirtv1.PodNetwork{}}}
	}, "metadata.namespace", invalid},
	{"reserved label", func(vm *machine, _ *instance) {
		vm.Spec.Template.ObjectMeta.Labels["kubevirt.io/created-by"] = "me"
	}, `spec.template.metadata.labels["kubevirt.io/created-by"]`, invalid},
	{"other label of KubeVirt's", func(vm *machine, _ *instance) {
		vm.Spec.Template.ObjectMeta.Labels["kubevirt.io/outdatedLauncherImage"] = ""
	}, `spec.template.metadata.labels["kubevirt.io/outdatedLauncherImage"]`, denied},
	{"usual label", func(vm *machine, _ *instance) { vm.Spec.Template.ObjectMeta.Labels["kubevirt.io/vm"] = "a" }, "", ""},
	{"label value", func(vm *machine, _ *instance) { vm.Spec.Template.ObjectMeta.Labels["who"] = "me@home" },
		`spec.template.metadata.labels["who"]`, invalid},
	{"label name", func(vm *machine, _ *instance) { vm.Spec.Template.ObjectMeta.Labels["a b"] = "x" },
		`spec.template.metadata.labels["a b"]`, invalid},
	{"host name", func(_ *machine, i *instance) { i.Hostname = "a.b" }, inSpec + "hostname", invalid},
	{"subdomain", func(_ *machine, i *instance) { i.Subdomain = "a..b" }, inSpec + "subdomain", invalid},
	{"eviction strategy", func(_ *machine, i *instance) { i.EvictionStrategy = ptr(kubevirtv1.EvictionStrategy("Live")) },
		inSpec + "evictionStrategy", invalid},
	{"start strategy", func(_ *machine, i *instance) { i.StartStrategy = ptr(kubevirtv1.StartStrategy("Running")) },
		inSpec + "startStrategy", invalid},
	{"I/O threads policy", func(_ *machine, i *instance) {
		i.Domain.IOThreadsPolicy = ptr(kubevirtv1.IOThreadsPolicy("none"))
	}, inDomain + "ioThreadsPolicy", invalid},
	{"DNS policy", func(_ *machine, i *instance) { i.DNSPolicy = "Cluster" }, inSpec + "dnsPolicy", invalid},
}
