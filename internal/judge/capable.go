package judge

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/version"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/render"
)

// oldestKubeVirt is from when on what is rendered asks for nothing of KubeVirt, but for what needsOfOverrides tells.
var oldestKubeVirt = version.MajorMinor(1, 4)

// need is one thing that a cluster has to have for a VM.
type need struct {
	field string // of the document that asks for it
	what  string // as in: whether it has 2 of the device nvidia.com/A10
	kind  string // of the objects on the cluster that tell
	// lack says why a cluster falls short, as in: has none of the device nvidia.com/A10; empty where it does not.
	// known is false where that cannot be told.
	lack func(ClusterFacts) (lack string, known bool)
	by   string // who asks, as in: size large
	// gpus says that it is of the size's gpus.
	gpus bool
}

// Kinds of what stands in [domain.Capabilities].
const (
	kindNode         = "Node"
	kindAttachment   = "NetworkAttachmentDefinition"
	kindKubeVirt     = "KubeVirt"
	kindInstancetype = "VirtualMachineClusterInstancetype"
	kindPreference   = "VirtualMachineClusterPreference"
)

// readable is how each kind is written for people.
var readable = map[string]string{
	kindNode: "nodes", kindAttachment: "network attachment definitions", kindKubeVirt: "KubeVirt's configuration",
	kindInstancetype: "instance types", kindPreference: "preferences",
}

// present is a need of one thing that a cluster has or has not.
func present(field, by, kind, what string, ok func(*domain.Capabilities) bool) need {
	return need{field: field, what: what, kind: kind, by: by, lack: told(kind, func(c *domain.Capabilities) string {
		if ok(c) {
			return ""
		}
		return "does not have " + what
	})}
}

// told is what a cluster's capabilities say it lacks of a kind. Of a kind that could not be read, only what is seen
// all the same is known.
func told(kind string, lack func(*domain.Capabilities) string) func(ClusterFacts) (string, bool) {
	return func(f ClusterFacts) (string, bool) {
		if f.Capabilities == nil {
			return "", false
		}
		why := lack(f.Capabilities)
		return why, why == "" || !slices.Contains(f.Capabilities.Unknown, kind)
	}
}

// needsOfSize is the hardware of a size.
func needsOfSize(name string, size *spec.InstanceSize) (needs []need) {
	by := "size " + name
	devices := map[string]int64{}
	for _, gpu := range size.GPUs {
		devices[gpu.DeviceName]++
	}
	needs = needsOfDevices("spec.gpus", by, devices)
	for i := range needs {
		needs[i].gpus = true
	}
	if size.Hugepages != "" {
		needs = append(needs, needOfHugepages(by, size.Hugepages, bytesOf(size.Memory)))
	}
	if size.SRIOV {
		needs = append(needs, present("spec.sriov", by, kindAttachment, "a network with SR-IOV", func(c *domain.Capabilities) bool { return c.SRIOV }))
	}
	if size.DedicatedCPU {
		needs = append(needs, present("spec.dedicatedCPU", by, kindNode, "a node that gives whole cores away", func(c *domain.Capabilities) bool { return c.DedicatedCPU }))
	}
	needs = append(needs, needsOfInstancetype(by, size)...)
	return append(needs, needsOfOverrides(by, size)...)
}

// needsOfDevices are so many of each device, all nodes together.
func needsOfDevices(field, by string, devices map[string]int64) (needs []need) {
	for _, name := range slices.Sorted(maps.Keys(devices)) {
		n := devices[name]
		needs = append(needs, need{field: field, what: decimal(n) + " of the device " + name, kind: kindNode, by: by, lack: told(kindNode, func(c *domain.Capabilities) string {
			switch there := c.Devices[name]; {
			case there >= n:
				return ""
			case there > 0:
				return "has only " + decimal(there) + " of the device " + name + " instead of " + decimal(n)
			}
			return "has no device " + name
		})})
	}
	return needs
}

