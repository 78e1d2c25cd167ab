package judge

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/render"
)

// modifyVM plans a change of an existing VM from what was recorded of it: only what the diff names is new.
func (j *judging) modifyVM(c *change) {
	c.Claims = nameKeys(c.Ref)
	c.vm = machine(c.doc)
	old, m, ns, ok := j.existing(c)
	if c.vm == nil || !ok {
		return
	}
	c.Reason = c.vm.Reason
	own := addressKeys(old)
	for _, key := range addressKeys(c.vm) {
		if !slices.Contains(own, key) {
			c.Claims = append(c.Claims, key)
		}
	}
	restarts := j.restart(c, old.RestartedAt)
	j.addressesAreFree(c, own)
	j.planChange(c, old, m, ns, restarts)
}

// existing is what a change of an accepted VM starts from: the accepted spec, the VM as it was last agreed on,
// and its namespace. Without one of them there is a problem.
func (j *judging) existing(c *change) (*spec.VirtualMachine, Machine, *spec.Namespace, bool) {
	ns := j.namespace(c)
	old := c.acceptedVM()
	m, known := j.in.World.Machines[c.Subject]
	if old == nil || !known || m.Path != c.Path || m.Plan == nil || m.Plan.TemplateSnapshot == nil || m.Plan.SizeSnapshot == nil {
		c.add(domain.Problem{
			Code: domain.PlanInvalid, Message: "the VM " + c.Subject + " is not known on any cluster, so that nothing can be changed there",
			Hint: "nothing in this file is wrong: ask whoever runs Shepherd to have the VM recognised",
		})
		return nil, Machine{}, nil, false
	}
	c.uses = uses{m.Plan.Template, m.Plan.TemplateVersion, m.Plan.TemplateSnapshot, m.Plan.Size, m.Plan.SizeSnapshot}
	return old, m, ns, ns != nil
}

// stays holds the VM's cluster to the platform. Cordoned or unhealthy it still has its VMs.
func (j *judging) stays(c *change, m Machine) bool {
	const ask = "nothing in this file is wrong: ask whoever keeps the platform's documents"
	cluster, known := j.in.Platform.Clusters[m.Cluster]
	switch {
	case !known:
		c.add(domain.Problem{
			Code: domain.NoEligibleCluster, Message: "cluster " + m.Cluster + ", where the VM lives, is no longer one of the platform's", Hint: ask,
		})
	case cluster.Environment != c.Environment:
		c.add(domain.Problem{
			Code: domain.EnvironmentMismatch, Hint: ask,
			Message: "cluster " + m.Cluster + ", where the VM lives, belongs to " + string(cluster.Environment) + ", namespace " + c.Ref.Namespace + " to " + string(c.Environment),
		})
	default:
		return true
	}
	return false
}

func (j *judging) planChange(c *change, old *spec.VirtualMachine, m Machine, ns *spec.Namespace, restarts bool) {
	stays := j.stays(c, m) && j.unchosen(c, m)
	template, version, fixed := j.keptTemplate(c, old, m)
	if template == m.Plan.TemplateSnapshot {
		fixed = fixed && c.masked(template, m.Plan.Template, version, old)
	} else {
		fixed = fixed && c.masked(template, c.vm.Template, version, nil)
	}
	filled, size := c.given(template, j.keptSize(c, old, m))
	kept, detached := j.dataDisks(c, old, m)
	to, attached := j.keptNetworks(c, old, m, ns)
	if !stays || !fixed || size == nil || !kept || !attached {
		return
	}
	vm := *c.vm
	disk, ok := j.rootDisk(c, old, m, template, diskOf(&filled, size), size)
	if !ok {
		return
	}
	vm.Disk = disk
	plan := Plan{
		Choice: Choice{Cluster: m.Cluster, StorageClass: m.Plan.StorageClass}, Template: vm.Template, TemplateVersion: version,
		Size: vm.Size, Disk: disk, KubernetesNamespace: m.KubernetesNamespace, TemplateSnapshot: template, SizeSnapshot: size, Objects: detached,
	}
	if restarts {
		plan.RestartedAt = vm.RestartedAt
	}
	if !j.able(c, plan, m, to) {
		return
	}
	j.write(c, vm, to, plan)
}

