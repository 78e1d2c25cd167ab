package judge

import (
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// locateConsole finds the VM that a request for a console is about, and so its system and environment. A right
// to a VM that nobody knows any more can still be taken away, by whoever has it everywhere in the stricter
// environment that the name can mean.
func (j *judging) locateConsole(c *change) {
	c.VM = c.Ref.Name
	vm := j.target(c)
	c.System = vm.System
	if ns, p := j.in.Platform.Namespace(vm.Namespace); p == nil {
		c.Environment = ns.Environment
	} else if c.file.Head == nil {
		c.Environment = domain.Prod
	}
}

// target is the identity of the VM that a request for a console names; without a system where it is not known.
func (j *judging) target(c *change) (vm spec.Ref) {
	if m, known := j.in.World.Machines[c.Ref.Name]; known {
		vm, _, _ = spec.ParsePath(m.Path)
		return vm
	}
	for name, ns := range j.in.Platform.Namespaces {
		if c.file.Head != nil || !strings.HasPrefix(c.Ref.Name, name+"-") {
			continue
		}
		before := j.in.Platform.Namespaces[vm.Namespace]
		stricter := before == nil || before.Environment != domain.Prod && ns.Environment == domain.Prod
		if stricter || before.Environment == ns.Environment && name < vm.Namespace {
			vm.Namespace = name
		}
	}
	return vm
}

// console holds a request for a console to the VM and to the person who asks. Taking the right away needs no
// more than the permission.
func (j *judging) console(c *change) {
	c.Claims = nameKeys(c.Ref)
	access, ok := spec.As[spec.ConsoleAccess](c.doc)
	if !ok {
		return
	}
	c.Reason, c.Grant = access.Reason, access.Grant()
	j.machineIsThere(c)
	if !strings.EqualFold(c.Ref.Login, j.in.Author.Login) {
		c.add(domain.Problem{
			Code: domain.PermissionDenied, Message: "a console is asked for by the one who is to use it, and this file is for " + c.Ref.Login,
			Hint: "call it " + spec.Ref{Kind: spec.KindConsoleAccess, Name: c.Ref.Name, Login: j.in.Author.Login}.Path() + " to ask for yourself",
		})
	}
}

func (j *judging) machineIsThere(c *change) {
	m, known := j.in.World.Machines[c.VM]
	vm := j.target(c)
	switch {
	case !known || m.Removed || vm.Kind != spec.KindVirtualMachine:
		c.add(domain.Problem{
			Code: domain.NoSuchVM, Message: "there is no VM " + c.VM, Hint: spec.Suggest(c.VM, j.machineNames(c.VM)),
		})
	case m.Status == domain.VMDeleting || m.Status == domain.VMDeleted || j.removes(vm):
		c.add(domain.Problem{
			Code: domain.NoSuchVM, Message: "the VM " + c.VM + " is being deleted", Hint: "take this file out",
		})
	case c.Environment == "":
		_, p := j.in.Platform.Namespace(vm.Namespace)
		c.found(p, "")
	}
}

// machineNames are the VMs that somebody can have meant.
func (j *judging) machineNames(but string) (names []string) {
	seen := map[string]bool{but: true}
	add := func(name string) {
		if !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for name, m := range j.in.World.Machines {
		if !m.Removed {
			add(name)
		}
	}
	for name, path := range j.in.World.Names {
		if !isService(path) {
			add(name)
		}
	}
	return names
}
