package render

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// Render returns the objects of a VM in the order in which they are applied: Secrets, DataVolumes,
// the VirtualMachine. When a problem is an error there are no manifests; warnings come with them.
// The rendered VM has passed Check.
func Render(in Input) ([]Manifest, Problems) {
	r := &renderer{asked: in.VM, in: in, name: in.Ref.VMName()}
	r.in.VM, r.in.Size = spec.Given(in.VM, &in.Template, &in.Size)
	r.checkInput()
	r.checkOwnHardware()
	vm := r.virtualMachine()
	if r.problems.Blocking() {
		return nil, r.problems
	}
	if vm = r.override(vm); vm == nil {
		return nil, r.problems
	}
	r.problems = append(r.problems, Check(vm, r.allowance(vm))...)
	if r.problems.Blocking() {
		return nil, r.problems
	}
	manifests, err := r.manifests(vm)
	if err != nil {
		r.problems.add(domain.PlanInvalid, OriginRendered, "", "the objects cannot be written as JSON: %v", err)
		return nil, r.problems
	}
	return manifests, r.problems
}

// renderer collects the objects beside the VM, and the problems, of one rendering.
type renderer struct {
	asked    spec.VirtualMachine // the request without what its template fills in
	in       Input
	name     string
	secrets  []corev1.Secret
	disks    []cdiv1.DataVolume
	problems Problems
}

func (r *renderer) checkInput() {
	if len(r.name) > maxName {
		r.problems.add(domain.NameTooLong, OriginRequest, "", "the VM's name %s has %d characters, Kubernetes allows %d",
			r.name, len(r.name), maxName)
	}
	if r.in.Environment != domain.Test && r.in.Environment != domain.Prod {
		r.problems.add(domain.PlanInvalid, OriginRequest, "", "environment %q is neither test nor prod", r.in.Environment)
	}
}

func (r *renderer) virtualMachine() *kubevirtv1.VirtualMachine {
	vm := &kubevirtv1.VirtualMachine{
		TypeMeta: metav1.TypeMeta{
			APIVersion: kubevirtv1.GroupVersion.String(), Kind: KindVirtualMachine},
		ObjectMeta: r.meta(r.name),
		Spec: kubevirtv1.VirtualMachineSpec{
			RunStrategy:  r.runStrategy(),
			Instancetype: instancetype(r.in.Size),
			Preference:   preference(r.in.Template),
			Template: &kubevirtv1.VirtualMachineInstanceTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: Labels(r.in)},
				Spec:       kubevirtv1.VirtualMachineInstanceSpec{Hostname: r.name},
			},
		},
	}
	vm.Annotations = r.vmAnnotations()
	instance := &vm.Spec.Template.Spec
	instance.Domain.Firmware = &kubevirtv1.Firmware{
		UUID:   types.UID(derived(r.in.Ref, "firmware").String()),
		Serial: derived(r.in.Ref, "serial").String(),
	}
	r.hardware(instance)
	r.rootDisk(instance)
	r.dataDisks(instance)
	r.cloudInit(instance, r.networks(instance))
	return vm
}

func (r *renderer) runStrategy() *kubevirtv1.VirtualMachineRunStrategy {
	strategy, known := runStrategyOf(r.in.VM.Power)
	if !known {
		r.problems.add(domain.PlanInvalid, OriginRequest, "power", "power is %q", r.in.VM.Power).
			hint("use running or stopped")
	}
	return &strategy
}

// preference names KubeVirt's cluster-wide preference; the kind is written out because KubeVirt
// would add it, and what it adds looks like drift.
func preference(t spec.Template) *kubevirtv1.PreferenceMatcher {
	if t.Preference == "" {
		return nil
	}
	return &kubevirtv1.PreferenceMatcher{Name: t.Preference, Kind: "VirtualMachineClusterPreference"}
}

// instancetype names the size's instance type, with its kind for the same reason, and without a revision: another
// instance type is another name.
func instancetype(s spec.InstanceSize) *kubevirtv1.InstancetypeMatcher {
	if s.Instancetype == nil {
		return nil
	}
	return &kubevirtv1.InstancetypeMatcher{Name: s.Instancetype.Name, Kind: s.Instancetype.EffectiveKind()}
}

func (r *renderer) manifests(vm *kubevirtv1.VirtualMachine) ([]Manifest, error) {
	objects := make([]any, 0, len(r.secrets)+len(r.disks)+1)
	for i := range r.secrets {
		objects = append(objects, &r.secrets[i])
	}
	for i := range r.disks {
		objects = append(objects, &r.disks[i])
	}
	objects = append(objects, vm)
	out := make([]Manifest, 0, len(objects))
	for _, object := range objects {
		m, err := manifest(object)
		if err != nil {
			return nil, err
		}
		out = append(out, m)
	}
	return out, nil
}