// able holds the cluster where the VM lives to what the change asks for anew.
func (j *judging) able(c *change, plan Plan, m Machine, to attachments) bool {
	was := needsOf(c.vm, m.Plan.SizeSnapshot, m.Plan.TemplateSnapshot, render.Attached(m.Plan.Manifests))
	needs := slices.DeleteFunc(needsOf(c.vm, plan.SizeSnapshot, plan.TemplateSnapshot, to.networks), func(n need) bool {
		return slices.ContainsFunc(was, func(w need) bool { return w.what == n.what })
	})
	facts := j.in.World.Clusters[m.Cluster]
	if unmet, _ := facts.unmet(needs); len(unmet) > 0 {
		c.at(domain.NoEligibleCluster, unmet[0].field, "cluster "+m.Cluster+", where the VM lives, "+facts.lacks(unmet),
			"ask for something else; a VM stays on its cluster")
		return false
	}
	j.unsure(c, m.Cluster, needs)
	return true
}

// unchosen refuses to move an existing VM or its disks.
func (j *judging) unchosen(c *change, m Machine) bool {
	chosen := c.chosen()
	moves := chosen.Cluster != "" && chosen.Cluster != m.Cluster
	if moves || chosen.StorageClass != "" && chosen.StorageClass != m.Plan.StorageClass {
		c.ofPlan(domain.Problem{
			Code: domain.PlanInvalid, Message: "a VM that exists stays on its cluster and storage class: " + strings.TrimSpace(m.Cluster+" "+m.Plan.StorageClass),
			Hint: "plan without cluster and storageClass; both are chosen when a VM is created",
		})
		return false
	}
	return true
}

// keptTemplate is the recorded version, or another one that makes the very same root disk.
func (j *judging) keptTemplate(c *change, old *spec.VirtualMachine, m Machine) (template *spec.Template, version int, ok bool) {
	if c.vm.Template == old.Template && c.keeps(m.Plan) {
		return m.Plan.TemplateSnapshot, m.Plan.TemplateVersion, true
	}
	if template, version = j.newTemplate(c); template == nil {
		return nil, 0, false
	}
	if !spec.Equal(template.Image, m.Plan.TemplateSnapshot.Image) {
		p := domain.Problem{
			Code: domain.TemplateFixed,
			Message: "the root disk of " + c.Subject + " is made already, of " + m.Plan.Template + " v" + number(m.Plan.TemplateVersion) +
				"; " + c.vm.Template + " v" + number(version) + " has another image",
			Hint: "write template: " + m.Plan.Template + " again; for another operating system, create another VM and delete this one",
		}
		if c.vm.Template == old.Template { // so that nobody but the plan asks for another
			p.Hint = "plan without templateVersion"
			c.ofPlan(p)
		} else {
			c.found(&p, "spec.template")
		}
		return nil, 0, false
	}
	kept := *template
	kept.InitialPassword = m.Plan.TemplateSnapshot.InitialPassword // the guest sets a password when it starts first
	return &kept, version, true
}

// keptSize is the recorded size, or the one that the change names. A disk that is named anew has the range of
// today.
func (j *judging) keptSize(c *change, old *spec.VirtualMachine, m Machine) *spec.InstanceSize {
	if c.vm.Size != old.Size {
		return j.newSize(c)
	}
	size := *m.Plan.SizeSnapshot
	if now, p := j.in.Platform.Size(c.vm.Size); p == nil && c.vm.Disk != old.Disk {
		size.Disk = now.Disk
	}
	return &size
}

// rootDisk is how large the root disk is to be: what is wanted, unless the change does not name it.
func (j *judging) rootDisk(c *change, old *spec.VirtualMachine, m Machine, template *spec.Template, want string, size *spec.InstanceSize) (string, bool) {
	if d := template.Image.ContainerDisk; m.Plan.Disk == "" || d != nil && d.Ephemeral {
		return want, true
	}
	if c.vm.Disk == old.Disk {
		return m.Plan.Disk, c.vm.Size == old.Size || c.fits(m.Plan.Disk, size)
	}
	if !smaller(want, m.Plan.Disk) {
		return want, true
	}
	message := "the root disk has " + m.Plan.Disk + " and cannot shrink to " + want
	if c.vm.Disk == "" {
		message += ", which is what size " + c.vm.Size + " gives when disk is left out"
	}
	c.at(domain.DiskShrink, "spec.disk", message, "write disk: "+m.Plan.Disk+", or more")
	return "", false
}

// fits holds a root disk that nobody asked to change to the range of another size.
func (c *change) fits(disk string, size *spec.InstanceSize) bool {
	_, least, most := size.DiskRange()
	q, p := spec.Bytes(disk)
	if p != nil || q.Cmp(least) >= 0 && q.Cmp(most) <= 0 {
		return true
	}
	hint := "name a disk of " + least.String() + " to " + most.String() + ": it can only grow"
	if q.Cmp(most) > 0 {
		hint = "a disk cannot shrink: choose a size whose range holds " + disk
	}
	c.at(domain.DiskOutOfRange, "spec.size",
		"the root disk of "+disk+" is outside the range of size "+c.vm.Size+", "+least.String()+" to "+most.String(), hint)
	return false
}

