package spec

// APIVersion is the only one that documents may carry.
const APIVersion = "kubevirt-shepherd.io/v1alpha1"

// Kind is the kind of a governed document. Its path decides it; the document repeats it.
type Kind string

// The kinds of the spec repository.
const (
	KindCluster        Kind = "Cluster"
	KindNamespace      Kind = "Namespace"
	KindTemplate       Kind = "Template"
	KindInstanceSize   Kind = "InstanceSize"
	KindNetwork        Kind = "Network"
	KindRoleBinding    Kind = "RoleBinding"
	KindPolicy         Kind = "Policy"
	KindSystem         Kind = "System"
	KindService        Kind = "Service"
	KindVirtualMachine Kind = "VirtualMachine"
	KindConsoleAccess  Kind = "ConsoleAccess"
	// KindForge is a file that steers the forge itself (.github/, CODEOWNERS): governed as part of
	// the platform, with no content of ours.
	KindForge Kind = "Forge"
)

// Kinds lists the kinds that have a document, in the order of the repository's folders.
func Kinds() []Kind {
	return []Kind{
		KindCluster, KindNamespace, KindTemplate, KindInstanceSize, KindNetwork, KindRoleBinding,
		KindPolicy, KindSystem, KindService, KindVirtualMachine, KindConsoleAccess,
	}
}

// newSpec returns a pointer to an empty spec of the kind, or nil for a kind without documents.
func newSpec(kind Kind) any {
	switch kind {
	case KindCluster:
		return &Cluster{}
	case KindNamespace:
		return &Namespace{}
	case KindTemplate:
		return &Template{}
	case KindInstanceSize:
		return &InstanceSize{}
	case KindNetwork:
		return &Network{}
	case KindRoleBinding:
		return &RoleBinding{}
	case KindPolicy:
		return &Policy{}
	case KindSystem:
		return &System{}
	case KindService:
		return &Service{}
	case KindVirtualMachine:
		return &VirtualMachine{}
	case KindConsoleAccess:
		return &ConsoleAccess{}
	case KindForge:
		return &ForgeFile{}
	}
	return nil
}

// VirtualMachine is what a team asks for. Who the VM is (system, service, namespace, index) is its
// file's path and stands nowhere in it.
type VirtualMachine struct {
	// The operating system: the name of a template of the platform. The active version is taken when the VM is created.
	Template string `json:"template" jsonschema:"format=platform-name,example=ubuntu-24.04"`
	// The hardware: the name of a size of the platform.
	Size string `json:"size" jsonschema:"format=platform-name,example=medium"`
	// The size of the root disk, with its unit and within the size's range. The size's default when left out.
	Disk string `json:"disk,omitempty" jsonschema:"format=quantity,example=120Gi"`
	// Cores instead of the size's, where the template lets requests say so.
	CPU int `json:"cpu,omitempty" jsonschema:"minimum=1,maximum=512,example=4"`
	// Memory instead of the size's, where the template lets requests say so.
	Memory string `json:"memory,omitempty" jsonschema:"format=quantity,example=8Gi"`
	// The one device that the VM is given instead of the size's, as clusters list it, where the template lets requests say so.
	GPU string `json:"gpu,omitempty" jsonschema:"format=device-name,example=nvidia.com/GA102GL_A10"`
	// Whether the VM is to run.
	Power Power `json:"power" jsonschema:"example=running"`
	// Why the VM is needed, for those who decide.
	Reason string `json:"reason" jsonschema:"maxLength=500,example=a second replica for the winter sale"`
	// Moving this moment forward asks for a restart.
	RestartedAt string `json:"restartedAt,omitempty" jsonschema:"format=date-time,example=2026-11-24T09:30:00Z"`
	// Public keys that may log in, beside those of the system.
	SSHKeys []string `json:"sshKeys,omitempty" jsonschema:"maxItems=20,uniqueItems=true,format=ssh-key"`
	// The networks that the VM is attached to. The namespace's default network when left out.
	Networks []VMNetwork `json:"networks,omitempty" jsonschema:"maxItems=8"`
	// Data disks beside the root disk.
	Disks []VMDisk `json:"disks,omitempty" jsonschema:"maxItems=8"`
	// What becomes of the disks when the VM is deleted.
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`
}

// Power is the state that a VM is wanted in.
type Power string

// The two powers.
const (
	PowerRunning Power = "running"
	PowerStopped Power = "stopped"
)

// DeletionPolicy says what becomes of a VM's disks when it is deleted. Empty means delete.
type DeletionPolicy string

// The deletion policies.
const (
	RetainDisks DeletionPolicy = "retain"
	DeleteDisks DeletionPolicy = "delete"
)

// VMNetwork attaches a VM to a Network of the platform.
type VMNetwork struct {
	// The name of a network of the platform.
	Name string `json:"name" jsonschema:"format=platform-name,example=backend"`
	// A fixed address out of the network's addresses.
	IP string `json:"ip,omitempty" jsonschema:"format=ip,example=10.0.0.7"`
}

// VMDisk is a data disk beside the root disk.
type VMDisk struct {
	// The disk's name within the VM.
	Name string `json:"name" jsonschema:"format=name,example=data"`
	// Its size, with the unit.
	Size string `json:"size" jsonschema:"format=quantity,example=50Gi"`
	// A storage class of the cluster. The cluster's own when left out.
	StorageClass string `json:"storageClass,omitempty" jsonschema:"format=dns-name,example=fast"`
}

// System groups services; it has no environment.
type System struct {
	// What the system is for.
	Description string `json:"description" jsonschema:"maxLength=2000,example=the web shop"`
	// The people who answer for the system.
	Owners []Person `json:"owners,omitempty" jsonschema:"maxItems=50"`
	// Public keys that may log in to all VMs of the system.
	SSHKeys []string `json:"sshKeys,omitempty" jsonschema:"maxItems=20,uniqueItems=true,format=ssh-key"`
	// What all VMs of the system together may take.
	Limits *Limits `json:"limits,omitempty"`
}

// Service groups the VMs of one kind of work within a system.
type Service struct {
	// What the service does.
	Description string `json:"description" jsonschema:"maxLength=2000,example=the cache of the web shop"`
}

// Person is a login and the number that the forge knows it by; a mismatch of the two grants nothing.
type Person struct {
	// The login, for people to read.
	Login string `json:"login" jsonschema:"format=login,example=octocat"`
	// The number that the forge knows the login by; it is what counts.
	ID int64 `json:"id" jsonschema:"minimum=1,maximum=9007199254740991,example=583231"`
}

// Limits bounds what all VMs of a namespace or system together may take; nil or empty is no limit.
type Limits struct {
	// How many VMs.
	VMs *int `json:"vms,omitempty" jsonschema:"minimum=0,maximum=100000"`
	// How many cores.
	Cores *int `json:"cores,omitempty" jsonschema:"minimum=0,maximum=1000000"`
	// How much memory.
	Memory string `json:"memory,omitempty" jsonschema:"format=quantity,example=64Gi"`
	// How much disk, root disks and data disks together.
	Disk string `json:"disk,omitempty" jsonschema:"format=quantity,example=2Ti"`
}

// ConsoleAccess asks for a time-limited console grant to a prod VM.
type ConsoleAccess struct {
	// Why the console is needed.
	Reason string `json:"reason" jsonschema:"maxLength=500,example=the VM does not boot"`
	// For how long, at most 2h.
	Duration string `json:"duration" jsonschema:"format=duration,example=45m"`
}

// ForgeFile stands for a file of the forge: only whether its bytes are the same is ever asked.
type ForgeFile struct {
	SHA256 string `json:"sha256"`
}
