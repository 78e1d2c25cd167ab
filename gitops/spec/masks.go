package spec

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"

	"kv-shepherd.io/shepherd/internal/domain"
)

// maskField is a field of a VirtualMachine that a template's masks can be about.
type maskField struct {
	// special fields are a request's only where a mask says so; the others are, unless a mask forbids them.
	special bool
	// fills says that a mask may have a default. What becomes of data when a VM is deleted is read long after its
	// template, and lists have defaults of their own.
	fills bool
	// check says what is wrong with a value by itself; nil where a value is an entry of a list that has rules of
	// its own.
	check func(string) *domain.Problem
	// amount reads a value that has a place among others; nil for words. A list is as much as it has entries.
	amount func(string) (resource.Quantity, *domain.Problem)
	// many says that the field is a list.
	many bool
	// values are what a request has in the field.
	values func(*VirtualMachine) []maskValue
}

// maskValue is one value of a field: text is what options are about, whole all that it says.
type maskValue struct{ text, whole, at string }

var maskFields = map[string]maskField{
	"cpu":    {special: true, fills: true, amount: cores, values: one("cpu", func(vm *VirtualMachine) string { return positive(vm.CPU) })},
	"memory": {special: true, fills: true, amount: Bytes, values: one("memory", func(vm *VirtualMachine) string { return vm.Memory })},
	"gpu":    {special: true, fills: true, check: formats["device-name"].check, values: one("gpu", func(vm *VirtualMachine) string { return vm.GPU })},
	"disk":   {fills: true, amount: Bytes, values: one("disk", func(vm *VirtualMachine) string { return vm.Disk })},
	"size":   {check: formats["platform-name"].check, values: one("size", func(vm *VirtualMachine) string { return vm.Size })},
	"deletionPolicy": {check: deletionPolicy, values: one("deletionPolicy", func(vm *VirtualMachine) string {
		return string(vm.DeletionPolicy)
	})},
	"disks": {many: true, amount: entries, values: func(vm *VirtualMachine) []maskValue {
		return each(vm.Disks, "disks", "", func(d VMDisk) (string, string) { return d.Name, d.Name + " " + d.Size + " " + d.StorageClass })
	}},
	"networks": {many: true, amount: entries, check: formats["platform-name"].check, values: func(vm *VirtualMachine) []maskValue {
		return each(vm.Networks, "networks", ".name", func(n VMNetwork) (string, string) { return n.Name, n.Name + " " + n.IP })
	}},
	"sshKeys": {many: true, amount: entries, values: func(vm *VirtualMachine) []maskValue {
		return each(vm.SSHKeys, "sshKeys", "", func(key string) (string, string) { return key, key })
	}},
}

// MaskFields are the names of the fields that masks can be about, sorted.
func MaskFields() []string { return slices.Sorted(maps.Keys(maskFields)) }

func one(name string, of func(*VirtualMachine) string) func(*VirtualMachine) []maskValue {
	return func(vm *VirtualMachine) []maskValue {
		if text := of(vm); text != "" {
			return []maskValue{{text, text, name}}
		}
		return nil
	}
}

func each[T any](items []T, name, member string, of func(T) (text, whole string)) (out []maskValue) {
	for i, item := range items {
		text, whole := of(item)
		out = append(out, maskValue{text, whole, name + "[" + strconv.Itoa(i) + "]" + member})
	}
	return out
}

func positive(n int) string {
	if n <= 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// maxCores is how many cores a VM may have at most.
const maxCores = 512

func cores(s string) (resource.Quantity, *domain.Problem) {
	return counted(s, 1, maxCores)
}

func entries(s string) (resource.Quantity, *domain.Problem) { return counted(s, 0, 20) }

func counted(s string, least, most int64) (resource.Quantity, *domain.Problem) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || !plainInt(s) || n < least || n > most {
		return resource.Quantity{}, &domain.Problem{
			Message: "cannot be " + quote(s), Hint: fmt.Sprintf(`write a whole number from %d to %d, in quotes: "%d"`, least, most, max(least, 1)),
		}
	}
	return *resource.NewQuantity(n, resource.DecimalSI), nil
}

func deletionPolicy(s string) *domain.Problem {
	if s == string(RetainDisks) || s == string(DeleteDisks) {
		return nil
	}
	return &domain.Problem{Message: "cannot be " + quote(s), Hint: "write retain or delete"}
}

// read says what is wrong with a value, and how much it is where that means something. For a list that is how
// many entries it has.
func (f maskField) read(value string) (resource.Quantity, *domain.Problem) {
	if f.amount != nil {
		return f.amount(value)
	}
	return resource.Quantity{}, f.check(value)
}

// equal reports whether two values mean the same.
func (f maskField) equal(a, b string) bool {
	if f.amount == nil || f.many {
		return a == b
	}
	x, p := f.amount(a)
	y, q := f.amount(b)
	return a == b || p == nil && q == nil && x.Cmp(y) == 0
}

// offers reports whether a mask's options let a value pass.
func (f maskField) offers(m FieldMask, value string) bool {
	return len(m.Options) == 0 || slices.ContainsFunc(m.Options, func(o string) bool { return f.equal(o, value) })
}

