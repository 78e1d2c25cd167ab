package render

import (
	"time"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// Impact is what applying a change does to a VM that runs, in a word for people.
type Impact string

// The impacts, from the least to the gravest. Ignored stands apart: KubeVirt takes the change and does
// nothing about it.
const (
	ImpactNone     Impact = "no-op"
	ImpactLive     Impact = "live"
	ImpactMigrates Impact = "migrates"
	ImpactRestart  Impact = "restart"
	ImpactDestroys Impact = "destroys disk"
	ImpactIgnored  Impact = "ignored by KubeVirt"
)

// Preview is what a cluster answered when it was asked, by dry-runs alone, what applying a plan would do.
type Preview struct {
	Cluster string    `json:"cluster"`
	At      time.Time `json:"at"`
	// For is the effective digest of the plan that was previewed.
	For string `json:"for"`
	// Unanswered is why there is no answer: the cluster is silent, or cannot be asked. Nothing is wrong with
	// the plan then; Objects and Impact are what follows from what was agreed on last, if anything was.
	Unanswered string `json:"unanswered,omitempty"`
	// Refused is what the cluster, or what is on it, does not let pass.
	Refused *domain.Problem `json:"refused,omitempty"`
	// Objects are what would be written, in order; empty where Refused.
	Objects []ObjectPreview `json:"objects,omitempty"`
	// Impact is the gravest of all fields'; empty for what is created, and where it is not known.
	Impact Impact `json:"impact,omitempty"`
	// Notes are sentences for people: what the cluster warns of, what it has otherwise and is kept.
	Notes []string `json:"notes,omitempty"`
}

// ObjectPreview is one object of a preview.
type ObjectPreview struct {
	Kind   string        `json:"kind"`
	Name   string        `json:"name"`
	Action string        `json:"action"` // created, configured, unchanged
	Fields []FieldChange `json:"fields,omitempty"`
}

// FieldChange is one field that differs from what the cluster has. Values are short, and never a Secret's.
type FieldChange struct {
	Path   string `json:"path"`
	From   string `json:"from,omitempty"` // empty: absent
	To     string `json:"to,omitempty"`   // empty: removed
	Impact Impact `json:"impact,omitempty"`
}

// PreviewRequest asks a cluster what applying a plan would do.
type PreviewRequest struct {
	Cluster         string
	Ref             spec.Ref
	Environment     domain.Environment
	Namespace       string // on the cluster
	Operation       domain.Operation
	Manifests       []Manifest
	EffectiveDigest string

	// UID is that of the VM's object; empty for one that was never applied.
	UID string
	// Previous is what was applied last; nil where nothing was.
	Previous []Manifest
	// Running says that the VM runs, as far as is known: what changes at its next start disturbs nobody
	// else.
	Running bool
	// DeletionPolicy is what becomes of the disks, for DELETE_VM.
	DeletionPolicy spec.DeletionPolicy
	// Promise is to be compared with the cluster; nil where the VM says its hardware itself.
	Promise *Promise
}

// Promise is what a size says of the instance type that gives the hardware: limits and rules count that.
type Promise struct {
	Size         string // its name
	Cores        int
	Memory       string
	Instancetype spec.Instancetype
}

// PromiseOf is nil for a size that gives the hardware itself.
func PromiseOf(name string, size *spec.InstanceSize) *Promise {
	if size == nil || size.Instancetype == nil {
		return nil
	}
	return &Promise{Size: name, Cores: size.Cores, Memory: size.Memory, Instancetype: *size.Instancetype}
}

// PreviewNamespace is where objects are tried that have no namespace of their own yet. Nothing is ever kept there.
const PreviewNamespace = "kubevirt-shepherd-preview"
