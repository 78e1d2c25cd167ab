package spec

import "kv-shepherd.io/shepherd/internal/domain"

// Team is an organisation's team, by name for people and by number for decisions.
type Team struct {
	// The organisation's login, for people to read.
	Organization string `json:"organization" jsonschema:"format=login,example=acme"`
	// The number that the forge knows the organisation by.
	OrganizationID int64 `json:"organizationId" jsonschema:"minimum=1,maximum=9007199254740991,example=9919"`
	// The team's short name, for people to read.
	Team string `json:"team" jsonschema:"maxLength=100,example=platform"`
	// The number that the forge knows the team by.
	TeamID int64 `json:"teamId" jsonschema:"minimum=1,maximum=9007199254740991,example=12345"`
}

// Cluster is a place where VMs of one environment can live. Its credentials are never here.
type Cluster struct {
	// The environment that the cluster belongs to.
	Environment domain.Environment `json:"environment" jsonschema:"example=test"`
	// Whether the cluster takes new VMs (active), only keeps those it has (cordoned), or takes nothing (retired).
	Status ClusterStatus `json:"status" jsonschema:"example=active"`
	// How much the cluster is preferred among its equals. 100 when left out.
	Weight int `json:"weight,omitempty" jsonschema:"minimum=1,maximum=1000"`
	// The storage class of disks that name none. The cluster's default when left out.
	StorageClass string `json:"storageClass,omitempty" jsonschema:"format=dns-name,example=fast"`
	// What the cluster is.
	Description string `json:"description,omitempty" jsonschema:"maxLength=2000"`
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
	// The environment that the namespace belongs to.
	Environment domain.Environment `json:"environment" jsonschema:"example=test"`
	// The namespace's name on the clusters. Its own name when left out.
	KubernetesName string `json:"kubernetesName,omitempty" jsonschema:"format=dns-label,example=shop-vms"`
	// The network of VMs that name none. The pod network when left out.
	Network string `json:"network,omitempty" jsonschema:"format=platform-name,example=backend"`
	// What all VMs of the namespace together may take.
	Limits *Limits `json:"limits,omitempty"`
	// What the namespace is for.
	Description string `json:"description,omitempty" jsonschema:"maxLength=2000"`
}

// Template is one version of an operating system: where its image comes from and how it starts.
type Template struct {
	// Where the version stands; it only moves forward: draft, active, deprecated, archived.
	Status TemplateStatus `json:"status" jsonschema:"example=draft"`
	// What the template is.
	Description string `json:"description,omitempty" jsonschema:"maxLength=2000"`
	// Where the root disk comes from.
	Image Image `json:"image"`
	// User data for cloud-init, used as it is; its first line is #cloud-config.
	CloudInit string `json:"cloudInit,omitempty" jsonschema:"maxLength=32768"`
	// Give each VM a password of its own, made once, which has to be changed at the first login. The cloud-init text sets none then.
	InitialPassword *InitialPassword `json:"initialPassword,omitempty"`
	// A KubeVirt preference of the clusters.
	Preference string `json:"preference,omitempty" jsonschema:"format=dns-name,example=ubuntu"`
	// What requests may do with the common fields: cpu, memory, disk, disks, networks, size, sshKeys, deletionPolicy, gpu. Without a mask requests cannot set cpu, memory and gpu, and can set the others.
	QuickFields map[string]FieldMask `json:"quickFields,omitempty"`
	// What requests may do with fields for those who know: the same fields, each in one of the two places.
	AdvancedFields map[string]FieldMask `json:"advancedFields,omitempty"`
}

// InitialPassword asks for a password that is made with a VM, and kept in a Secret beside it alone.
type InitialPassword struct {
	// The user of the image whose password it is.
	User string `json:"user" jsonschema:"format=user-name,example=ubuntu"`
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
	// An image in a registry.
	ContainerDisk *ContainerDisk `json:"containerDisk,omitempty"`
	// A DataVolume on the cluster, cloned.
	DataVolume *ObjectRef `json:"dataVolume,omitempty"`
	// A PersistentVolumeClaim on the cluster, cloned.
	PVC *ObjectRef `json:"pvc,omitempty"`
	// A DataSource on the cluster, cloned.
	DataSource *ObjectRef `json:"dataSource,omitempty"`
}

// ContainerDisk is an image in a registry. It is imported into the root disk unless Ephemeral, which
// loses all writes on a restart and which prod refuses.
type ContainerDisk struct {
	// The image, as registry/repository:tag or with a digest.
	Image string `json:"image" jsonschema:"format=image,example=quay.io/containerdisks/ubuntu:24.04"`
	// Run from the image itself: all writes are lost on a restart. Refused in prod.
	Ephemeral bool `json:"ephemeral,omitempty"`
}

