package spec

import (
	"go.yaml.in/yaml/v3"

	"kv-shepherd.io/shepherd/internal/domain"
)

// forbidden are the fields that people expect in a spec and that have to come from elsewhere, with
// the way there. A field that the kind does have is not looked up here.
var forbidden = map[string]string{
	"name":        "remove it: the file's path is the name",
	"system":      "remove it: the system is the folder below systems/",
	"service":     "remove it: the service is the folder below the system",
	"namespace":   "remove it: the namespace is the folder that the file lies in",
	"index":       "remove it: the index is the file's name",
	"labels":      "remove it: Shepherd sets the labels",
	"annotations": "remove it: Shepherd sets the annotations",
	"cloudInit":   "remove it: cloud-init comes from the template; ask the platform team for a template that fits",
	"cluster":     "remove it: Shepherd suggests the cluster, and an approver may choose another with /plan",
	"metadata":    "remove it: the file's path is the name, and Shepherd sets the labels",
}

// immutable are the codes for identity in a plan's spec.
var immutable = map[string]domain.Code{
	"namespace": domain.NamespaceImmutable, "name": domain.NamespaceImmutable,
	"service": domain.ServiceImmutable, "system": domain.ServiceImmutable, "index": domain.ServiceImmutable,
}

// fromSize are words for hardware that a VM does not have of its own, or under another name.
var fromSize = map[string]string{"cpus": "cpu", "cores": "cpu", "ram": "memory", "gpus": "gpu", "hugepages": "", "numa": "", "sriov": ""}

// unknown reports a field that the group at path does not have. known are those it has; the one that
// was probably meant is returned.
func (d *decoder) unknown(key *yaml.Node, known []string, path string) (meant string) {
	name := quote(key.Value)
	top := path == "" || path == "spec"
	if hint := forbidden[key.Value]; top && hint != "" {
		code := domain.ForbiddenField
		if c, ok := immutable[key.Value]; ok && d.planned {
			code, hint = c, "remove it: who a VM is never changes; delete it in one pull request and create another in the next"
		}
		d.add(problemAt(key, code, name+" is not allowed here", hint))
		return ""
	}
	hint := Suggest(key.Value, known)
	if own, hardware := fromSize[key.Value]; hardware && d.kind == KindVirtualMachine && path == "spec" {
		hint = "the hardware comes from the size: choose another size, or ask the platform team for one"
		if own != "" {
			hint += "; where the template lets requests say it, the field is called " + own
		}
	}
	where := "the file"
	if path != "" {
		where = path
	}
	d.add(problemAt(key, domain.UnknownField, where+" has no field "+name, hint))
	meant, _ = Nearest(key.Value, known)
	return meant
}
