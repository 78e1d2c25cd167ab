package judge

import (
	"cmp"
	"maps"
	"slices"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/render"
)

// Trial is a VM that a template or a size makes and that nobody has asked for: it shows, before requests build
// on the document, whether KubeVirt takes what comes out of it.
type Trial struct {
	Environment domain.Environment `json:"environment"`
	// With is the other document that it takes to make a VM, such as "size small".
	With string `json:"with,omitempty"`
	// Cluster is the one to be asked; empty where the environment has none that can be.
	Cluster string `json:"cluster,omitempty"`
	// Untried is why nothing is asked.
	Untried         string            `json:"untried,omitempty"`
	Ref             spec.Ref          `json:"ref"`
	EffectiveDigest string            `json:"effectiveDigest,omitempty"`
	Preview         *render.Preview   `json:"preview,omitempty"`
	Manifests       []render.Manifest `json:"-"`
	// Promise is what a size on trial says of its instance type.
	Promise *render.Promise `json:"-"`
}

// try makes a VM of a template or a size that changes, for each environment that has clusters. What cannot be
// made anywhere is a problem of the document; what one environment refuses is only said: nobody has to use it
// there.
func (j *judging) try(c *change) {
	if j.in.Next == nil || c.doc == nil || c.Problems.Blocking() {
		return
	}
	template, isTemplate := spec.As[spec.Template](c.doc)
	size, isSize := spec.As[spec.InstanceSize](c.doc)
	if isTemplate && j.foreign(c, template) {
		return
	}
	var made []mixture
	switch {
	case isTemplate && (template.Status == spec.TemplateDraft || template.Status == spec.TemplateActive):
		made = j.sizes(c.Ref, template)
	case isSize:
		made = j.templates(c.Ref, size)
	}
	possible := true
	for _, env := range []domain.Environment{domain.Test, domain.Prod} {
		if len(made) == 0 || !j.hasClusters(env) {
			continue
		}
		t, faulty := j.trial(c, env, made)
		possible = !faulty || len(c.Trials) > 0 && possible
		c.Trials = append(c.Trials, t)
	}
	if !possible {
		c.at(domain.PlanInvalid, "spec", "no VM can be made of it: "+c.Trials[0].Untried, "mend the document; requests that use it would be refused")
	}
}

// foreign refuses a template that requests can or will name, and whose image comes from a registry that is not
// allowed.
func (j *judging) foreign(c *change, t *spec.Template) bool {
	if t.Status != spec.TemplateDraft && t.Status != spec.TemplateActive {
		return false
	}
	problems := render.CheckImage(t.Image, j.in.Registries)
	for _, p := range problems {
		p.Hint = "use an image from one of them, or have whoever runs Shepherd add its registry to policy.registries"
		c.found(&p.Problem, "spec."+p.Field)
	}
	return len(problems) > 0
}

// mixture is a template and a size that make a VM together.
type mixture struct {
	template        *spec.Template
	templateName    string
	templateVersion int
	size            *spec.InstanceSize
	sizeName        string
	with            string
}

// sizes are what a template can be tried with, the plainest and smallest first.
func (j *judging) sizes(ref spec.Ref, t *spec.Template) (out []mixture) {
	sizes := j.in.Next.Platform.Sizes
	names := slices.Sorted(maps.Keys(sizes))
	slices.SortStableFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(demands(sizes[a]), demands(sizes[b])), cmp.Compare(sizes[a].Cores, sizes[b].Cores))
	})
	for _, name := range names {
		out = append(out, mixture{t, ref.Name, ref.Version, sizes[name], name, "size " + name})
	}
	return out
}

// demands counts what not every cluster has.
func demands(s *spec.InstanceSize) (n int) {
	for _, yes := range []bool{len(s.GPUs) > 0, s.Hugepages != "", s.SRIOV, s.DedicatedCPU, len(s.SpecOverrides) > 0, s.Overcommit != nil, s.Instancetype != nil} {
		if yes {
			n++
		}
	}
	return n
}

// templates are what a size can be tried with: active versions, by name.
func (j *judging) templates(ref spec.Ref, s *spec.InstanceSize) (out []mixture) {
	for _, name := range slices.Sorted(maps.Keys(j.in.Next.Platform.Templates)) {
		if t, version, p := j.in.Next.Platform.ActiveTemplate(name); p == nil {
			out = append(out, mixture{t, name, version, s, ref.Name, "template " + name + " v" + number(version)})
		}
	}
	return out
}

