package render

import (
	"fmt"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// Input is all that a VM's objects depend on. Render reads nothing else.
type Input struct {
	Ref                 spec.Ref           // the VM's identity
	Environment         domain.Environment // that of the VM's namespace
	KubernetesNamespace string             // where the objects go
	VM                  spec.VirtualMachine

	Template        spec.Template
	TemplateName    string
	TemplateVersion int
	Size            spec.InstanceSize
	SizeName        string

	Networks       map[string]spec.Network // at least those that the VM or its namespace names
	DefaultNetwork string                  // the namespace's; the pod network when empty
	SystemSSHKeys  []string                // keys that every VM of the system accepts
	StorageClass   string                  // the chosen one; the cluster's default when empty
	KubeVirt       KubeVirt                // the chosen cluster's; the newest that is known when empty
	Registries     []string                // where images may come from, such as quay.io/acme; anywhere when empty
}

// Origin says which document a problem comes from, so that the caller can name a file.
type Origin string

// The origins. A problem of the rendered object has a Field that is a path in that object; the
// others have one that is a path below spec in their document.
const (
	OriginRequest   Origin = "request"
	OriginNamespace Origin = "namespace"
	OriginTemplate  Origin = "template"
	OriginSize      Origin = "size"
	OriginNetwork   Origin = "network"
	OriginRendered  Origin = "rendered"
)

// Problem is a problem with the place it comes from. The embedded problem has no path and no line:
// the caller knows the documents and their positions, render does not.
type Problem struct {
	domain.Problem
	Origin Origin
	Name   string // of the document, for OriginNetwork
	Field  string // such as disks[0].size; empty: the document as a whole
}

// Problems is a list of problems in the order in which they were found.
type Problems []Problem

// Blocking reports whether any of the problems is an error.
func (ps Problems) Blocking() bool { return ps.Plain().Blocking() }

// Plain drops the origins.
func (ps Problems) Plain() domain.Problems {
	out := make(domain.Problems, 0, len(ps))
	for _, p := range ps {
		out = append(out, p.Problem)
	}
	return out
}

// add appends an error and returns it for a hint or a softer severity.
func (ps *Problems) add(code domain.Code, origin Origin, field, format string, args ...any) *Problem {
	*ps = append(*ps, Problem{
		Problem: domain.Problem{Code: code, Severity: domain.Error, Message: fmt.Sprintf(format, args...)},
		Origin:  origin,
		Field:   field,
	})
	return &(*ps)[len(*ps)-1]
}

// hint says what to do about the problem.
func (p *Problem) hint(format string, args ...any) *Problem {
	p.Hint = fmt.Sprintf(format, args...)
	return p
}

// warn makes the problem one that is shown and stops nothing.
func (p *Problem) warn() *Problem {
	p.Severity = domain.Warning
	return p
}
