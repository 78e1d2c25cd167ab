package judge

import (
	"encoding/json"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/render"
)

// planNew works out what would be applied for a new VM: the namespace's environment, the template's
// version, the size, the cluster, and the objects. What is missing is a problem at its line; the plan then
// stays away.
func (j *judging) planNew(c *change) {
	ns := j.namespace(c)
	template, version := j.newTemplate(c)
	size := j.newSize(c)
	networks := j.networks(c, ns)
	lets := c.masked(template, c.vm.Template, version, nil)
	vm, size := c.given(template, size)
	if ns == nil || template == nil || size == nil || networks == nil || !lets {
		return
	}
	choice, ok := j.suggest(c, c.vm, ns.Environment, needsOf(c.vm, size, template, networks))
	if !ok {
		return
	}
	j.write(c, *c.vm, attachments{networks, ns.Network}, Plan{
		Choice: choice, Template: c.vm.Template, TemplateVersion: version, Size: c.vm.Size, Disk: diskOf(&vm, size),
		KubernetesNamespace: ns.ObjectName(c.Ref.Namespace), TemplateSnapshot: template, SizeSnapshot: size,
	})
}

// namespace is the one that the VM's path names; nil with a problem where the platform has none.
func (j *judging) namespace(c *change) *spec.Namespace {
	ns, p := j.in.Platform.Namespace(c.Ref.Namespace)
	if p != nil {
		p.Path = c.Path
		c.add(*p)
	}
	return ns
}

// newTemplate is the version of the named template that a VM gets now: the active one, or the one that an
// approver chose. nil with a problem where there is none.
func (j *judging) newTemplate(c *change) (*spec.Template, int) {
	if version := c.chosen().TemplateVersion; version > 0 {
		return j.chosenTemplate(c, version)
	}
	template, version, p := j.in.Platform.ActiveTemplate(c.vm.Template)
	if p != nil {
		c.found(p, "spec.template")
		return nil, 0
	}
	c.uses.template, c.uses.version, c.uses.templateContent = c.vm.Template, version, template
	return template, version
}

func (j *judging) chosenTemplate(c *change, version int) (*spec.Template, int) {
	template, p := j.in.Platform.Template(c.vm.Template, version)
	switch {
	case p != nil:
		c.ofPlan(*p)
		return nil, 0
	case template.Status != spec.TemplateActive && template.Status != spec.TemplateDeprecated:
		c.ofPlan(domain.Problem{
			Code: domain.TemplateNotActive, Message: "version " + number(version) + " of template " + c.vm.Template + " is " + string(template.Status),
			Hint: "choose a version that is active or deprecated, or none to get the active one",
		})
		return nil, 0
	}
	c.uses.template, c.uses.version, c.uses.templateContent = c.vm.Template, version, template
	return template, version
}

// newSize is the named size as the platform has it now; nil with a problem where it has none.
func (j *judging) newSize(c *change) *spec.InstanceSize {
	size, p := j.in.Platform.Size(c.vm.Size)
	if p != nil {
		c.found(p, "spec.size")
		return nil
	}
	c.uses.size, c.uses.sizeContent = c.vm.Size, size
	return size
}

// attachments are the networks that a VM can be attached to, and the one that it gets when it names none.
type attachments struct {
	networks map[string]spec.Network
	standard string
}

// write renders what the plan says and makes it the change's, unless it cannot be applied.
func (j *judging) write(c *change, vm spec.VirtualMachine, to attachments, plan Plan) {
	manifests, problems := render.Render(render.Input{
		Ref: c.Ref, Environment: c.Environment, KubernetesNamespace: plan.KubernetesNamespace, VM: vm,
		Template: *plan.TemplateSnapshot, TemplateName: plan.Template, TemplateVersion: plan.TemplateVersion,
		Size: *plan.SizeSnapshot, SizeName: plan.Size, Networks: to.networks, DefaultNetwork: to.standard,
		SystemSSHKeys: j.systemKeys(c.Ref.System), StorageClass: plan.StorageClass,
		KubeVirt: j.in.World.Clusters[plan.Cluster].kubeVirt(plan.Cluster), Registries: j.registries(c),
	})
	for _, p := range problems {
		j.rendered(c, plan, p)
	}
	if problems.Blocking() {
		return
	}
	plan.Objects, plan.Manifests = slices.Concat(objects(manifests), plan.Objects), manifests
	c.seal(plan, vm.RestartedAt)
}

// registries are where a VM's images may come from. The image of one that exists is fixed, wherever it is from.
func (j *judging) registries(c *change) []string {
	m, exists := j.in.World.Machines[c.Subject]
	if len(j.in.Registries) == 0 || c.accepted == nil || !exists || m.Plan == nil || m.Plan.TemplateSnapshot == nil {
		return j.in.Registries
	}
	if disk := m.Plan.TemplateSnapshot.Image.ContainerDisk; disk != nil {
		return append(slices.Clone(j.in.Registries), disk.Image)
	}
	return j.in.Registries
}