func (j *judging) hasClusters(env domain.Environment) bool {
	for _, cluster := range j.in.Next.Platform.Clusters {
		if cluster.Environment == env && cluster.Status == spec.ClusterActive {
			return true
		}
	}
	return false
}

// trial is the first mixture that makes a VM in an environment, with the cluster that is to be asked about it.
// faulty says that there is none because of the document itself.
func (j *judging) trial(c *change, env domain.Environment, made []mixture) (out Trial, faulty bool) {
	out = Trial{Environment: env, Ref: spec.Ref{Kind: spec.KindVirtualMachine, System: "shepherd", Service: "trial", Namespace: string(env), Index: 1}}
	sound := false // a VM can be made, whatever the clusters take
	for _, m := range made {
		in := render.Input{
			Ref: out.Ref, Environment: env, KubernetesNamespace: render.PreviewNamespace,
			VM:       spec.VirtualMachine{Template: m.templateName, Size: m.sizeName, Power: spec.PowerRunning, Reason: "a trial"},
			Template: *m.template, TemplateName: m.templateName, TemplateVersion: m.templateVersion, Size: *m.size, SizeName: m.sizeName,
			Registries: j.in.Registries,
		}
		manifests, problems := render.Render(in)
		if problems.Blocking() {
			if guilty := blames(problems, c.Ref.Kind); out.Untried == "" || guilty && !faulty && !sound {
				out.Untried, faulty = refusedBy(problems), guilty
			}
			continue
		}
		sound = true
		cluster := j.tester(env, needsOf(&in.VM, m.size, m.template, nil))
		in.KubeVirt = j.in.World.Clusters[cluster].kubeVirt(cluster)
		if _, problems := render.Render(in); problems.Blocking() { // that cluster's fault, and another may come
			out.Untried, faulty = refusedBy(problems), false
			continue
		}
		out.With, out.Untried, out.Manifests, out.Cluster = m.with, "", manifests, cluster
		if c.Ref.Kind == spec.KindInstanceSize {
			out.Promise = render.PromiseOf(m.sizeName, m.size)
		}
		out.EffectiveDigest = digestOfTrial(out)
		if cluster == "" {
			out.Untried = "no cluster of " + string(env) + " can be asked now"
		}
		return out, false
	}
	return out, faulty
}

// refusedBy is the first of the problems that refuse a VM.
func refusedBy(problems render.Problems) string {
	sorted := problems.Plain().Sorted()
	return sorted[slices.IndexFunc(sorted, func(p domain.Problem) bool { return p.Severity == domain.Error })].Message
}

// digestOfTrial names what is tried. What a size says of its instance type is in no manifest.
func digestOfTrial(t Trial) string {
	var choice any
	if t.Promise != nil {
		choice = map[string]any{"cores": t.Promise.Cores, "memory": t.Promise.Memory}
	}
	digest, _ := render.EffectiveDigest(choice, t.Manifests)
	return digest
}

// blames reports whether problems are those of a document of the kind, and not of what it was tried with.
func blames(problems render.Problems, kind spec.Kind) bool {
	origin := render.OriginSize
	if kind == spec.KindTemplate {
		origin = render.OriginTemplate
	}
	return slices.ContainsFunc(problems, func(p render.Problem) bool {
		return p.Severity == domain.Error && (p.Origin == origin || p.Origin == render.OriginRendered)
	})
}

// tester is the cluster of an environment that is asked: a healthy one, of those that are not known to lack what
// the VM needs if there are some, the heaviest first.
func (j *judging) tester(env domain.Environment, needs []need) (name string) {
	able := false
	for _, n := range slices.Sorted(maps.Keys(j.in.Next.Platform.Clusters)) {
		cluster, facts := j.in.Next.Platform.Clusters[n], j.in.World.Clusters[n]
		if cluster.Environment != env || cluster.Status != spec.ClusterActive || !facts.Healthy {
			continue
		}
		unmet, _ := facts.unmet(needs)
		better := name == "" || cluster.EffectiveWeight() > j.in.Next.Platform.Clusters[name].EffectiveWeight()
		if has := len(unmet) == 0; has && !able || has == able && better {
			name, able = n, has
		}
	}
	return name
}
