package comment

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/policy"
)

// maxReason is how much of a requester's reason is repeated, in runes.
const maxReason = 200

// detail is the plan of one change, the rule that it stands under and, with reasons, what all rules say,
// folded once more.
func detail(r Row, reasons bool) string {
	c := r.Change
	var b strings.Builder
	fmt.Fprintf(&b, "**%s** %s", subject(r), operation(c.Operation))
	if c.Environment != "" {
		b.WriteString(" in " + cell(string(c.Environment), 20))
	}
	b.WriteString("\n\n")
	item := func(format string, args ...any) { fmt.Fprintf(&b, "- "+format+"\n", args...) }
	if words := Escape(c.Reason, maxReason); words != "" {
		item("Reason: %s", words)
	}
	planned(r, item)
	wanted(r, item)
	for _, d := range differences(c.Accepted, c.Wanted) {
		item("Changes %s", d)
	}
	if names := claims(c.Claims); names != "" {
		item("Reserves %s", names)
	}
	if c.Requirement.Rule != "" {
		item("%s", needs(c.Requirement))
	}
	item("Digest of the change %s%s", digest(c.Digest), orNothing(", of the plan ", digest(r.effective())))
	if reasons && c.Verdict.Rule != "" {
		verdict := c.Verdict
		verdict.Rule = operation(c.Operation)
		b.WriteString("\n<details><summary>Why</summary>\n\n" + fence(policy.Text(verdict)) + "\n</details>\n")
	}
	return b.String() + "\n"
}

// needs is the approval that a change needs.
func needs(r policy.Requirement) string {
	text := prose(r.String(), maxMessage)
	if r.Approvals == 0 {
		return strings.Replace(text, "no", "No", 1)
	}
	return "Needs " + text
}

func orNothing(before, s string) string {
	if s == "" {
		return ""
	}
	return before + s
}

// claims are the names and addresses that nobody else can have; what else is kept free follows from them.
func claims(keys []string) string {
	words := map[string]string{"system": "the name ", "service": "the name ", "vm": "the name ", "address": "the address "}
	var out []string
	for _, k := range keys {
		kind, name, _ := strings.Cut(k, ":")
		if name = code(name); words[kind] != "" && name != "" {
			out = append(out, words[kind]+name)
		}
	}
	return listed(out, 12)
}

// planned is where the VM would run and what it would be made of.
func planned(r Row, item func(string, ...any)) {
	p := r.Change.Plan
	if p == nil {
		return
	}
	if p.Template != "" {
		item("Template %s version %d%s", code(p.Template), p.TemplateVersion, image(p.TemplateSnapshot))
	}
	if p.Size != "" {
		item("Size %s%s", code(p.Size), hardware(p.SizeSnapshot))
	}
	if p.Disk != "" && !ephemeral(p.TemplateSnapshot) {
		item("Root disk %s, %s", code(p.Disk), class(p.StorageClass))
	}
	if p.Cluster != "" {
		item("Cluster %s%s", code(p.Cluster), orNothing(", namespace ", code(p.KubernetesNamespace)))
	}
	if len(p.Objects) > 0 {
		objects := []string{code("Namespace "+p.KubernetesNamespace) + " if it is missing"}
		for _, o := range p.Objects {
			objects = append(objects, code(o))
		}
		item("Creates %s", listed(objects, 20))
	}
	if r.hasKeys() == no {
		item("No SSH key is given: to log in, add sshKeys to the file or to its system before the merge")
	}
}

func ephemeral(t *spec.Template) bool {
	return t != nil && t.Image.ContainerDisk != nil && t.Image.ContainerDisk.Ephemeral
}

// class is the storage class of a disk, in words.
func class(name string) string {
	if name = code(name); name == "" {
		return "the cluster's default storage class"
	}
	return "storage class " + name
}

// image is where the root disk comes from.
func image(t *spec.Template) string {
	if t == nil {
		return ""
	}
	object := func(kind string, o *spec.ObjectRef) string {
		return ", from " + kind + " " + code(o.Namespace+"/"+o.Name)
	}
	switch i := t.Image; {
	case ephemeral(t):
		return ", running from image " + Escape(i.ContainerDisk.Image, maxPath) + ", writes are lost on a restart"
	case i.ContainerDisk != nil:
		return ", from image " + Escape(i.ContainerDisk.Image, maxPath)
	case i.DataVolume != nil:
		return object("data volume", i.DataVolume)
	case i.PVC != nil:
		return object("volume claim", i.PVC)
	case i.DataSource != nil:
		return object("data source", i.DataSource)
	}
	return ""
}

// hardware is what a size stands for.
func hardware(s *spec.InstanceSize) string {
	if s == nil {
		return ""
	}
	text := ": " + count(s.Cores, "core") + ", " + cell(s.Memory, 20) + " memory"
	if s.DedicatedCPU {
		text += ", cores of its own"
	}
	if s.Hugepages != "" {
		text += ", huge pages of " + cell(s.Hugepages, 20)
	}
	for _, g := range s.GPUs {
		text += ", GPU " + code(g.DeviceName)
	}
	if s.SRIOV {
		text += ", SR-IOV"
	}
	if o := s.Overcommit; o != nil {
		text += reserved("cores", o.CPU) + reserved("memory", o.Memory)
	}
	for _, path := range slices.Sorted(maps.Keys(s.SpecOverrides)) {
		text += ", sets " + Escape(path+" = "+compact(s.SpecOverrides[path]), maxReason)
	}
	return text
}

func reserved(what string, l *spec.RequestLimit) string {
	if l == nil {
		return ""
	}
	return ", reserves " + cell(l.Request, 20) + " of " + cell(l.Limit, 20) + " " + what
}

// wanted is what the request itself asks for, beside template, size and disk.
func wanted(r Row, item func(string, ...any)) {
	vm := vmSpec(r.Change.Ref.Kind, r.Change.Wanted)
	if vm == nil {
		return
	}
	for _, d := range vm.Disks {
		item("Data disk %s of %s, %s", code(d.Name), code(d.Size), class(cmp.Or(d.StorageClass, r.storageClass())))
	}
	for _, n := range vm.Networks {
		item("Network %s%s", code(n.Name), orNothing(" with address ", code(n.IP)))
	}
	if vm.Power != "" {
		item("Wanted state: %s", cell(string(vm.Power), 20))
	}
	if n := len(vm.SSHKeys); n > 0 {
		item("%s of its own", count(n, "SSH key"))
	}
	if vm.EffectiveDeletionPolicy() == spec.RetainDisks {
		item("Its disks are kept when it is deleted")
	}
}

// differences are the fields of a spec that change, each with both values.
func differences(accepted, wanted json.RawMessage) (out []string) {
	var before, after map[string]any
	if json.Unmarshal(accepted, &before) != nil || json.Unmarshal(wanted, &after) != nil {
		return nil
	}
	both := map[string]bool{}
	for key := range before {
		both[key] = true
	}
	for key := range after {
		both[key] = true
	}
	for _, key := range slices.Sorted(maps.Keys(both)) {
		was, is := compact(before[key]), compact(after[key])
		if was != is && key != "reason" {
			out = append(out, code(key)+" from "+value(was)+" to "+value(is))
		}
	}
	return out
}

func value(s string) string {
	if s == "null" {
		return "nothing"
	}
	return Escape(s, maxReason)
}

// compact is a value as people read it: text without quotes, anything else as JSON.
func compact(v any) string {
	if s, ok := v.(string); ok && s != "null" {
		return s
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return ""
	}
	return strings.TrimSpace(b.String())
}
