package judge

import (
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
	// Submitted are the identities that this pull request has open tickets for.
	Submitted []spec.Ref
	Limits    Limits
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
	Names      map[string]string // system-service pairs and VM names in use → who has them
	Indexes    map[string][]int  // service → indexes ever used
	Addresses  map[string]string // fixed addresses in use, by claim key → path of the VM that has it
	Claims     map[string]Claim  // by key, those of other pull requests
	Clusters   map[string]ClusterFacts
	SystemKeys map[string][]string // SSH keys of the accepted systems
	// Home is the cluster that a service already uses in a namespace, by "service/namespace".
	Home map[string]string
	// Chosen is the cluster of the plan in force, by path.
	Chosen map[string]string
}

// Claim is somebody else's reservation.
type Claim struct {
	PullRequest int
	Status      domain.TicketStatus
}

// ClusterFacts is what is known of a cluster whose credentials the server has.
type ClusterFacts struct {
	Healthy        bool
	Message        string   // why it is not
	StorageClasses []string // empty: not known
}

// Limits bounds one pull request.
type Limits struct {
	Creates int
}

// DefaultLimits are the design's.
func DefaultLimits() Limits { return Limits{Creates: 10} }