// seal gives the plan its digest and makes it the change's. The digest is of what would be there afterwards,
// whatever operation brings it about.
func (c *change) seal(plan Plan, restartedAt string) {
	choice := map[string]any{
		"cluster": plan.Cluster, "storageClass": plan.StorageClass, "template": plan.Template, "templateVersion": plan.TemplateVersion,
		"templateSnapshot": plan.TemplateSnapshot, "sizeSnapshot": plan.SizeSnapshot,
	}
	if restartedAt != "" {
		choice["restartedAt"] = restartedAt
	}
	c.close(plan, choice)
}

func (c *change) close(plan Plan, choice map[string]any) {
	digest, err := render.EffectiveDigest(choice, plan.Manifests)
	if err != nil {
		c.add(domain.Problem{
			Code: domain.PlanInvalid, Message: "the plan cannot be written down: " + err.Error(), Hint: "ask whoever runs Shepherd",
		})
		return
	}
	plan.EffectiveDigest = digest
	c.Plan = &plan
}

// objects names what the manifests make; disks with their size.
func objects(manifests []render.Manifest) (out []string) {
	for _, m := range manifests {
		name := m.Kind + " " + m.Name
		if size := diskSize(m); size != "" {
			name += " " + size
		}
		out = append(out, name)
	}
	return out
}

// diskSize is how large the disk is that a manifest makes; empty for what is no disk.
func diskSize(m render.Manifest) string {
	var disk struct {
		Spec struct {
			Storage struct {
				Resources struct{ Requests struct{ Storage string } }
			}
		}
	}
	if m.Kind != render.KindDataVolume || json.Unmarshal(m.JSON, &disk) != nil {
		return ""
	}
	return disk.Spec.Storage.Resources.Requests.Storage
}

// networks looks up the networks that the VM names; nil when one is wrong.
func (j *judging) networks(c *change, ns *spec.Namespace) map[string]spec.Network {
	out := map[string]spec.Network{}
	ok := true
	for i, n := range c.vm.Networks {
		ok = j.network(c, ns, n.Name, "spec.networks["+number(i)+"].name", out) && ok
	}
	if ns != nil && ns.Network != "" && len(c.vm.Networks) == 0 {
		ok = j.network(c, ns, ns.Network, "spec", out) && ok
	}
	if !ok {
		return nil
	}
	return out
}

// network puts one network of the platform into out, or tells what is wrong with it.
func (j *judging) network(c *change, ns *spec.Namespace, name, field string, out map[string]spec.Network) bool {
	n, p := j.in.Platform.Network(name)
	switch {
	case p != nil:
		c.found(p, field)
		return false
	case ns != nil && n.Environment != ns.Environment:
		c.at(domain.EnvironmentMismatch, field, "network "+name+" belongs to "+string(n.Environment)+", namespace "+c.Ref.Namespace+" to "+string(ns.Environment),
			spec.Suggest(name, j.networksOf(ns.Environment))+" in "+string(ns.Environment))
		return false
	}
	out[name] = *n
	return true
}

func (j *judging) networksOf(env domain.Environment) (names []string) {
	for name, n := range j.in.Platform.Networks {
		if n.Environment == env {
			names = append(names, name)
		}
	}
	return names
}

// systemKeys are the keys that every VM of a system accepts: those accepted, or asked for by the same
// pull request.
func (j *judging) systemKeys(system string) []string {
	for _, c := range j.changes {
		if c.Ref.Kind == spec.KindSystem && c.Ref.System == system {
			if s, ok := spec.As[spec.System](c.doc); ok {
				return s.SSHKeys
			}
		}
	}
	return j.in.World.SystemKeys[system]
}

// rendered puts a problem of the renderer where people can mend it: at the request's own field, else at
// the field that names the platform's document which brings it, with the way out for somebody who cannot
// mend that.
func (j *judging) rendered(c *change, plan Plan, p render.Problem) {
	template := "template " + plan.Template + " v" + number(plan.TemplateVersion)
	field, source, mend := "spec", "", "nothing in this file is wrong: ask whoever keeps the platform's documents"
	switch p.Origin {
	case render.OriginRequest:
		if p.Field != "" {
			field += "." + p.Field
		}
		c.found(&p.Problem, field)
		return
	case render.OriginTemplate:
		field, source = "spec.template", template
		mend = "choose another template, or ask whoever keeps the platform's documents to mend this one"
	case render.OriginSize:
		field, source = "spec.size", "size "+plan.Size
		mend = "choose another size, or ask whoever keeps the platform's documents to mend this one"
	case render.OriginRendered:
		source = "of what " + template + " and size " + plan.Size + " make"
	}
	if source != "" && !strings.Contains(p.Message, "template "+plan.Template) {
		p.Message += " (" + source + ")"
	}
	if p.Severity == domain.Error && p.Hint == "" {
		p.Hint = mend
	}
	c.found(&p.Problem, field)
}

func diskOf(vm *spec.VirtualMachine, size *spec.InstanceSize) string {
	if vm.Disk != "" {
		return vm.Disk
	}
	def, _, _ := size.DiskRange()
	return def.String()
}