// ObjectRef names an object on the target cluster.
type ObjectRef struct {
	// The namespace that the object is in.
	Namespace string `json:"namespace" jsonschema:"format=dns-label,example=images"`
	// The object's name.
	Name string `json:"name" jsonschema:"format=dns-name,example=ubuntu"`
}

// FieldMask says what a request may do with one field.
type FieldMask struct {
	// Whether the field is shown where requests are made with a form.
	Visible bool `json:"visible,omitempty"`
	// Whether a request may set the field.
	Editable bool `json:"editable,omitempty"`
	// Whether a request must set the field.
	Required bool `json:"required,omitempty"`
	// The value of requests that set none: of cpu, memory, gpu and disk.
	Default string `json:"default,omitempty" jsonschema:"maxLength=200"`
	// The least value; of a list the least number of entries, where there are any.
	Min string `json:"min,omitempty" jsonschema:"maxLength=200"`
	// The greatest value; of a list the greatest number of entries.
	Max string `json:"max,omitempty" jsonschema:"maxLength=200"`
	// The only values allowed; of networks their names.
	Options []string `json:"options,omitempty" jsonschema:"maxItems=50,maxLength=200"`
}

// InstanceSize is the hardware of a VM.
type InstanceSize struct {
	// What the size is good for.
	Description string `json:"description,omitempty" jsonschema:"maxLength=2000"`
	// How many cores.
	Cores int `json:"cores" jsonschema:"minimum=1,maximum=512,example=2"`
	// How much memory, with the unit.
	Memory string `json:"memory" jsonschema:"format=quantity,example=4Gi"`
	// The root disk: 100Gi within 50Gi and 500Gi when left out.
	Disk DiskRange `json:"disk,omitzero"`
	// Back the memory with huge pages of this size.
	Hugepages string `json:"hugepages,omitempty" jsonschema:"enum=2Mi,enum=1Gi"`
	// Devices that the VM is given.
	GPUs []GPU `json:"gpus,omitempty" jsonschema:"maxItems=16"`
	// Whether the size needs a cluster with SR-IOV.
	SRIOV bool `json:"sriov,omitempty"`
	// Whether the VM gets its cores for itself alone. Excludes overcommit.
	DedicatedCPU bool `json:"dedicatedCPU,omitempty"`
	// Ask the scheduler for less than the VM may use.
	Overcommit *Overcommit `json:"overcommit,omitempty"`
	// An instance type of the clusters that gives the VM its cores, memory and devices, instead of what is said here. Cores and memory are then what limits count; Shepherd compares them with the cluster's instance type when it previews.
	Instancetype *Instancetype `json:"instancetype,omitempty"`
	// Parts of the VirtualMachine's spec, by path, that are set as they stand here.
	SpecOverrides map[string]any `json:"specOverrides,omitempty"`
	// Named is what the size itself gives, in the copy of a size that a VM has with hardware of its own (see
	// Given). Documents have no such field.
	Named *Hardware `json:"named,omitempty" jsonschema:"-"`
}

// Instancetype names an instance type of KubeVirt on the clusters.
type Instancetype struct {
	// The instance type's name.
	Name string `json:"name" jsonschema:"format=dns-name,example=u1.medium"`
	// Whether it is the cluster's or the namespace's. The cluster's when left out.
	Kind string `json:"kind,omitempty" jsonschema:"enum=VirtualMachineClusterInstancetype,enum=VirtualMachineInstancetype"`
}

// DiskRange bounds the root disk. Empty members mean 100Gi within 50Gi and 500Gi.
type DiskRange struct {
	// The disk of requests that name none.
	Default string `json:"default,omitempty" jsonschema:"format=quantity,example=100Gi"`
	// The smallest disk.
	Min string `json:"min,omitempty" jsonschema:"format=quantity,example=50Gi"`
	// The largest disk.
	Max string `json:"max,omitempty" jsonschema:"format=quantity,example=500Gi"`
}

// GPU is one device that the VM is given.
type GPU struct {
	// The device's name within the VM.
	Name string `json:"name" jsonschema:"format=platform-name,example=gpu1"`
	// The device's name on the cluster.
	DeviceName string `json:"deviceName" jsonschema:"format=device-name,example=nvidia.com/GA102GL_A10"`
}

// Overcommit asks the scheduler for less than the VM may use. A nil member means request = limit.
type Overcommit struct {
	// Cores, as 2 or 500m.
	CPU *RequestLimit `json:"cpu,omitempty"`
	// Memory, with the unit.
	Memory *RequestLimit `json:"memory,omitempty"`
}

