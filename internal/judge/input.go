package judge

import (
	"encoding/json"
	"time"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/policy"
)

// Input is everything that a judging depends on. Two equal inputs give two equal reports.
type Input struct {
	Head           string
	PlatformCommit string
	Number         int // of the pull request; 0 for a push without one
	Draft, Fork    bool

	Platform *spec.Platform
	Policies *policy.Set
	Bindings *policy.Bindings // with the accepted systems' owners

	Files []File
	// Accepted holds the accepted content of every path in Files that has one.
	Accepted map[string]Accepted
	World    World

	Author policy.Person
	// Pushers are, by path, those who pushed a generation in which the path's content moved.
	Pushers map[string][]policy.Person
	// Submitted are the identities that this pull request has had tickets for since it was opened or reopened.
	Submitted []spec.Ref
	// Planned holds, by path, what approvers chose for the open tickets of this pull request.
	Planned map[string]Planned
	// Confirmed holds, by path, who confirmed which digest, people who may confirm only.
	Confirmed map[string][]Confirmation
	// Limits bounds the pull request, by environment; things without an environment are under "".
	Limits map[domain.Environment]Limits
	Rate   Rate
	Now    time.Time

	// Next is the platform as the head would have it; nil where no platform file differs.
	Next *NextPlatform
	// PlatformDrift lists platform paths that the branch's tip has otherwise than accepted, whoever
	// changed them. A platform moves only as a whole.
	PlatformDrift []string
	// SoloAdmin lets the only platform administrator change the platform without somebody else's approval.
	SoloAdmin bool
	// Registries are where the images of new VMs may come from; anywhere when empty.
	Registries []string
}

// NextPlatform is a platform that is asked for.
type NextPlatform struct {
	Platform *spec.Platform
	// Problems are those of all its documents and rules, with their paths.
	Problems domain.Problems
}

// Planned is what an approver chose in place of what was suggested or asked for. Empty fields were not
// chosen.
type Planned struct {
	For             string // the change's digest that the choice was made for
	Cluster         string
	StorageClass    string
	TemplateVersion int
	ModifiedSpec    json.RawMessage `json:",omitempty"` // canonical JSON; replaces the wanted spec as a whole
	Reason          string
	By              string // login
}

// Confirmation is somebody's word that a deletion is meant.
type Confirmation struct {
	Digest string // of the change, whole
	By     string // login
}

// Rate is how much the author has asked for lately.
type Rate struct {
	Limit  int // changes within Window; 0: no limit
	Window time.Duration
	Used   int       // by other pull requests
	FreeAt time.Time // when enough of it is free again for one more
}

// File is a governed path that differs between the merge base and the head (at merge: between the
// trees before and after).
type File struct {
	Path string
	Head *Content // nil where the head has no such file
	// Stale says that the branch's tip has something else here than the merge base.
	Stale bool
	// Tip is what the branch's tip has here: it must be what is accepted.
	Tip *Content
}

// Content is a file as git has it, or why it cannot be read.
type Content struct {
	Data    []byte
	Problem *domain.Problem
}

// Accepted is what was accepted for a path.
type Accepted struct {
	Spec []byte // canonical JSON; for files without content of ours the bytes themselves
}

// World is what the database knows that the changes can collide with or lean on. It holds what the
// changed paths need, not the whole fleet.
type World struct {
	Systems    map[string]bool   // accepted systems
	Services   map[string]string // accepted service → its system
	Names      map[string]string // system-service pairs and VM names in use → who has them, as its path
	Indexes    map[string][]int  // service → indexes ever used
	Addresses  map[string]string // fixed addresses in use, by claim key → path of the VM that has it
	Claims     map[string]Claim  // by key, those of other pull requests
	Clusters   map[string]ClusterFacts
	SystemKeys map[string][]string // SSH keys of the accepted systems
	// Home is the cluster that a service already uses in a namespace, by "service/namespace".
	Home map[string]string
	// Chosen is the cluster of the plan in force, by path.
	Chosen map[string]string
	// Machines are the VMs that the changes are about, by the VM's name: accepted, or still on a cluster. Also
	// those that requests for consoles name, and those of Submitted.
	Machines map[string]Machine
	// Below lists what stands in the way of a removal, by the path of a system.yaml or service.yaml: the
	// accepted paths below it, of a system its services' and their VMs'.
	Below map[string][]string
	// Leftovers names VMs that are still on a cluster although they were removed from git, by the path of
	// their service.yaml and of their system.yaml.
	Leftovers map[string][]string
	// InUse counts the living VMs that lean on a document of the platform, by its path: platform/sizes/NAME.yaml,
	// platform/templates/NAME/vN.yaml, and so for clusters, namespaces and networks. What is not there has none.
	InUse map[string]int
	// Usage is what all VMs of a namespace or a system take, by "namespace/NAME" and "system/NAME": the accepted
	// ones by their accepted plans, and what other open pull requests asked for before: new ones, and those that
	// are to grow. What is not there takes nothing; nil is not known.
	Usage map[string]policy.Amount
	// SystemLimits are those of the accepted systems that have some.
	SystemLimits map[string]*spec.Limits
}

// Machine is a VM as it was last agreed on.
type Machine struct {
	Path                string
	UID                 string // empty until it was applied
	Cluster             string
	KubernetesNamespace string
	Status              domain.VMStatus
	Removed             bool  // its file is gone from git; what is left is on a cluster
	Plan                *Plan // the accepted plan, with its manifests
}

// Claim is somebody else's reservation.
type Claim struct {
	PullRequest int
	Status      domain.TicketStatus
	Running     bool // it was merged, and is being carried out
}

// ClusterFacts is what is known of a cluster whose credentials the server has.
type ClusterFacts struct {
	Healthy        bool
	Message        string               // why it is not
	StorageClasses []string             // empty: not known
	KubeVirt       string               // KubeVirt's version, empty: not known
	Capabilities   *domain.Capabilities // nil: not known
	// Whole says that the cluster has whatever is asked of it, for those who judge without one.
	Whole bool
}

// Limits bounds what one pull request may ask for in an environment; 0 is no limit. Modifications are all that
// is no creation, deletion or change of power: requests for consoles and files of the platform too.
type Limits struct {
	Creates, Deletes, Modifications, PowerOperations int
}