// needOfHugepages is a node with huge pages for all of a VM's memory.
func needOfHugepages(by, page string, memory int64) need {
	what := binary(memory) + " of huge pages of " + page + " on a node"
	return need{field: "spec.hugepages", what: what, kind: kindNode, by: by, lack: told(kindNode, func(c *domain.Capabilities) string {
		switch there := c.Hugepages[page]; {
		case there >= memory && there > 0:
			return ""
		case there > 0:
			return "has at most " + binary(there) + " of huge pages of " + page + " on a node instead of " + binary(memory)
		}
		return "has no huge pages of " + page
	})}
}

// needsOfOverrides are what a size sets past its own fields and not every KubeVirt takes, and the devices among
// it.
func needsOfOverrides(by string, size *spec.InstanceSize) (needs []need) {
	const field = "spec.specOverrides"
	demands, devices := render.Demands(*size)
	for _, d := range demands {
		needs = append(needs, need{field: field, what: d.What(), kind: kindKubeVirt, by: by, lack: func(f ClusterFacts) (string, bool) {
			return d.Lack(f.kubeVirt(""))
		}})
	}
	return append(needs, needsOfDevices(field, by, devices)...)
}

// needsOfTemplate is its preference.
func needsOfTemplate(name string, template *spec.Template) []need {
	if template.Preference == "" {
		return nil
	}
	return []need{present("spec.preference", "template "+name, kindPreference, "the preference "+template.Preference, func(c *domain.Capabilities) bool {
		return slices.Contains(c.Preferences, template.Preference)
	})}
}

// needsOfNetwork is its attachment.
func needsOfNetwork(name string, network *spec.Network) []need {
	if network.Attachment == nil {
		return nil
	}
	attachment := network.Attachment.Namespace + "/" + network.Attachment.Name
	return []need{present("spec.attachment", "network "+name, kindAttachment, "the network attachment definition "+attachment, func(c *domain.Capabilities) bool {
		return slices.Contains(c.Networks, attachment)
	})}
}

// asked are the needs at the field of a request that asks for them.
func asked(needs []need, field string) []need {
	for i := range needs {
		needs[i].field = field
	}
	return needs
}

// needsOf is what a VM asks of its cluster: with its size as it is given to it, its template and its networks.
func needsOf(vm *spec.VirtualMachine, size *spec.InstanceSize, template *spec.Template, networks map[string]spec.Network) (needs []need) {
	needs = asked(needsOfSize(vm.Size, size), "spec.size")
	if size.Named != nil && !slices.Equal(size.Named.GPUs, size.GPUs) {
		ownDevices(vm, needs)
	}
	needs = append(needs, asked(needsOfTemplate(vm.Template, template), "spec.template")...)
	for _, name := range slices.Sorted(maps.Keys(networks)) {
		field := "spec" // the namespace's own
		if at := slices.IndexFunc(vm.Networks, func(n spec.VMNetwork) bool { return n.Name == name }); at >= 0 {
			field = "spec.networks[" + number(at) + "].name"
		}
		network := networks[name]
		needs = append(needs, asked(needsOfNetwork(name, &network), field)...)
	}
	return needs
}

// ownDevices marks the devices that a VM has instead of its size's.
func ownDevices(vm *spec.VirtualMachine, needs []need) {
	for i, n := range needs {
		if n.gpus {
			needs[i].by, needs[i].field = "its gpu", "spec.gpu"
			if vm.GPU == "" {
				needs[i].by, needs[i].field = "the gpu that template "+vm.Template+" fills in", "spec.template"
			}
		}
	}
}

// unmet are the needs that a cluster is known not to meet; unknown those of which that is not known.
func (f ClusterFacts) unmet(needs []need) (unmet, unknown []need) {
	if f.Whole {
		return nil, nil
	}
	for _, n := range needs {
		switch lack, known := n.lack(f); {
		case !known:
			unknown = append(unknown, n)
		case lack != "":
			unmet = append(unmet, n)
		}
	}
	return unmet, unknown
}

// kubeVirt is what is known of the KubeVirt of the cluster of that name.
func (f ClusterFacts) kubeVirt(name string) render.KubeVirt {
	k := render.KubeVirtOf(f.KubeVirt, f.Capabilities)
	k.Cluster = name
	return k
}

