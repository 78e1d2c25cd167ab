// Command verdicts asks KubeVirt's own admission code about VirtualMachines, without a cluster. It reads one
// VirtualMachine as JSON a line and writes one verdict a line, in the same order:
//
//	{"vm":["spec.running: ..."]}          the VM's admission refuses it
//	{"instance":["spec.domain: ..."]}     the VM is admitted, and the instance that is made of it is refused
//	{"undecodable":"..."}                 the API server would not take the object
//	{}                                    both pass
//
// The configuration is that of a fresh installation; -gates names the feature gates that are switched on.
// What the webhooks look up on the cluster (claims, instance types, quotas) is not asked.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admission/v1"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/client-go/tools/cache"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"kubevirt.io/kubevirt/pkg/defaults"
	netadmitter "kubevirt.io/kubevirt/pkg/network/admitter"
	"kubevirt.io/kubevirt/pkg/virt-api/webhooks"
	"kubevirt.io/kubevirt/pkg/virt-api/webhooks/validating-webhook/admitters"
	virtconfig "kubevirt.io/kubevirt/pkg/virt-config"
	"kubevirt.io/kubevirt/pkg/virt-config/featuregate"
	watchvm "kubevirt.io/kubevirt/pkg/virt-controller/watch/vm"
)

// Verdict is what KubeVirt says about one VM.
type Verdict struct {
	Undecodable string   `json:"undecodable,omitempty"`
	VM          []string `json:"vm,omitempty"`
	Instance    []string `json:"instance,omitempty"`
}

func main() {
	gates := flag.String("gates", "", "feature gates that are on, separated by commas")
	flag.Parse()
	if err := run(os.Stdin, os.Stdout, strings.FieldsFunc(*gates, func(r rune) bool { return r == ',' })); err != nil {
		fmt.Fprintln(os.Stderr, "verdicts:", err)
		os.Exit(1)
	}
}

func run(in io.Reader, out io.Writer, gates []string) error {
	config, err := configuration(gates)
	if err != nil {
		return err
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 4<<20)
	to := json.NewEncoder(out)
	to.SetEscapeHTML(false)
	for lines.Scan() {
		if err := to.Encode(verdict(lines.Bytes(), config)); err != nil {
			return err
		}
	}
	return lines.Err()
}

// configuration is that of a KubeVirt that nobody configured, on amd64.
func configuration(gates []string) (*virtconfig.ClusterConfig, error) {
	crds := cache.NewSharedIndexInformer(&cache.ListWatch{}, &extv1.CustomResourceDefinition{}, 0, cache.Indexers{})
	kubevirts := cache.NewSharedIndexInformer(&cache.ListWatch{}, &kubevirtv1.KubeVirt{}, 0, cache.Indexers{})
	if err := kubevirts.GetStore().Add(&kubevirtv1.KubeVirt{
		ObjectMeta: metav1.ObjectMeta{Name: "kubevirt", Namespace: "kubevirt", ResourceVersion: "1"},
		Spec: kubevirtv1.KubeVirtSpec{Configuration: kubevirtv1.KubeVirtConfiguration{
			DeveloperConfiguration: &kubevirtv1.DeveloperConfiguration{FeatureGates: gates}}},
		Status: kubevirtv1.KubeVirtStatus{Phase: kubevirtv1.KubeVirtPhaseDeployed, DefaultArchitecture: "amd64"},
	}); err != nil {
		return nil, err
	}
	return virtconfig.NewClusterConfig(crds, kubevirts, "kubevirt")
}

// verdict asks what virt-api asks of a VM that is created, and then what it asks of the instance that
// virt-controller makes of it.
//
// A panic is a refusal: the webhook's server drops the request, and the API server then denies it.
func verdict(line []byte, config *virtconfig.ClusterConfig) (v Verdict) {
	defer func() {
		if failure := recover(); failure != nil {
			v = Verdict{VM: []string{fmt.Sprintf("the webhook fails: %v", failure)}}
		}
	}()
	vm := new(kubevirtv1.VirtualMachine)
	if err := json.Unmarshal(line, vm); err != nil {
		return Verdict{Undecodable: err.Error()}
	}
	if vm.Spec.Template == nil {
		return Verdict{VM: texts(admitters.ValidateVirtualMachineSpec(field.NewPath("spec"), &vm.Spec, config, false))}
	}
	defaults.SetVirtualMachineDefaults(vm, config, nil)
	if err := defaults.SetDefaultVirtualMachineInstanceSpec(config, &vm.Spec.Template.Spec); err != nil {
		return Verdict{VM: []string{err.Error()}}
	}
	spec := &vm.Spec.Template.Spec
	causes := featuregate.ValidateFeatureGates(config.GetConfig().DeveloperConfiguration.FeatureGates, spec)
	causes = append(causes, netadmitter.NewValidator(field.NewPath("spec"), spec, config).ValidateCreation()...)
	causes = append(causes, admitters.ValidateVirtualMachineSpec(field.NewPath("spec"), &vm.Spec, config, false)...)
	if len(causes) > 0 {
		return Verdict{VM: texts(causes)}
	}
	return Verdict{Instance: instance(vm, config)}
}

// instance is the verdict on the first instance of an admitted VM.
func instance(vm *kubevirtv1.VirtualMachine, config *virtconfig.ClusterConfig) []string {
	vmi := watchvm.SetupVMIFromVM(vm)
	vmi.TypeMeta = metav1.TypeMeta{APIVersion: kubevirtv1.GroupVersion.String(), Kind: "VirtualMachineInstance"}
	if err := defaults.SetDefaultVirtualMachineInstance(config, vmi); err != nil {
		return []string{err.Error()}
	}
	raw, err := json.Marshal(vmi)
	if err != nil {
		return []string{err.Error()}
	}
	admitter := admitters.VMICreateAdmitter{ClusterConfig: config, SpecValidators: []admitters.SpecValidator{
		func(path *field.Path, spec *kubevirtv1.VirtualMachineInstanceSpec, c *virtconfig.ClusterConfig) []metav1.StatusCause {
			return netadmitter.ValidateCreation(path, spec, c)
		},
	}}
	answer := admitter.Admit(context.Background(), &admissionv1.AdmissionReview{Request: &admissionv1.AdmissionRequest{
		Resource: webhooks.VirtualMachineInstanceGroupVersionResource, Object: runtime.RawExtension{Raw: raw}}})
	switch {
	case answer.Allowed:
		return nil
	case answer.Result.Details != nil && len(answer.Result.Details.Causes) > 0:
		return texts(answer.Result.Details.Causes)
	}
	return []string{answer.Result.Message}
}

// texts are the causes as one line each, each once.
func texts(causes []metav1.StatusCause) []string {
	var out []string
	for _, c := range causes {
		if line := c.Field + ": " + c.Message; !slices.Contains(out, line) {
			out = append(out, line)
		}
	}
	return out
}
