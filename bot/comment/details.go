package comment

import (
	"bytes"
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

// detail is the plan of one change, the rule that it stands under and, with reasons, what all rules say.
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
	if len(c.Claims) > 0 {
		item("Reserves %s", claims(c.Claims))
	}
	if c.Requirement.Rule != "" {
		item("%s", needs(c.Requirement))
	}
	item("Digest of the change %s%s", digest(c.Digest), orNothing(", of the plan ", digest(r.effective())))
	if reasons && c.Verdict.Rule != "" {
		b.WriteString("\n" + fence(policy.Text(c.Verdict)))
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

func claims(keys []string) string {
	var out []string
	for _, k := range keys {
		out = append(out, code(k))
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
	if p.Disk != "" {
		item("Root disk %s", code(p.Disk))
	}
	if p.Cluster != "" {
		item("Cluster %s%s%s", code(p.Cluster), orNothing(", namespace ", code(p.KubernetesNamespace)), orNothing(", storage class ", code(p.StorageClass)))
	}
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
	case i.ContainerDisk != nil && i.ContainerDisk.Ephemeral:
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
		item("Data disk %s of %s%s", code(d.Name), code(d.Size), orNothing(", storage class ", code(d.StorageClass)))
	}
	for _, n := range vm.Networks {
		item("Network %s%s", code(n.Name), orNothing(" with address ", code(n.IP)))
	}
	if vm.Power != "" {
		item("Power %s", cell(string(vm.Power), 20))
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
