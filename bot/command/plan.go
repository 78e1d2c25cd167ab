package command

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// Plan is what an approver chooses for one VM. Empty fields leave the choice as it is; at least one but
// Reason is set.
type Plan struct {
	Cluster         string
	StorageClass    string
	TemplateVersion int // 0 leaves it as it is
	// Modified replaces the VM's whole spec when it is not nil. It has no positions: its lines are not
	// those of the VM's file.
	Modified *spec.Document
	// ModifiedRaw is the text that Modified was read from, as it was written.
	ModifiedRaw []byte
	// Reason is there whenever Modified is. Where the modified spec leaves its own reason out, this
	// one is its reason.
	Reason string
	// Line is where the plan of this VM begins in the block.
	Line int
}

// Plans are the plans of one block, by the name of the VM.
type Plans map[string]Plan

const maxReason = 500

// The fields of a plan, and the one around several plans.
const (
	fieldCluster         = "cluster"
	fieldStorageClass    = "storageClass"
	fieldTemplateVersion = "templateVersion"
	fieldModifiedSpec    = "modifiedSpec"
	fieldReason          = "reason"
	fieldVMs             = "vms"
)

var planFields = []string{fieldCluster, fieldStorageClass, fieldTemplateVersion, fieldModifiedSpec, fieldReason}

// ParsePlan reads a block as plans for the VMs that a pull request changes, given by name. The fields of
// a plan stand at the top when there is one VM, or below vms and the VM's name. Without an error among
// the problems there is at least one plan, with one there is none. Lines of problems count from 1 in the
// block. All problems are PLAN_INVALID but those of a modified spec, which has the codes of specs.
func ParsePlan(block Block, names map[string]spec.Ref) (Plans, domain.Problems) {
	r := &planReader{names: names, plans: Plans{}}
	r.read(block.Text)
	if r.problems.Blocking() {
		return nil, r.problems
	}
	return r.plans, r.problems
}

type planReader struct {
	tree
	names map[string]spec.Ref
	plans Plans
}

func (r *planReader) read(source string) {
	root := r.parse(source)
	if root == nil {
		return
	}
	if len(r.names) == 0 {
		r.invalid(root, "this pull request changes no VM that a plan could be for", "remove the plan")
		return
	}
	entries := r.mapping(root, "the plan", len(r.source))
	i := slices.IndexFunc(entries, func(e entry) bool { return e.key.Value == fieldVMs })
	switch {
	case i < 0:
		r.single(root, entries)
	case len(entries) > 1:
		other := entries[0].key
		if i == 0 {
			other = entries[1].key
		}
		r.invalid(other, quote(other.Value)+" stands beside vms", "write the fields of a plan either at the top, for one VM, or below vms and the VM's name")
	default:
		r.several(entries[i])
	}
}

// single reads the form for a pull request with one VM.
func (r *planReader) single(root *yaml.Node, entries []entry) {
	known := slices.Sorted(maps.Keys(r.names))
	if len(known) == 1 {
		r.plan(root, known[0], entries)
	} else if len(entries) > 0 {
		r.invalid(root, fmt.Sprintf("this pull request changes %d VMs, and the plan does not say which it is for", len(known)),
			"write vms:, below it the VM's name, and below that the plan; "+spec.Suggest("", known))
	}
}

// several reads the form that names the VMs.
func (r *planReader) several(vms entry) {
	known := slices.Sorted(maps.Keys(r.names))
	for _, e := range r.group(vms, fieldVMs) {
		if r.full() {
			return
		}
		if _, ok := r.names[e.key.Value]; !ok {
			r.invalid(e.key, "this pull request changes no VM "+quote(e.key.Value), spec.Suggest(e.key.Value, known))
			continue
		}
		r.plan(e.key, e.key.Value, r.group(e, "the plan of "+e.key.Value))
	}
}

