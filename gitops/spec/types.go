package spec

import "kv-shepherd.io/shepherd/internal/domain"

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

// VirtualMachine is what a team asks for. Who the VM is (system, service, namespace, index) is its
// file's path and stands nowhere in it.
type VirtualMachine struct {
	Template       string         `json:"template"`
	Size           string         `json:"size"`
	Disk           string         `json:"disk,omitempty"` // quantity with unit; the size's default when empty
	Power          Power          `json:"power"`
	Reason         string         `json:"reason"`
	RestartedAt    string         `json:"restartedAt,omitempty"` // RFC 3339
	SSHKeys        []string       `json:"sshKeys,omitempty"`
	Networks       []VMNetwork    `json:"networks,omitempty"`
	Disks          []VMDisk       `json:"disks,omitempty"`
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
	Name string `json:"name"`
	IP   string `json:"ip,omitempty"`
}

// VMDisk is a data disk beside the root disk.
type VMDisk struct {
	Name         string `json:"name"`
	Size         string `json:"size"`
	StorageClass string `json:"storageClass,omitempty"`
}

// System groups services; it has no environment.
type System struct {
	Description string   `json:"description"`
	Owners      []Person `json:"owners,omitempty"`
	SSHKeys     []string `json:"sshKeys,omitempty"`
	Limits      *Limits  `json:"limits,omitempty"`
}

// Service groups the VMs of one kind of work within a system.
type Service struct {
	Description string `json:"description"`
}

// Person is a login and the number that the forge knows it by; a mismatch of the two grants nothing.
type Person struct {
	Login string `json:"login"`
	ID    int64  `json:"id"`
}

// Team is an organisation's team, by name for people and by number for decisions.
type Team struct {
	Organization   string `json:"organization"`
	OrganizationID int64  `json:"organizationId"`
	Team           string `json:"team"`
	TeamID         int64  `json:"teamId"`
}

// Limits bounds what all VMs of a namespace or system together may take; nil or empty is no limit.
type Limits struct {
	VMs    *int   `json:"vms,omitempty"`
	Cores  *int   `json:"cores,omitempty"`
	Memory string `json:"memory,omitempty"`
	Disk   string `json:"disk,omitempty"`
}

// Cluster is a place where VMs of one environment can live. Its credentials are never here.
type Cluster struct {
	Environment  domain.Environment `json:"environment"`
	Status       ClusterStatus      `json:"status"`
	Weight       int                `json:"weight,omitempty"` // 1..1000, 100 when empty
	StorageClass string             `json:"storageClass,omitempty"`
	Description  string             `json:"description,omitempty"`
}

// ClusterStatus is the administrator's word on a cluster.
type ClusterStatus string

// A cordoned cluster takes no new VMs; a retired one takes nothing.
const (
	ClusterActive   ClusterStatus = "active"
	ClusterCordoned ClusterStatus = "cordoned"
	ClusterRetired  ClusterStatus = "retired"
)

// Namespace is a logical namespace: it exists on every cluster of its environment where a VM needs it.
type Namespace struct {
	Environment    domain.Environment `json:"environment"`
	KubernetesName string             `json:"kubernetesName,omitempty"` // the namespace's own name when empty
	Network        string             `json:"network,omitempty"`        // default Network; the pod network when empty
	Limits         *Limits            `json:"limits,omitempty"`
	Description    string             `json:"description,omitempty"`
}

// Template is one version of an operating system: where its image comes from and how it starts.
type Template struct {
	Status         TemplateStatus       `json:"status"`
	Description    string               `json:"description,omitempty"`
	Image          Image                `json:"image"`
	CloudInit      string               `json:"cloudInit,omitempty"` // #cloud-config user data, used as it is
	Preference     string               `json:"preference,omitempty"`
	QuickFields    map[string]FieldMask `json:"quickFields,omitempty"`
	AdvancedFields map[string]FieldMask `json:"advancedFields,omitempty"`
}

// TemplateStatus moves forward only.
type TemplateStatus string

// The lifecycle of a template version.
const (
	TemplateDraft      TemplateStatus = "draft"
	TemplateActive     TemplateStatus = "active"
	TemplateDeprecated TemplateStatus = "deprecated"
	TemplateArchived   TemplateStatus = "archived"
)

// Image is the source of the root disk: exactly one member is set.
type Image struct {
	ContainerDisk *ContainerDisk `json:"containerDisk,omitempty"`
	DataVolume    *ObjectRef     `json:"dataVolume,omitempty"`
	PVC           *ObjectRef     `json:"pvc,omitempty"`
	DataSource    *ObjectRef     `json:"dataSource,omitempty"`
}

