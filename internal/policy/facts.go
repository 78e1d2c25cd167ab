package policy

import (
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// Facts is everything that the verdict on one change depends on. The caller has looked it up; nothing
// is looked up here.
type Facts struct {
	Change   Change
	Request  PullRequest
	Author   Person
	Pushers  []Person // of any governed content of the change; our own bot is none
	Bindings *Bindings
	Policies *Set

	// What the change is about, as the plan would use it. A kind of change that has none leaves it nil,
	// and rules then see empty values. One that must have it and does not (see [Variables]) leaves it nil
	// too, and rules that read it deny.
	Size      *Size
	Template  *Template
	Namespace *Namespace
	Usage     *Usage
}

// Change is one governed file on its way from the accepted spec to the wanted one.
type Change struct {
	Operation   domain.Operation
	Ref         spec.Ref
	System      string // where Ref names none: the system of the VM of an access file
	Environment domain.Environment
	Accepted    map[string]any // the spec as decoded from JSON; nil when the file is new
	Wanted      map[string]any // nil when the file is removed
}

// Scope is what permissions for the change are asked of.
func (c Change) Scope() Scope {
	s := Scope{System: c.Ref.System, Environment: c.Environment}
	if s.System == "" {
		s.System = c.System
	}
	if !hasEnvironment(c.Operation) {
		s.Environment = ""
	}
	return s
}

// PullRequest is what rules see of the request that a change is part of.
type PullRequest struct {
	Number     int
	Reason     string
	Operations map[domain.Operation]int // how many changes of each
}

// Size is an instance size with its quantities in bytes.
type Size struct {
	Name         string
	Cores        int
	Memory       int64
	GPUs         int
	Hugepages    string
	SRIOV        bool
	DedicatedCPU bool
	Overcommit   bool
}

// Template is the version of a template that the VM has or would get.
type Template struct {
	Name    string
	Version int
	Status  spec.TemplateStatus
	Source  string // containerDisk, dataVolume, pvc or dataSource
	Image   string // of a containerDisk
}

// Namespace is the logical namespace of the VM.
type Namespace struct {
	Name           string
	Environment    domain.Environment
	KubernetesName string
	Network        string
}

// Usage is what all VMs of the namespace and of the system take, accepted and planned together,
// without and with this request.
type Usage struct{ Namespace, System Span }

// Span is an amount before and after.
type Span struct{ Before, After Amount }

// Amount is a sum over VMs, memory and disk in bytes.
type Amount struct {
	VMs, Cores   int
	Memory, Disk int64
}

// SizeFacts is what rules see of a size; nil, which is unknown, when its memory is no quantity.
func SizeFacts(name string, s *spec.InstanceSize) *Size {
	memory, problem := spec.Bytes(s.Memory)
	if problem != nil {
		return nil
	}
	return &Size{
		Name: name, Cores: s.Cores, Memory: memory.Value(), GPUs: len(s.GPUs), Hugepages: s.Hugepages,
		SRIOV: s.SRIOV, DedicatedCPU: s.DedicatedCPU, Overcommit: s.Overcommit != nil,
	}
}

// TemplateFacts is what rules see of a version of a template.
func TemplateFacts(name string, version int, t *spec.Template) *Template {
	facts := &Template{Name: name, Version: version, Status: t.Status}
	switch i := t.Image; {
	case i.ContainerDisk != nil:
		facts.Source, facts.Image = "containerDisk", i.ContainerDisk.Image
	case i.DataVolume != nil:
		facts.Source = "dataVolume"
	case i.PVC != nil:
		facts.Source = "pvc"
	case i.DataSource != nil:
		facts.Source = "dataSource"
	}
	return facts
}

// NamespaceFacts is what rules see of a logical namespace.
func NamespaceFacts(name string, n *spec.Namespace) *Namespace {
	facts := &Namespace{Name: name, Environment: n.Environment, KubernetesName: n.KubernetesName, Network: n.Network}
	if facts.KubernetesName == "" {
		facts.KubernetesName = name
	}
	return facts
}
