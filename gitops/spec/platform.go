package spec

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"kv-shepherd.io/shepherd/internal/domain"
)

// Platform is a whole platform/ folder: the rules that changes are judged by. Names map to specs.
type Platform struct {
	Clusters   map[string]*Cluster
	Namespaces map[string]*Namespace
	Templates  map[string]map[int]*Template
	Sizes      map[string]*InstanceSize
	Networks   map[string]*Network
	Bindings   map[string]*RoleBinding
	Policies   map[string]*Policy

	documents map[string]*Document
}

// LoadPlatform reads the files of platform/, by path; files of other folders are passed over. The
// Platform holds every document that is right by itself; with an error among the problems it must not
// be judged by.
func LoadPlatform(files map[string][]byte) (*Platform, domain.Problems) {
	p := &Platform{
		Clusters: map[string]*Cluster{}, Namespaces: map[string]*Namespace{}, Templates: map[string]map[int]*Template{},
		Sizes: map[string]*InstanceSize{}, Networks: map[string]*Network{}, Bindings: map[string]*RoleBinding{},
		Policies: map[string]*Policy{}, documents: map[string]*Document{},
	}
	var problems domain.Problems
	for _, path := range slices.Sorted(maps.Keys(files)) {
		ref, governed, found := ParsePath(path)
		problems = append(problems, found...)
		if !governed || found.Blocking() || !ref.Platform() || ref.Kind == KindForge {
			continue
		}
		doc, found := Parse(ref, files[path])
		problems = append(problems, found...)
		if doc != nil {
			p.add(doc)
		}
	}
	return p, append(problems, p.check()...)
}

func (p *Platform) add(doc *Document) {
	p.documents[doc.Ref.Path()] = doc
	name := doc.Ref.Name
	switch s := doc.Spec.(type) {
	case *Cluster:
		p.Clusters[name] = s
	case *Namespace:
		p.Namespaces[name] = s
	case *InstanceSize:
		p.Sizes[name] = s
	case *Network:
		p.Networks[name] = s
	case *RoleBinding:
		p.Bindings[name] = s
	case *Policy:
		p.Policies[name] = s
	case *Template:
		if p.Templates[name] == nil {
			p.Templates[name] = map[int]*Template{}
		}
		p.Templates[name][doc.Ref.Version] = s
	}
}

// Document returns the document at a path of the platform, with its positions.
func (p *Platform) Document(path string) (*Document, bool) {
	d, ok := p.documents[path]
	return d, ok
}

// check holds the documents to the rules that tie them together, in the order of their paths.
func (p *Platform) check() (problems domain.Problems) {
	names := map[string]string{} // environment and name on the clusters → namespace
	for _, name := range slices.Sorted(maps.Keys(p.Namespaces)) {
		doc := p.documents[Ref{Kind: KindNamespace, Name: name}.Path()]
		problems = append(problems, p.checkNamespace(doc, p.Namespaces[name], names)...)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Templates)) {
		problems = append(problems, p.checkActive(name)...)
	}
	return problems
}

func (p *Platform) checkNamespace(doc *Document, n *Namespace, names map[string]string) (problems domain.Problems) {
	object := n.ObjectName(doc.Ref.Name)
	key := string(n.Environment) + "/" + object
	if other, taken := names[key]; taken {
		problems = append(problems, doc.Problem(domain.NameTaken, domain.Error, "spec.kubernetesName",
			fmt.Sprintf("the namespace %s is called %s on the clusters of %s already", other, object, n.Environment), "choose another kubernetesName"))
	} else {
		names[key] = doc.Ref.Name
	}
	if n.Network == "" {
		return problems
	}
	network, problem := p.Network(n.Network)
	switch {
	case problem != nil:
		problems = append(problems, doc.Problem(problem.Code, domain.Error, "spec.network", problem.Message, problem.Hint))
	case network.Environment != n.Environment:
		problems = append(problems, doc.Problem(domain.EnvironmentMismatch, domain.Error, "spec.network",
			fmt.Sprintf("the network %s is of %s, the namespace of %s", n.Network, network.Environment, n.Environment), "choose a network of "+string(n.Environment)))
	}
	return problems
}

