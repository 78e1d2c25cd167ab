package judge

import (
	"encoding/json"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/policy"
	"kv-shepherd.io/shepherd/internal/render"
)

// plan works out what would be applied for a new VM: the namespace's environment, the template's
// active version, the size, the cluster, and the objects. What is missing is a problem at its line;
// the plan then stays away.
func (j *judging) plan(c *change, vm *spec.VirtualMachine) {
	ns, p := j.in.Platform.Namespace(c.Ref.Namespace)
	if p != nil {
		p.Path = c.Path
		c.add(*p)
	}
	template, version, p := j.in.Platform.ActiveTemplate(vm.Template)
	if p != nil {
		c.found(p, "spec.template")
	}
	size, p := j.in.Platform.Size(vm.Size)
	if p != nil {
		c.found(p, "spec.size")
	}
	networks := j.networks(c, vm, ns)
	if ns == nil || template == nil || size == nil || networks == nil {
		return
	}
	choice, ok := j.suggest(c, vm, ns.Environment)
	if !ok {
		return
	}
	in := render.Input{
		Ref: c.Ref, Environment: ns.Environment, KubernetesNamespace: ns.ObjectName(c.Ref.Namespace), VM: *vm,
		Template: *template, TemplateName: vm.Template, TemplateVersion: version, Size: *size, SizeName: vm.Size,
		Networks: networks, DefaultNetwork: ns.Network, SystemSSHKeys: j.systemKeys(c.Ref.System), StorageClass: choice.StorageClass,
	}
	manifests, problems := render.Render(in)
	for _, p := range problems {
		j.rendered(c, vm, version, p)
	}
	if problems.Blocking() {
		return
	}
	plan := &Plan{
		Choice: choice, Template: vm.Template, TemplateVersion: version, Size: vm.Size, Disk: diskOf(vm, size),
		KubernetesNamespace: in.KubernetesNamespace, TemplateSnapshot: template, SizeSnapshot: size, Objects: objects(manifests), Manifests: manifests,
	}
	digest, err := render.EffectiveDigest(map[string]any{
		"cluster": choice.Cluster, "storageClass": choice.StorageClass, "template": vm.Template, "templateVersion": version,
		"templateSnapshot": template, "sizeSnapshot": size,
	}, manifests)
	if err != nil {
		c.add(domain.Problem{Code: domain.PlanInvalid, Message: "the plan cannot be written down: " + err.Error()})
		return
	}
	plan.EffectiveDigest = digest
	c.Plan = plan
}

// objects names what the manifests make; disks with their size.
func objects(manifests []render.Manifest) (out []string) {
	for _, m := range manifests {
		var disk struct {
			Spec struct {
				Storage struct {
					Resources struct{ Requests struct{ Storage string } }
				}
			}
		}
		name := m.Kind + " " + m.Name
		if json.Unmarshal(m.JSON, &disk) == nil && disk.Spec.Storage.Resources.Requests.Storage != "" {
			name += " " + disk.Spec.Storage.Resources.Requests.Storage
		}
		out = append(out, name)
	}
	return out
}

// networks looks the VM's networks up; nil when one is wrong.
func (j *judging) networks(c *change, vm *spec.VirtualMachine, ns *spec.Namespace) map[string]spec.Network {
	out := map[string]spec.Network{}
	ok := true
	add := func(name, field string) {
		n, p := j.in.Platform.Network(name)
		switch {
		case p != nil:
			c.found(p, field)
			ok = false
		case ns != nil && n.Environment != ns.Environment:
			c.at(domain.EnvironmentMismatch, field, "network "+name+" belongs to "+string(n.Environment)+", namespace "+c.Ref.Namespace+" to "+string(ns.Environment),
				spec.Suggest(name, j.networksOf(ns.Environment))+" in "+string(ns.Environment))
			ok = false
		default:
			out[name] = *n
		}
	}
	for i, n := range vm.Networks {
		add(n.Name, "spec.networks["+number(i)+"].name")
	}
	if ns != nil && ns.Network != "" && len(vm.Networks) == 0 {
		add(ns.Network, "spec")
	}
	if !ok {
		return nil
	}
	return out
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
func (j *judging) rendered(c *change, vm *spec.VirtualMachine, version int, p render.Problem) {
	template := "template " + vm.Template + " v" + number(version)
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
		field, source = "spec.size", "size "+vm.Size
		mend = "choose another size, or ask whoever keeps the platform's documents to mend this one"
	case render.OriginRendered:
		source = "of what " + template + " and size " + vm.Size + " make"
	}
	if source != "" && !strings.Contains(p.Message, "template "+vm.Template) {
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

// vmFacts is what rules see of the platform's documents that a VM names, as far as there are such.
func (j *judging) vmFacts(c *change, f *policy.Facts) {
	if size, p := j.in.Platform.Size(c.vm.Size); p == nil {
		f.Size = policy.SizeFacts(c.vm.Size, size)
	}
	if template, version, p := j.in.Platform.ActiveTemplate(c.vm.Template); p == nil {
		f.Template = policy.TemplateFacts(c.vm.Template, version, template)
	}
	if ns, p := j.in.Platform.Namespace(c.Ref.Namespace); p == nil {
		f.Namespace = policy.NamespaceFacts(c.Ref.Namespace, ns)
	}
}
