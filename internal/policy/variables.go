package policy

import (
	"strings"

	"github.com/google/cel-go/common/types"

	"kv-shepherd.io/shepherd/internal/domain"
)

// Variable is one name that CEL rules can read.
type Variable struct {
	Name string // with dots: change.operation
	Type string // in CEL's words
	Doc  string
}

// variables is the one list that type checking, the values and the documentation are made from. The
// namespace is called namespaceObject, as in Kubernetes' own policies: CEL keeps the plain word for itself.
var variables = []Variable{
	{"change.operation", "string", "what the change does: CREATE_VM, DELETE_SYSTEM, ..."},
	{"change.kind", "string", "the kind of the file: VirtualMachine, System, Service, ..."},
	{"change.path", "string", "the file's path in the spec repository"},
	{"change.name", "string", "the name of what is changed; a VM's name is that in the fleet"},
	{"change.system", "string", "the system it belongs to; empty for the platform"},
	{"change.service", "string", "the service it belongs to; empty for a system"},
	{"change.namespace", "string", "the logical namespace of a VM"},
	{"change.index", "int", "the index of a VM within its service; 0 for anything else"},
	{"change.environment", "string", "test or prod; empty for what has no environment"},
	{"change.accepted", "map(string, dyn)", "the spec as it is accepted now; empty when it is new"},
	{"change.wanted", "map(string, dyn)", "the spec that is asked for; empty when it is removed"},

	{"request.number", "int", "the number of the pull request"},
	{"request.reason", "string", "the reason given for the change"},
	{"request.operations", "map(string, int)", "how many changes of each operation the pull request makes; every operation has an entry"},

	{"size.name", "string", "the instance size that the VM would have; what follows is as the VM would be given it, with the request's own cpu, memory and gpu"},
	{"size.cores", "int", "its cores"},
	{"size.memory", "int", "its memory in bytes"},
	{"size.gpus", "int", "how many GPUs it has"},
	{"size.hugepages", "string", "its page size: 2Mi, 1Gi or empty"},
	{"size.sriov", "bool", "whether it has SR-IOV interfaces"},
	{"size.dedicatedCPU", "bool", "whether its cores are its own"},
	{"size.overcommit", "bool", "whether it asks for less than it may use"},

	{"template.name", "string", "the template that the VM would have"},
	{"template.version", "int", "its version"},
	{"template.status", "string", "draft, active, deprecated or archived"},
	{"template.source", "string", "what its image is: containerDisk, dataVolume, pvc or dataSource"},
	{"template.image", "string", "the image of a containerDisk; empty for other sources"},

	{"namespaceObject.name", "string", "the logical namespace of the VM"},
	{"namespaceObject.environment", "string", "its environment"},
	{"namespaceObject.kubernetesName", "string", "its name on the clusters"},
	{"namespaceObject.network", "string", "its default network; empty for the pod network"},

	{"author.id", "int", "the number of the pull request's author"},
	{"author.login", "string", "the author's login"},
	{"author.bot", "bool", "whether the author is a bot"},
	{"author.roles", "list(string)", "the author's roles on this system and in this environment"},

	{"usage.namespace.before.vms", "int", "VMs of the namespace, accepted and planned, without this request"},
	{"usage.namespace.before.cores", "int", "their cores"},
	{"usage.namespace.before.memory", "int", "their memory in bytes"},
	{"usage.namespace.before.disk", "int", "their disks in bytes"},
	{"usage.namespace.after.vms", "int", "VMs of the namespace with this request"},
	{"usage.namespace.after.cores", "int", "their cores"},
	{"usage.namespace.after.memory", "int", "their memory in bytes"},
	{"usage.namespace.after.disk", "int", "their disks in bytes"},
	{"usage.system.before.vms", "int", "VMs of the system in all namespaces, accepted and planned, without this request"},
	{"usage.system.before.cores", "int", "their cores"},
	{"usage.system.before.memory", "int", "their memory in bytes"},
	{"usage.system.before.disk", "int", "their disks in bytes"},
	{"usage.system.after.vms", "int", "VMs of the system with this request"},
	{"usage.system.after.cores", "int", "their cores"},
	{"usage.system.after.memory", "int", "their memory in bytes"},
	{"usage.system.after.disk", "int", "their disks in bytes"},
}

// Variables lists what CEL rules can read, in the order of the documentation. A change that has no
// size, template, namespace or usage shows empty ones. For CREATE_VM and MODIFY_VM they have to be
// there, the namespace for every operation on a VM: a rule that reads what could not be told denies.
func Variables() []Variable { return append([]Variable(nil), variables...) }