// lacks says what a cluster falls short of, and who asks for it; empty where that is nothing.
func (f ClusterFacts) lacks(needs []need) string {
	unmet, _ := f.unmet(needs)
	var b strings.Builder
	for i, n := range unmet {
		if i > 0 {
			b.WriteString(" and ")
		}
		lack, _ := n.lack(f)
		b.WriteString(lack)
		if i+1 == len(unmet) || unmet[i+1].by != n.by {
			b.WriteString(" for " + n.by)
		}
	}
	return b.String()
}

// outdated says that a cluster's KubeVirt is too old, where its version is known.
func (f ClusterFacts) outdated() string {
	v, err := version.ParseSemantic(f.KubeVirt)
	if err != nil || !v.LessThan(oldestKubeVirt) {
		return ""
	}
	return "has KubeVirt " + f.KubeVirt + ", and what Shepherd writes is for " + oldestKubeVirt.String() + " or newer"
}

// unsure tells, at the fields, what of a VM's needs a cluster does not let be read.
func (j *judging) unsure(c *change, cluster string, needs []need) {
	facts := j.in.World.Clusters[cluster]
	_, unknown := facts.unmet(needs)
	for _, n := range unknown {
		why := "does not let its " + readable[n.kind] + " be read"
		if facts.Capabilities == nil {
			why = "has not told yet what it has"
		}
		c.found(&domain.Problem{
			Code: domain.CapabilityUnknown, Severity: domain.Warning,
			Message: "cluster " + cluster + " " + why + ": whether it has " + n.what + " for " + n.by + " is not known",
			Hint:    "nothing in this file is wrong; if it is not there, the VM will not start",
		}, n.field)
	}
}

// unsureOfStorage tells that it is not known whether a cluster has a storage class, at the field that names it;
// without a field it is the plan or the cluster's file that does.
func (j *judging) unsureOfStorage(c *change, cluster, field, class string) {
	if facts := j.in.World.Clusters[cluster]; class == "" || facts.Whole || len(facts.StorageClasses) > 0 {
		return
	}
	c.found(&domain.Problem{
		Code: domain.StorageClassUnknown, Severity: domain.Warning,
		Message: "cluster " + cluster + " does not tell its storage classes: whether it has " + class + " is not known",
		Hint:    "nothing in this file is wrong; if it is not there, the disk will not be made",
	}, cmp.Or(field, "spec"))
}

// offered warns of a document of the platform that asks for what no cluster has. It may be on its way, and a
// cluster that does not tell may have it.
func (j *judging) offered(c *change) {
	var needs []need
	var env domain.Environment
	switch doc := specOf(c.doc).(type) {
	case *spec.InstanceSize:
		needs = needsOfSize(c.Ref.Name, doc)
	case *spec.Template:
		needs = needsOfTemplate(c.Ref.Name, doc)
	case *spec.Network:
		needs, env = needsOfNetwork(c.Ref.Name, doc), doc.Environment
	}
	platform := j.in.Platform
	if j.in.Next != nil {
		platform = j.in.Next.Platform
	}
	var why []string
	field := ""
	for _, name := range slices.Sorted(maps.Keys(platform.Clusters)) {
		cluster, facts := platform.Clusters[name], j.in.World.Clusters[name]
		if cluster.Status != spec.ClusterActive || env != "" && cluster.Environment != env {
			continue
		}
		unmet, _ := facts.unmet(needs)
		if len(unmet) == 0 {
			return
		}
		field = cmp.Or(field, unmet[0].field)
		why = append(why, name+" "+strings.TrimSuffix(facts.lacks(unmet), " for "+unmet[0].by))
	}
	if len(why) > 0 {
		c.found(&domain.Problem{
			Code: domain.NoEligibleCluster, Severity: domain.Warning,
			Message: "no cluster can take VMs with it: " + strings.Join(why, "; "),
			Hint:    "they are refused until a cluster has it",
		}, field)
	}
}

func specOf(doc *spec.Document) any {
	if doc == nil {
		return nil
	}
	return doc.Spec
}