// RequestLimit is a pair of quantities, request ≤ limit.
type RequestLimit struct {
	// What the scheduler reserves.
	Request string `json:"request" jsonschema:"format=amount"`
	// What the VM may use.
	Limit string `json:"limit" jsonschema:"format=amount"`
}

// Network is either the cluster's pod network or a network attachment definition.
type Network struct {
	// The environment that the network belongs to.
	Environment domain.Environment `json:"environment" jsonschema:"example=test"`
	// The cluster's pod network.
	Pod bool `json:"pod,omitempty"`
	// A network attachment definition of the clusters.
	Attachment *ObjectRef `json:"attachment,omitempty"`
	// The addresses that requests may fix, as a CIDR.
	Addresses string `json:"addresses,omitempty" jsonschema:"format=cidr,example=10.0.0.0/24"`
	// What the network is for.
	Description string `json:"description,omitempty" jsonschema:"maxLength=2000"`
}

// Role is what a binding lets people do.
type Role = string

// The roles. There are no wildcards.
const (
	RolePlatformAdmin Role = "platform-admin"
	RoleSystemAdmin   Role = "system-admin"
	RoleApprover      Role = "approver"
	RoleOperator      Role = "operator"
	RoleViewer        Role = "viewer"
)

// RoleBinding gives people and teams a role, everywhere or on one system, in some environments.
type RoleBinding struct {
	// What the people and teams may do.
	Role string `json:"role" jsonschema:"enum=platform-admin,enum=system-admin,enum=approver,enum=operator,enum=viewer,example=approver"`
	// The people who hold the role.
	People []Person `json:"people,omitempty" jsonschema:"maxItems=200"`
	// The teams whose active members hold the role.
	Teams []Team `json:"teams,omitempty" jsonschema:"maxItems=50"`
	// The one system that the role is for. Everywhere when left out.
	System string `json:"system,omitempty" jsonschema:"format=name,example=shop"`
	// The environments that the role is for. Only test when left out.
	AllowedEnvironments []domain.Environment `json:"allowedEnvironments,omitempty" jsonschema:"uniqueItems=true"`
}

// Policy adds approval rules and CEL rules to the built-in ones.
type Policy struct {
	// How many approvals operations need, and from whom.
	Approvals []ApprovalRule `json:"approvals,omitempty" jsonschema:"maxItems=100"`
	// What is forbidden or warned of.
	Rules []Rule `json:"rules,omitempty" jsonschema:"maxItems=100"`
}

// ApprovalRule says how many approvals an operation needs and from whom. Empty lists match all.
type ApprovalRule struct {
	// The rule's name, for people to read.
	Name string `json:"name" jsonschema:"format=platform-name,example=two-for-prod"`
	// The operations that the rule is about. All when left out.
	Operations []domain.Operation `json:"operations,omitempty" jsonschema:"uniqueItems=true"`
	// The environments that the rule is about. All when left out.
	Environments []domain.Environment `json:"environments,omitempty" jsonschema:"uniqueItems=true"`
	// The systems that the rule is about. All when left out.
	Systems []string `json:"systems,omitempty" jsonschema:"maxItems=200,uniqueItems=true,format=name"`
	// How many approvals are needed; 0 means none.
	Approvals int `json:"approvals" jsonschema:"minimum=0,maximum=10,example=1"`
	// Who counts, beyond having the approve permission. Anyone with it when left out.
	From ApprovalFrom `json:"from,omitzero"`
}

// ApprovalFrom narrows who counts, beyond having the approve permission. Empty means anyone with it.
type ApprovalFrom struct {
	// The roles of which an approver holds at least one.
	Roles []string `json:"roles,omitempty" jsonschema:"uniqueItems=true,enum=platform-admin,enum=system-admin,enum=approver,enum=operator,enum=viewer"`
	// The teams of which an approver is an active member of at least one.
	Teams []Team `json:"teams,omitempty" jsonschema:"maxItems=50"`
}

// Rule is a CEL expression that must be false; when it is true its message is shown.
type Rule struct {
	// The rule's name, for people to read.
	Name string `json:"name" jsonschema:"format=platform-name,example=no-huge-disks"`
	// Whether the rule stops a change (deny) or is only shown (warn).
	Effect string `json:"effect" jsonschema:"enum=deny,enum=warn,example=warn"`
	// A CEL expression that is true when the rule is broken.
	Expression string `json:"expression" jsonschema:"maxLength=4000,example=size.cores > 16"`
	// What people are told when the rule is broken.
	Message string `json:"message" jsonschema:"maxLength=500,example=a disk over 200Gi needs a word with the platform team"`
}