// checkActive lets the newest active version of a template be the only one.
func (p *Platform) checkActive(name string) (problems domain.Problems) {
	var active []int
	for version, t := range p.Templates[name] {
		if t.Status == TemplateActive {
			active = append(active, version)
		}
	}
	slices.Sort(active)
	for i := 0; i+1 < len(active); i++ {
		doc := p.documents[Ref{Kind: KindTemplate, Name: name, Version: active[i]}.Path()]
		problems = append(problems, doc.Problem(domain.TemplateLifecycle, domain.Error, "spec.status",
			fmt.Sprintf("versions %d and %d of the template %s are both active", active[i], active[len(active)-1], name),
			fmt.Sprintf("set version %d to deprecated", active[i])))
	}
	return problems
}

// lookup answers an unknown name with the nearest and the list.
func lookup[T any](m map[string]T, code domain.Code, what, name string) (T, *domain.Problem) {
	found, ok := m[name]
	if ok {
		return found, nil
	}
	return found, &domain.Problem{
		Code: code, Severity: domain.Error, Message: "there is no " + what + " " + quote(name),
		Hint: Suggest(name, slices.Collect(maps.Keys(m))),
	}
}

// Namespace returns the namespace of that name or NAMESPACE_UNKNOWN.
func (p *Platform) Namespace(name string) (*Namespace, *domain.Problem) {
	return lookup(p.Namespaces, domain.NamespaceUnknown, "namespace", name)
}

// Size returns the size of that name or SIZE_UNKNOWN.
func (p *Platform) Size(name string) (*InstanceSize, *domain.Problem) {
	return lookup(p.Sizes, domain.SizeUnknown, "size", name)
}

// Network returns the network of that name or NETWORK_UNKNOWN.
func (p *Platform) Network(name string) (*Network, *domain.Problem) {
	return lookup(p.Networks, domain.NetworkUnknown, "network", name)
}

// Cluster returns the cluster of that name or PLAN_INVALID: only plans name clusters.
func (p *Platform) Cluster(name string) (*Cluster, *domain.Problem) {
	return lookup(p.Clusters, domain.PlanInvalid, "cluster", name)
}

// ActiveTemplate returns the version of a template that new VMs take. A name without any version, or
// whose versions are all hidden, is TEMPLATE_UNKNOWN; one without an active version TEMPLATE_NOT_ACTIVE.
func (p *Platform) ActiveTemplate(name string) (*Template, int, *domain.Problem) {
	versions := p.Templates[name]
	statuses := map[TemplateStatus]bool{}
	for version, t := range versions {
		if t.Status == TemplateActive {
			return t, version, nil
		}
		statuses[t.Status] = true
	}
	usable := p.ActiveTemplates()
	switch {
	case statuses[TemplateDeprecated]:
		return nil, 0, notActive(name, "is deprecated and takes no new VMs", usable)
	case statuses[TemplateDraft]:
		return nil, 0, notActive(name, "is still a draft", usable)
	}
	return nil, 0, &domain.Problem{
		Code: domain.TemplateUnknown, Severity: domain.Error, Message: "there is no template " + quote(name), Hint: Suggest(name, usable),
	}
}

func notActive(name, why string, usable []string) *domain.Problem {
	return &domain.Problem{
		Code: domain.TemplateNotActive, Severity: domain.Error, Message: "the template " + quote(name) + " " + why,
		Hint: "choose an active one: " + Suggest(name, slices.DeleteFunc(usable, func(s string) bool { return s == name })),
	}
}

// ActiveTemplates lists the names of the templates that new VMs can take, sorted.
func (p *Platform) ActiveTemplates() []string {
	var names []string
	for name, versions := range p.Templates {
		for _, t := range versions {
			if t.Status == TemplateActive {
				names = append(names, name)
				break
			}
		}
	}
	slices.Sort(names)
	return names
}

// Template returns one version of a template, whatever its status, or TEMPLATE_UNKNOWN.
func (p *Platform) Template(name string, version int) (*Template, *domain.Problem) {
	versions, problem := lookup(p.Templates, domain.TemplateUnknown, "template", name)
	if problem != nil {
		return nil, problem
	}
	if t, ok := versions[version]; ok {
		return t, nil
	}
	var known []string
	for _, v := range slices.Sorted(maps.Keys(versions)) {
		known = append(known, strconv.Itoa(v))
	}
	return nil, &domain.Problem{
		Code: domain.TemplateUnknown, Severity: domain.Error,
		Message: fmt.Sprintf("the template %s has no version %d", quote(name), version), Hint: "known are " + strings.Join(known, ", "),
	}
}