// ContainerDisk is an image in a registry. It is imported into the root disk unless Ephemeral, which
// loses all writes on a restart and which prod refuses.
type ContainerDisk struct {
	Image     string `json:"image"`
	Ephemeral bool   `json:"ephemeral,omitempty"`
}

// ObjectRef names an object on the target cluster.
type ObjectRef struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
}

// FieldMask says what a request may do with one field.
type FieldMask struct {
	Visible  bool     `json:"visible,omitempty"`
	Editable bool     `json:"editable,omitempty"`
	Required bool     `json:"required,omitempty"`
	Default  string   `json:"default,omitempty"`
	Min      string   `json:"min,omitempty"`
	Max      string   `json:"max,omitempty"`
	Options  []string `json:"options,omitempty"`
}

// InstanceSize is the hardware of a VM.
type InstanceSize struct {
	Description   string         `json:"description,omitempty"`
	Cores         int            `json:"cores"`
	Memory        string         `json:"memory"`
	Disk          DiskRange      `json:"disk,omitzero"`
	Hugepages     string         `json:"hugepages,omitempty"` // 2Mi | 1Gi
	GPUs          []GPU          `json:"gpus,omitempty"`
	SRIOV         bool           `json:"sriov,omitempty"`
	DedicatedCPU  bool           `json:"dedicatedCPU,omitempty"`
	Overcommit    *Overcommit    `json:"overcommit,omitempty"`
	SpecOverrides map[string]any `json:"specOverrides,omitempty"`
}

// DiskRange bounds the root disk. Empty members mean 100Gi within 50Gi and 500Gi.
type DiskRange struct {
	Default string `json:"default,omitempty"`
	Min     string `json:"min,omitempty"`
	Max     string `json:"max,omitempty"`
}

// GPU is one device that the VM is given.
type GPU struct {
	Name       string `json:"name"`
	DeviceName string `json:"deviceName"`
}

// Overcommit asks the scheduler for less than the VM may use. A nil member means request = limit.
type Overcommit struct {
	CPU    *RequestLimit `json:"cpu,omitempty"`
	Memory *RequestLimit `json:"memory,omitempty"`
}

// RequestLimit is a pair of quantities, request ≤ limit.
type RequestLimit struct {
	Request string `json:"request"`
	Limit   string `json:"limit"`
}

// Network is either the cluster's pod network or a network attachment definition.
type Network struct {
	Environment domain.Environment `json:"environment"`
	Pod         bool               `json:"pod,omitempty"`
	Attachment  *ObjectRef         `json:"attachment,omitempty"`
	Addresses   string             `json:"addresses,omitempty"` // CIDR of the addresses that requests may fix
	Description string             `json:"description,omitempty"`
}

// RoleBinding gives people and teams a role, everywhere or on one system, in some environments.
type RoleBinding struct {
	Role                string               `json:"role"`
	People              []Person             `json:"people,omitempty"`
	Teams               []Team               `json:"teams,omitempty"`
	System              string               `json:"system,omitempty"` // the scope; global when empty
	AllowedEnvironments []domain.Environment `json:"allowedEnvironments,omitempty"`
}

// Policy adds approval rules and CEL rules to the built-in ones.
type Policy struct {
	Approvals []ApprovalRule `json:"approvals,omitempty"`
	Rules     []Rule         `json:"rules,omitempty"`
}

// ApprovalRule says how many approvals an operation needs and from whom. Empty lists match all.
type ApprovalRule struct {
	Name         string               `json:"name"`
	Operations   []domain.Operation   `json:"operations,omitempty"`
	Environments []domain.Environment `json:"environments,omitempty"`
	Systems      []string             `json:"systems,omitempty"`
	Approvals    int                  `json:"approvals"` // 0: none needed
	From         ApprovalFrom         `json:"from,omitzero"`
}

// ApprovalFrom narrows who counts, beyond having the approve permission. Empty means anyone with it.
type ApprovalFrom struct {
	Roles []string `json:"roles,omitempty"`
	Teams []Team   `json:"teams,omitempty"`
}

// Rule is a CEL expression that must be false; when it is true its message is shown.
type Rule struct {
	Name       string `json:"name"`
	Effect     string `json:"effect"` // deny | warn
	Expression string `json:"expression"`
	Message    string `json:"message"`
}

// ConsoleAccess asks for a time-limited console grant to a prod VM.
type ConsoleAccess struct {
	Reason   string `json:"reason"`
	Duration string `json:"duration"` // Go duration, at most 2h
}
