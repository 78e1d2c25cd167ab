package comment

import (
	"cmp"
	"fmt"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
)

// maxReason is how much of a requester's reason is repeated, in runes.
const maxReason = 200

// detail is the plan of one change, the rule that it stands under and, with reasons, what all rules say,
// folded once more.
func detail(r Row, reasons bool) string {
	c := r.Change
	var b strings.Builder
	fmt.Fprintf(&b, "**%s** %s", subject(r), operation(c))
	b.WriteString(inEnvironment(c))
	b.WriteString("\n\n")
	item := func(format string, args ...any) { fmt.Fprintf(&b, "- "+format+"\n", args...) }
	if words := Escape(c.Reason, maxReason); words != "" {
		item("Reason: %s", words)
	}
	for _, d := range lines(differences(c.Accepted, c.Wanted), "Changes ") {
		item("%s", d)
	}
	planned(r, item)
	wanted(r, item)
	foreseen(c, item)
	trials(c, item)
	usage(c, item)
	if names := claims(c.Claims); names != "" {
		item("Reserves %s", names)
	}
	if c.Requirement.Rule != "" {
		item("%s", needs(c.Requirement))
	}
	item("Digest of the change %s%s", digest(c.Digest), orNothing(", of the plan ", digest(r.effective())))
	if reasons && c.Verdict.Rule != "" {
		verdict := c.Verdict
		verdict.Rule = operation(c)
		b.WriteString("\n<details><summary>Why</summary>\n\n" + fence(policy.Text(verdict)) + "\n</details>\n")
	}
	return b.String() + "\n"
}

// inEnvironment continues what is done with where.
func inEnvironment(c judge.Change) string {
	env := cell(string(c.Environment), 20)
	if c.Operation == domain.VNCAccess {
		return orNothing(", in ", env)
	}
	return orNothing(" in ", env)
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

// planned is where the VM runs, and what it is made of where that is new.
func planned(r Row, item func(string, ...any)) {
	p, op := r.Change.Plan, r.Change.Operation
	if p == nil {
		return
	}
	if !op.Power() && !op.Removes() {
		madeOf(p, item)
	}
	if p.Cluster != "" {
		item("Cluster %s%s", code(p.Cluster), orNothing(", namespace ", code(p.KubernetesNamespace)))
	}
	objects(r, item)
	if user := r.passwordUser(); user != "" {
		item("A password for %s is made with the VM, kept in a Secret beside it alone, and has to be changed at the first login", user)
	} else if op == domain.CreateVM && r.hasKeys() == no {
		item("No SSH key is given: to log in, add sshKeys to the file or to its system before the merge")
	}
}

func madeOf(p *judge.Plan, item func(string, ...any)) {
	if p.Template != "" {
		item("Template %s version %d%s", code(p.Template), p.TemplateVersion, image(p.TemplateSnapshot))
	}
	if p.Size != "" {
		item("Size %s%s", code(p.Size), hardware(p.SizeSnapshot))
	}
	if p.Disk != "" && !ephemeral(p.TemplateSnapshot) {
		item("Root disk %s, %s", code(p.Disk), class(p.StorageClass))
	}
}

// objects are what is made or changed on the cluster, and what becomes of those that no longer belong to
// the VM.
func objects(r Row, item func(string, ...any)) {
	var out, gone, kept []string
	for _, o := range r.Change.Plan.Objects {
		if name, ok := strings.CutSuffix(o, " is deleted"); ok {
			gone = append(gone, code(name))
		} else if name, how, ok := strings.Cut(o, " is kept"); ok {
			kept = append(kept, code(name)+orNothing(" ", prose(strings.TrimLeft(how, ", "), maxPath)))
		} else {
			out = append(out, code(o))
		}
	}
	if len(gone) > 0 {
		item("Deletes %s", listed(gone, 20))
	}
	if len(kept) > 0 {
		item("Keeps %s", listed(kept, 20))
	}
	switch {
	case len(out) == 0 || r.Change.Operation.Power():
	case r.Change.Operation == domain.ModifyVM:
		item("Applies %s", listed(out, 20))
	case r.Change.Operation == domain.CreateVM:
		item("Creates %s", listed(append([]string{code("Namespace "+r.Change.Plan.KubernetesNamespace) + " if it is missing"}, out...), 21))
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

// wanted is what the request itself asks for, beside template, size and disk.
func wanted(r Row, item func(string, ...any)) {
	vm := vmSpec(r.Change.Ref.Kind, r.Change.Wanted)
	if vm == nil || r.Change.Operation.Power() {
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