// outside says how a value lies outside a mask's bounds, or "". Bounds that cannot be read let nothing pass.
func (f maskField) outside(m FieldMask, value string) string {
	if f.amount == nil {
		return ""
	}
	q, p := f.amount(value)
	if p != nil {
		return p.Message
	}
	if least, p := f.amount(m.Min); m.Min != "" && (p != nil || q.Cmp(least) < 0) {
		return "is less than " + m.Min
	}
	if most, p := f.amount(m.Max); m.Max != "" && (p != nil || q.Cmp(most) > 0) {
		return "is more than " + m.Max
	}
	return ""
}

// Mask is what the template lets a request do with a field; false where it says nothing of it.
func (t *Template) Mask(field string) (FieldMask, bool) {
	if t == nil {
		return FieldMask{}, false
	}
	if m, ok := t.QuickFields[field]; ok {
		return m, true
	}
	m, ok := t.AdvancedFields[field]
	return m, ok
}

// FieldProblem is a problem at a field below the spec of a request; empty for the spec as a whole.
type FieldProblem struct {
	domain.Problem
	Field string
}

// Check holds a request to the template's masks, field by field. name is the template's for people, as in
// "ubuntu v3". What an accepted request (old, nil for none) has as well was let through when it was made, and
// stands. A field that is missing is REQUIRED_FIELD_REMOVED.
func (t *Template) Check(name string, vm, old *VirtualMachine) (out []FieldProblem) {
	for _, field := range MaskFields() {
		f := maskFields[field]
		if old != nil && slices.EqualFunc(f.values(vm), f.values(old), func(a, b maskValue) bool { return a.whole == b.whole }) {
			continue
		}
		m, masked := t.Mask(field)
		if !masked && !f.special {
			continue
		}
		for _, p := range f.hold(field, name, m, f.values(vm)) {
			p.Severity = domain.Error
			out = append(out, p)
		}
	}
	return out
}

// hold holds the values of one field to its mask.
func (f maskField) hold(field, template string, m FieldMask, values []maskValue) []FieldProblem {
	switch {
	case len(values) == 0 && m.Required:
		return []FieldProblem{{domain.Problem{
			Code: domain.RequiredFieldRemoved, Message: "spec lacks the field " + field + ", which template " + template + " asks for",
			Hint: "add " + field + f.choices(m),
		}, ""}}
	case len(values) > 0 && !m.Editable:
		return []FieldProblem{{domain.Problem{
			Code: domain.ForbiddenField, Message: "template " + template + " does not let requests set " + field,
			Hint: "remove it, or ask a platform administrator for a version of the template with " + field + ": {editable: true} among its fields",
		}, field}}
	case f.many:
		return f.holdList(field, template, m, values)
	}
	var out []FieldProblem
	for _, v := range values {
		out = append(out, f.bound(field, template, m, v)...)
	}
	return out
}

func (f maskField) holdList(field, template string, m FieldMask, values []maskValue) (out []FieldProblem) {
	if len(values) > 0 {
		if why := f.outside(m, strconv.Itoa(len(values))); why != "" {
			out = append(out, FieldProblem{domain.Problem{
				Code: domain.FieldOutOfRange, Message: fmt.Sprintf("the number of %s, %d, %s, which template %s allows", field, len(values), why, template),
				Hint: "the template allows" + bounds(m),
			}, field})
		}
	}
	for _, v := range values {
		if !f.offers(m, v.text) {
			out = append(out, f.notOffered(field, template, m, v))
		}
	}
	return out
}

func (f maskField) bound(field, template string, m FieldMask, v maskValue) []FieldProblem {
	if !f.offers(m, v.text) {
		return []FieldProblem{f.notOffered(field, template, m, v)}
	}
	why := f.outside(m, v.text)
	if why == "" {
		return nil
	}
	code := domain.FieldOutOfRange
	if field == "disk" {
		code = domain.DiskOutOfRange
	}
	return []FieldProblem{{domain.Problem{
		Code: code, Message: field + " is " + v.text + ", which " + why + ", what template " + template + " allows", Hint: "write" + f.choices(m),
	}, v.at}}
}

func (f maskField) notOffered(field, template string, m FieldMask, v maskValue) FieldProblem {
	return FieldProblem{domain.Problem{
		Code: domain.FieldOutOfRange, Message: field + " cannot be " + quote(v.text) + " with template " + template, Hint: "write" + f.choices(m),
	}, v.at}
}

// choices says what may be written, beginning with a space; empty where anything may.
func (f maskField) choices(m FieldMask) string {
	if len(m.Options) > 0 {
		return " one of " + strings.Join(m.Options, ", ")
	}
	return bounds(m)
}

func bounds(m FieldMask) string {
	switch {
	case m.Min != "" && m.Max != "":
		return " " + m.Min + " to " + m.Max
	case m.Min != "":
		return " " + m.Min + " or more"
	case m.Max != "":
		return " " + m.Max + " or less"
	}
	return ""
}