func (r *planReader) plan(where *yaml.Node, name string, entries []entry) {
	p, chosen, modified := Plan{Line: where.Line}, false, -1
	for i, e := range entries {
		if r.full() {
			return
		}
		chosen = chosen || e.key.Value != fieldReason
		switch e.key.Value {
		case fieldCluster:
			p.Cluster = r.name(e)
		case fieldStorageClass:
			p.StorageClass = r.name(e)
		case fieldTemplateVersion:
			p.TemplateVersion = r.version(e)
		case fieldReason:
			p.Reason = r.reason(e)
		case fieldModifiedSpec:
			modified = i
		default:
			r.unknown(e.key)
		}
	}
	if modified >= 0 {
		r.modified(&p, r.names[name], entries[modified], hasField(entries, fieldReason))
	}
	if len(entries) > 0 && !chosen {
		r.invalid(where, "the plan gives a reason, but chooses nothing", "add what is to change: "+strings.Join(planFields[:4], ", "))
	}
	r.plans[name] = p
}

func hasField(entries []entry, name string) bool {
	return slices.ContainsFunc(entries, func(e entry) bool { return e.key.Value == name })
}

// name reads the name of a cluster or storage class. Whether there is one is judged with the pull request.
func (r *planReader) name(e entry) string {
	n := e.value
	switch {
	case !r.scalar(e):
	case n.ShortTag() != "!!str":
		r.invalid(n, e.key.Value+" has to be a name, but "+quote(n.Value)+" is none in YAML", "put it in quotes")
	case len(n.Value) > 253 || !nameForm.MatchString(n.Value):
		r.invalid(e.place(), e.key.Value+" cannot be "+quote(n.Value), "names have small letters, digits, hyphens and dots")
	default:
		return n.Value
	}
	return ""
}

var nameForm = regexp.MustCompile(`^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$`)

func (r *planReader) version(e entry) int {
	if !r.scalar(e) {
		return 0
	}
	v, err := strconv.Atoi(e.value.Value)
	if e.value.ShortTag() != "!!int" || err != nil || strconv.Itoa(v) != e.value.Value || v < 1 || v > 9999 {
		r.invalid(e.place(), fieldTemplateVersion+" cannot be "+quote(e.value.Value), "write the number of a version of the template, such as 3")
		return 0
	}
	return v
}

func (r *planReader) reason(e entry) string {
	n := e.value
	switch {
	case !r.scalar(e):
	case n.ShortTag() != "!!str" && n.ShortTag() != "!!timestamp":
		r.invalid(n, "reason has to be text, but "+quote(n.Value)+" is none in YAML", "put it in quotes")
	case strings.TrimSpace(n.Value) == "":
		r.invalid(e.place(), "reason is empty", "say why, or remove the line")
	case utf8.RuneCountInString(n.Value) > maxReason:
		r.invalid(n, fmt.Sprintf("reason has %d characters; at most %d are allowed", utf8.RuneCountInString(n.Value), maxReason), "shorten it")
	case unseen(n.Value) >= 0:
		r.invalid(n, "reason contains a character that cannot be seen", "remove it")
	default:
		return n.Value
	}
	return ""
}

// scalar reports whether the value is one that is there.
func (r *planReader) scalar(e entry) bool {
	switch {
	case e.value.Kind != yaml.ScalarNode:
		r.invalid(e.value, e.key.Value+" has to be a single value", "write it on the line of its name: "+e.key.Value+": ...")
	case e.value.ShortTag() == "!!null":
		r.invalid(e.key, e.key.Value+" has no value", "give it one or remove the line")
	default:
		return true
	}
	return false
}

func (r *planReader) unknown(key *yaml.Node) {
	hint := spec.Suggest(key.Value, planFields)
	if _, ok := r.names[key.Value]; ok {
		hint = "write it below vms:"
	} else if slices.Contains(vmFields, key.Value) {
		hint = "a field of the VM's spec belongs below modifiedSpec, with all the others: it replaces the whole spec"
	}
	r.invalid(key, "a plan has no field "+quote(key.Value), hint)
}

// vmFields are the fields of a VM's spec.
var vmFields = func() (names []string) {
	t := reflect.TypeFor[spec.VirtualMachine]()
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}()