// celTypes maps the words of the list to CEL's types.
var celTypes = map[string]*types.Type{
	"string":           types.StringType,
	"int":              types.IntType,
	"bool":             types.BoolType,
	"list(string)":     types.NewListType(types.StringType),
	"map(string, int)": types.NewMapType(types.StringType, types.IntType),
	"map(string, dyn)": types.NewMapType(types.StringType, types.DynType),
}

// objectPrefix keeps our type names apart from anything that an expression may say.
const objectPrefix = "shepherd."

// objects turns the dotted names into object types: type name → field → type, and the variables at the
// top.
func objects() (fields map[string]map[string]*types.Type, roots map[string]*types.Type) {
	fields, roots = map[string]map[string]*types.Type{}, map[string]*types.Type{}
	for _, v := range variables {
		parts := strings.Split(v.Name, ".")
		roots[parts[0]] = types.NewObjectType(objectPrefix + parts[0])
		for i := 1; i < len(parts); i++ {
			object := objectPrefix + strings.Join(parts[:i], ".")
			if fields[object] == nil {
				fields[object] = map[string]*types.Type{}
			}
			fields[object][parts[i]] = types.NewObjectType(object + "." + parts[i])
			if i == len(parts)-1 {
				fields[object][parts[i]] = celTypes[v.Type]
			}
		}
	}
	return fields, roots
}

// values makes the variables' values of the facts. What the operation must have and the facts have
// not is left out.
func values(f Facts) map[string]any {
	vars := map[string]any{
		"change": changeValues(f.Change), "request": requestValues(f.Request), "author": authorValues(f),
	}
	sized := f.Change.Operation == domain.CreateVM || f.Change.Operation == domain.ModifyVM
	put(vars, "size", f.Size, sized, sizeValues)
	put(vars, "template", f.Template, sized, templateValues)
	put(vars, "usage", f.Usage, sized, usageValues)
	put(vars, "namespaceObject", f.Namespace, hasEnvironment(f.Change.Operation), namespaceValues)
	return vars
}

// put sets a variable, to empty values where the change has none and need not have it.
func put[T any](vars map[string]any, name string, fact *T, needed bool, of func(T) map[string]any) {
	if fact == nil {
		if needed {
			return
		}
		fact = new(T)
	}
	vars[name] = of(*fact)
}

func changeValues(c Change) map[string]any {
	return map[string]any{
		"operation": string(c.Operation), "kind": string(c.Ref.Kind), "path": c.Ref.Path(),
		"name": c.Ref.String(), "system": c.Scope().System, "service": c.Ref.Service,
		"namespace": c.Ref.Namespace, "index": c.Ref.Index, "environment": string(c.Environment),
		"accepted": present(c.Accepted), "wanted": present(c.Wanted),
	}
}

func present(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

func requestValues(r PullRequest) map[string]any {
	counts := map[string]any{}
	for _, op := range domain.Operations() {
		counts[string(op)] = r.Operations[op]
	}
	return map[string]any{"number": r.Number, "reason": r.Reason, "operations": counts}
}

func authorValues(f Facts) map[string]any {
	roles := []any{}
	for _, r := range f.Bindings.Roles(f.Author, f.Change.Scope()) {
		roles = append(roles, string(r))
	}
	return map[string]any{"id": f.Author.ID, "login": f.Author.Login, "bot": f.Author.Bot, "roles": roles}
}

func sizeValues(s Size) map[string]any {
	return map[string]any{
		"name": s.Name, "cores": s.Cores, "memory": s.Memory, "gpus": s.GPUs, "hugepages": s.Hugepages,
		"sriov": s.SRIOV, "dedicatedCPU": s.DedicatedCPU, "overcommit": s.Overcommit,
	}
}

func templateValues(t Template) map[string]any {
	return map[string]any{
		"name": t.Name, "version": t.Version, "status": string(t.Status), "source": t.Source, "image": t.Image,
	}
}

func namespaceValues(n Namespace) map[string]any {
	return map[string]any{
		"name": n.Name, "environment": string(n.Environment),
		"kubernetesName": n.KubernetesName, "network": n.Network,
	}
}

func usageValues(u Usage) map[string]any {
	amount := func(a Amount) map[string]any {
		return map[string]any{"vms": a.VMs, "cores": a.Cores, "memory": a.Memory, "disk": a.Disk}
	}
	span := func(s Span) map[string]any {
		return map[string]any{"before": amount(s.Before), "after": amount(s.After)}
	}
	return map[string]any{"namespace": span(u.Namespace), "system": span(u.System)}
}