func smaller(a, b string) bool {
	x, p := spec.Bytes(a)
	y, q := spec.Bytes(b)
	return p == nil && q == nil && x.Cmp(y) < 0
}

// dataDisks holds the data disks to those that the VM has. What is no longer named is kept on the cluster, and
// told.
func (j *judging) dataDisks(c *change, old *spec.VirtualMachine, m Machine) (ok bool, detached []string) {
	ok = true
	facts := j.in.World.Clusters[m.Cluster]
	for i, disk := range c.vm.Disks {
		field := "spec.disks[" + number(i) + "]"
		at := slices.IndexFunc(old.Disks, func(d spec.VMDisk) bool { return d.Name == disk.Name })
		switch {
		case at < 0 && !facts.has(disk.StorageClass):
			ok = false
			c.at(domain.StorageClassUnknown, field+".storageClass", "cluster "+m.Cluster+", where the VM lives, has no storage class "+disk.StorageClass,
				spec.Suggest(disk.StorageClass, facts.StorageClasses)+"; or leave it out to get the cluster's own")
		case at < 0:
			j.unsureOfStorage(c, m.Cluster, field+".storageClass", disk.StorageClass)
		case smaller(disk.Size, old.Disks[at].Size):
			ok = false
			c.at(domain.DiskShrink, field+".size", "disk "+disk.Name+" has "+old.Disks[at].Size+" and cannot shrink to "+disk.Size,
				"write size: "+old.Disks[at].Size+", or more")
		case cmp.Or(disk.StorageClass, m.Plan.StorageClass) != cmp.Or(old.Disks[at].StorageClass, m.Plan.StorageClass):
			ok = false
			c.at(domain.PlanInvalid, field+".storageClass", "disk "+disk.Name+" is made already, and its storage class cannot change",
				"put the storage class back, or add another disk and move the data")
		}
	}
	for _, disk := range old.Disks {
		if !slices.ContainsFunc(c.vm.Disks, func(d spec.VMDisk) bool { return d.Name == disk.Name }) {
			detached = append(detached, render.KindDataVolume+" "+render.DiskName(c.Subject, disk.Name)+" "+disk.Size+" is kept, but no longer attached")
		}
	}
	return ok, detached
}

// keptNetworks are the networks as the VM is attached to them, and those of the platform that the change names
// anew.
func (j *judging) keptNetworks(c *change, old *spec.VirtualMachine, m Machine, ns *spec.Namespace) (to attachments, ok bool) {
	recorded := render.Attached(m.Plan.Manifests)
	to.networks, ok = map[string]spec.Network{}, true
	for i, n := range c.vm.Networks {
		was, attached := recorded[render.InterfaceName(n.Name)]
		named := slices.ContainsFunc(old.Networks, func(o spec.VMNetwork) bool { return o.Name == n.Name })
		if attached && named {
			to.networks[n.Name] = j.asAttached(n.Name, was, ns)
			continue
		}
		ok = j.network(c, ns, n.Name, "spec.networks["+number(i)+"].name", to.networks) && ok
	}
	if len(c.vm.Networks) > 0 {
		return to, ok
	}
	if len(old.Networks) == 0 && len(recorded) == 1 {
		return j.keptStandard(recorded, ns), true
	}
	to.standard = ns.Network
	if ns.Network != "" {
		ok = j.network(c, ns, ns.Network, "spec", to.networks)
	}
	return to, ok
}

// keptStandard is the network that a VM without networks of its own was given when it was made.
func (j *judging) keptStandard(recorded map[string]spec.Network, ns *spec.Namespace) attachments {
	for as, was := range recorded { // there is one
		if as == render.InterfaceName("") {
			break
		}
		for _, name := range append([]string{ns.Network}, slices.Sorted(maps.Keys(j.in.Platform.Networks))...) {
			if name != "" && render.InterfaceName(name) == as {
				return attachments{map[string]spec.Network{name: j.asAttached(name, was, ns)}, name}
			}
		}
		return attachments{map[string]spec.Network{as: j.asAttached(as, was, ns)}, as}
	}
	return attachments{networks: map[string]spec.Network{}}
}

// asAttached is a network of the platform with the attachment that the VM was given.
func (j *judging) asAttached(name string, was spec.Network, ns *spec.Namespace) spec.Network {
	if now, p := j.in.Platform.Network(name); p == nil {
		was.Addresses = now.Addresses
	}
	was.Environment = ns.Environment
	return was
}
