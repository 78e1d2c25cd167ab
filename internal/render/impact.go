package render

import (
	"encoding/json"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

// ImpactContext is what the impact of a change depends on besides the change itself.
type ImpactContext struct {
	// KubeVirt is the cluster's; the zero value is the newest release that is known, as it is installed.
	KubeVirt KubeVirt
	// Running says that the VM runs. What changes for one that does not run takes effect when it starts.
	Running bool
	// RestartPending says that the VM carries the condition RestartRequired: until that restart KubeVirt
	// updates CPUs, memory and placement of no VM.
	RestartPending bool
	// NotMigratable says that the VM's condition LiveMigratable is false, as for disks that one node alone can
	// use: CPUs and memory are plugged in by a migration.
	NotMigratable bool
	// Architecture is the guest's where the VM does not say; empty for amd64.
	Architecture string
	// DestroysDisks says that what the new objects leave out is deleted together with its data.
	DestroysDisks bool
	// VM is the VirtualMachine that a Secret belongs to; nil where that is not known.
	VM map[string]any
}

func (on ImpactContext) architecture(instance *kubevirtv1.VirtualMachineInstanceSpec) string {
	if instance.Architecture != "" {
		return instance.Architecture
	}
	if on.Architecture != "" {
		return on.Architecture
	}
	return "amd64"
}

// JudgeImpact says of each difference what it does to the VM, and the gravest of all. The differences are
// those of one object of that kind, to is the object with all of them applied. Lists whose elements have
// names are taken apart; values are short, and neither a Secret's nor cloud-init's.
//
// The rules are KubeVirt's own. One field of a VM that cannot be updated live holds back those that could
// be: KubeVirt then waits with CPUs, memory and placement for the restart.
func JudgeImpact(kind string, differences []Difference, to map[string]any, on ImpactContext) ([]FieldChange, Impact) {
	judge := judgeOf(kind, differences, to, on)
	var changes []FieldChange
	var impacts []Impact
	for _, d := range differences {
		for _, part := range d.parts() {
			impact := judge(part)
			changes = append(changes, part.change(kind, impact))
			impacts = append(impacts, impact)
		}
	}
	return changes, Gravest(impacts...)
}

// judgeOf is the rule for the fields of one kind.
func judgeOf(kind string, differences []Difference, to map[string]any, on ImpactContext) func(Difference) Impact {
	switch kind {
	case KindVirtualMachine:
		return newVMImpact(differences, to, on).of
	case KindDataVolume:
		return func(d Difference) Impact { return dataVolumeImpact(d, on) }
	case "PersistentVolumeClaim":
		return func(d Difference) Impact { return claimImpact(d, on) }
	case KindSecret:
		return func(d Difference) Impact { return secretImpact(d, on) }
	}
	return func(Difference) Impact { return ImpactNone }
}

// JudgeManifests is [JudgeImpact] for all objects of a VM, from what was applied last to what would be, for
// when no cluster can be asked. An object that the new manifests leave out stays where it is, unless
// on.DestroysDisks says otherwise. It fails on a manifest that is no JSON object.
func JudgeManifests(before, after []Manifest, on ImpactContext) ([]ObjectPreview, Impact, error) {
	var out []ObjectPreview
	var impacts []Impact
	was := map[string]map[string]any{}
	for _, m := range before {
		object, err := m.object()
		if err != nil {
			return nil, "", err
		}
		was[m.Kind+"/"+m.Name] = object
		if m.Kind == KindVirtualMachine && on.VM == nil {
			on.VM = object
		}
	}
	for _, m := range after {
		to, err := m.object()
		if err != nil {
			return nil, "", err
		}
		from, known := was[m.Kind+"/"+m.Name]
		delete(was, m.Kind+"/"+m.Name)
		preview, impact := judgeObject(m, from, to, known, on)
		out, impacts = append(out, preview), append(impacts, impact)
	}
	for _, m := range before {
		if _, left := was[m.Kind+"/"+m.Name]; left && on.DestroysDisks {
			out = append(out, ObjectPreview{Kind: m.Kind, Name: m.Name, Action: "deleted"})
			impacts = append(impacts, deletedImpact(m.Kind))
		}
	}
	return out, Gravest(impacts...), nil
}

func judgeObject(m Manifest, from, to map[string]any, known bool, on ImpactContext) (ObjectPreview, Impact) {
	out := ObjectPreview{Kind: m.Kind, Name: m.Name, Action: "created"}
	if !known {
		return out, ""
	}
	differences := Differences(from, to)
	out.Action = "unchanged"
	if len(differences) > 0 {
		out.Action = "configured"
	}
	fields, impact := JudgeImpact(m.Kind, differences, to, on)
	out.Fields = fields
	return out, impact
}

func deletedImpact(kind string) Impact {
	if kind == KindDataVolume || kind == "PersistentVolumeClaim" {
		return ImpactDestroys
	}
	return ""
}

// gravity is the order of impacts, from the least.
var gravity = []Impact{"", ImpactNone, ImpactIgnored, ImpactLive, ImpactMigrates, ImpactRestart, ImpactDestroys}

// Gravest is the gravest of several impacts. What is ignored counts only where nothing else happens; it is
// empty where there are no impacts, or where none is known.
func Gravest(impacts ...Impact) Impact {
	worst := 0
	for _, impact := range impacts {
		worst = max(worst, slices.Index(gravity, impact))
	}
	return gravity[worst]
}

// sizeAnnotation is how the size of a disk that grew is written down beside its DataVolume.
const sizeAnnotation = "kubevirt-shepherd.io/disk-size"

// dataVolumeImpact: CDI refuses or ignores edits of a DataVolume, but for its size, which Shepherd gives to
// the claim behind it.
func dataVolumeImpact(d Difference, on ImpactContext) Impact {
	switch {
	case d.at("metadata", "annotations", sizeAnnotation):
		return growthImpact(d, on)
	case d.below("metadata"):
		return ImpactNone
	case d.at("spec", "storage", "resources", "requests", "storage"), d.at("spec", "pvc", "resources", "requests", "storage"):
		return growthImpact(d, on)
	}
	return ImpactIgnored
}

// claimImpact: of a claim nothing but the request may change once it is bound.
func claimImpact(d Difference, on ImpactContext) Impact {
	switch {
	case d.below("metadata"):
		return ImpactNone
	case d.at("spec", "resources", "requests", "storage"):
		return growthImpact(d, on)
	}
	return ImpactIgnored
}

// growthImpact: a claim grows under a running guest. Before 1.9 KubeVirt tells the guest only where a gate
// is on; nothing shrinks.
func growthImpact(d Difference, on ImpactContext) Impact {
	from, known := amountOf(d.From)
	to, known2 := amountOf(d.To)
	switch {
	case known && known2 && to.Cmp(from) < 0:
		return ImpactIgnored
	case on.KubeVirt.off("ExpandDisks"):
		return ImpactIgnored
	case !on.Running || known && known2 && to.Cmp(from) == 0:
		return ImpactNone
	}
	return ImpactLive
}

func amountOf(value any) (resource.Quantity, bool) {
	text, isText := value.(string)
	if !isText {
		return resource.Quantity{}, false
	}
	q, err := resource.ParseQuantity(text)
	return q, err == nil
}

// secretImpact: user data and network data are read when the guest starts, and nobody watches them; keys
// travel with the same disk unless the guest agent carries them, which needs no restart.
func secretImpact(d Difference, on ImpactContext) Impact {
	switch {
	case !d.below("data") && !d.below("stringData"), !on.Running:
		return ImpactNone
	case d.mentions(userDataKey), d.mentions(networkDataKey):
		return ImpactIgnored
	case agentCarriesKeys(on.VM):
		return ImpactLive
	}
	return ImpactRestart
}

func agentCarriesKeys(object map[string]any) bool {
	vm := decodeVM(object)
	if vm == nil || len(vm.Spec.Template.Spec.AccessCredentials) == 0 {
		return false
	}
	return !slices.ContainsFunc(vm.Spec.Template.Spec.AccessCredentials, func(c kubevirtv1.AccessCredential) bool {
		return c.SSHPublicKey != nil && c.SSHPublicKey.PropagationMethod.QemuGuestAgent == nil
	})
}

// decodeVM is the VM of an object, or nil when it is none or has no template.
func decodeVM(object map[string]any) *kubevirtv1.VirtualMachine {
	vm := new(kubevirtv1.VirtualMachine)
	data, err := json.Marshal(object)
	if err != nil || json.Unmarshal(data, vm) != nil || vm.Spec.Template == nil {
		return nil
	}
	return vm
}

// undo is the object as it was before the differences.
func undo(to map[string]any, differences []Difference) map[string]any {
	from := map[string]any{}
	if data, err := json.Marshal(to); err != nil || json.Unmarshal(data, &from) != nil || from == nil {
		return map[string]any{}
	}
	for _, d := range differences {
		node := from
		for _, key := range d.Path[:max(len(d.Path)-1, 0)] {
			next, isObject := node[key].(map[string]any)
			if !isObject {
				next = map[string]any{}
				node[key] = next
			}
			node = next
		}
		switch {
		case len(d.Path) == 0:
		case d.From == nil:
			delete(node, d.Path[len(d.Path)-1])
		default:
			node[d.Path[len(d.Path)-1]] = d.From
		}
	}
	return from
}

func allKeys(a, b map[string]any) []string {
	both := maps.Clone(a)
	if both == nil {
		both = map[string]any{}
	}
	maps.Copy(both, b)
	return slices.Sorted(maps.Keys(both))
}
