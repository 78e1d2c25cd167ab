package domain

// Capabilities are what a cluster has for VMs, as it was last seen there. What stands in Unknown could not be
// read, or not to its end: what is missing of it here is missing because it is not known.
type Capabilities struct {
	// FeatureGates are those that KubeVirt's configuration switches on.
	FeatureGates []string `json:"featureGates,omitempty"`
	// DisabledFeatureGates are those that it switches off, although they are on by themselves.
	DisabledFeatureGates []string `json:"disabledFeatureGates,omitempty"`
	// RolloutStrategy is KubeVirt's vmRolloutStrategy: LiveUpdate, Stage, or empty for its default.
	RolloutStrategy string `json:"rolloutStrategy,omitempty"`
	// Devices are the extended resources that nodes have to give, by name, such as
	// nvidia.com/GA102GL_A10, all nodes together.
	Devices map[string]int64 `json:"devices,omitempty"`
	// Hugepages are the bytes that the node with most of them has to give, by page size (2Mi, 1Gi).
	Hugepages map[string]int64 `json:"hugepages,omitempty"`
	// DedicatedCPU says that a node gives whole cores away (label cpumanager=true).
	DedicatedCPU bool `json:"dedicatedCPU,omitempty"`
	// SRIOV says that a network attachment definition names a resource of the nodes.
	SRIOV bool `json:"sriov,omitempty"`
	// Networks are the network attachment definitions, as namespace/name.
	Networks []string `json:"networks,omitempty"`
	// Instancetypes and Preferences are KubeVirt's cluster-wide ones.
	Instancetypes []string `json:"instancetypes,omitempty"`
	Preferences   []string `json:"preferences,omitempty"`
	// Unknown names the kinds that could not be read: Node, NetworkAttachmentDefinition, KubeVirt,
	// VirtualMachineClusterInstancetype, VirtualMachineClusterPreference.
	Unknown []string `json:"unknown,omitempty"`
}
