package spec

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"kv-shepherd.io/shepherd/internal/domain"
)

// validate holds a decoded document to the rules that tie its fields together.
func (d *Document) validate() domain.Problems {
	v := &validator{doc: d}
	switch s := d.Spec.(type) {
	case *VirtualMachine:
		v.virtualMachine(s)
	case *System:
		v.people(s.Owners, "spec.owners")
	case *Namespace:
		v.namespace(s)
	case *Template:
		v.template(s)
	case *InstanceSize:
		v.size(s)
	case *Network:
		v.network(s)
	case *RoleBinding:
		v.binding(s)
	case *Policy:
		v.policy(s)
	}
	return v.problems
}

type validator struct {
	doc      *Document
	problems domain.Problems
}

func (v *validator) fail(code domain.Code, field, message, hint string) {
	v.problems = append(v.problems, v.doc.Problem(code, domain.Error, field, message, hint))
}

func (v *validator) invalid(field, message, hint string) {
	v.fail(domain.YAMLInvalid, field, message, hint)
}

// distinct reports entries of a list that share what makes them different.
func distinct[T any](v *validator, items []T, field, member string, id func(T) string) {
	seen := make(map[string]bool, len(items))
	for i, item := range items {
		if key := id(item); seen[key] {
			v.invalid(fmt.Sprintf("%s[%d]%s", field, i, member), fmt.Sprintf("%s is listed twice in %s", quote(key), field), "remove one of the two")
		} else {
			seen[key] = true
		}
	}
}

func (v *validator) virtualMachine(vm *VirtualMachine) {
	distinct(v, vm.Networks, "spec.networks", ".name", func(n VMNetwork) string { return n.Name })
	distinct(v, vm.Disks, "spec.disks", ".name", func(d VMDisk) string { return d.Name })
	for i, disk := range vm.Disks {
		if disk.Name == "root" || disk.Name == "cloudinit" {
			v.fail(domain.NameInvalid, fmt.Sprintf("spec.disks[%d].name", i), quote(disk.Name)+" is the name of a disk that every VM has", "choose another, for example data")
		}
	}
}

func (v *validator) people(people []Person, field string) {
	distinct(v, people, field, ".id", func(p Person) string { return fmt.Sprint(p.ID) })
	distinct(v, people, field, ".login", func(p Person) string { return strings.ToLower(p.Login) })
}

func (v *validator) namespace(n *Namespace) {
	name, field := n.KubernetesName, "spec.kubernetesName"
	if name == "" {
		name, field = v.doc.Ref.Name, ""
	}
	if strings.HasPrefix(name, "kube-") {
		v.fail(domain.NameInvalid, field, quote(name)+" belongs to Kubernetes itself", "set kubernetesName to a name that does not begin with kube-")
	}
}

func (v *validator) template(t *Template) {
	v.image(&t.Image)
	for _, p := range CheckCloudInit(t.CloudInit) {
		if t.CloudInit == "" {
			break
		}
		v.cloudInit(p)
	}
	if t.InitialPassword != nil {
		for _, p := range settingPasswords(t.CloudInit) {
			v.cloudInit(p)
		}
	}
	v.masks(t)
}

// cloudInit puts a problem of the text inside at its line of the file, which is known where the text
// is a block with its lines kept (cloudInit: |).
func (v *validator) cloudInit(p domain.Problem) {
	line, column := v.doc.Position("spec.cloudInit")
	if v.doc.literal("cloudInit") {
		line, column = line+max(p.Line, 1), 0
	} else {
		p.Message += fmt.Sprintf(" (line %d of the text)", max(p.Line, 1))
	}
	p.Message = "in spec.cloudInit: " + p.Message
	p.Path, p.Line, p.Column = v.doc.Ref.Path(), line, column
	v.problems = append(v.problems, p)
}

func (v *validator) image(image *Image) {
	var sources []string
	for _, s := range []struct {
		name string
		set  bool
	}{
		{"containerDisk", image.ContainerDisk != nil}, {"dataVolume", image.DataVolume != nil},
		{"pvc", image.PVC != nil}, {"dataSource", image.DataSource != nil},
	} {
		if s.set {
			sources = append(sources, s.name)
		}
	}
	switch len(sources) {
	case 1:
	case 0:
		v.invalid("spec.image", "spec.image names no source", "give it one of containerDisk, dataVolume, pvc, dataSource")
	default:
		v.invalid("spec.image", "spec.image names "+strings.Join(sources, " and "), "keep one of them")
	}
}

func (v *validator) size(s *InstanceSize) {
	memory := mustBytes(s.Memory)
	page := mustBytes(s.Hugepages)
	if s.Hugepages != "" && memory.Value()%page.Value() != 0 {
		v.invalid("spec.memory", s.Memory+" of memory is no multiple of the huge pages' "+s.Hugepages, "choose a multiple")
	}
	v.diskRange(s)
	v.overcommit(s)
	v.instancetype(s)
	distinct(v, s.GPUs, "spec.gpus", ".name", func(g GPU) string { return g.Name })
}

func (v *validator) diskRange(s *InstanceSize) {
	def, least, most := s.DiskRange()
	if def.Cmp(least) >= 0 && def.Cmp(most) <= 0 {
		return
	}
	v.fail(domain.DiskOutOfRange, "spec.disk",
		fmt.Sprintf("the default disk of %s is not within %s and %s", def.String(), least.String(), most.String()),
		"set default, min and max so that min ≤ default ≤ max; left out they are 100Gi, 50Gi and 500Gi")
}

func (v *validator) overcommit(s *InstanceSize) {
	if s.Overcommit == nil {
		return
	}
	if s.DedicatedCPU {
		v.fail(domain.DedicatedCPUOvercommit, "spec.overcommit", "a size with dedicated CPUs cannot overcommit", "remove overcommit or dedicatedCPU")
	}
	if s.Overcommit.CPU == nil && s.Overcommit.Memory == nil {
		v.invalid("spec.overcommit", "spec.overcommit is empty", "set cpu or memory, or remove it")
	}
	v.requestLimit(s.Overcommit.CPU, "spec.overcommit.cpu", CPU)
	limit, ok := v.requestLimit(s.Overcommit.Memory, "spec.overcommit.memory", Bytes)
	if ok && limit.Cmp(mustBytes(s.Memory)) < 0 {
		v.invalid("spec.overcommit.memory.limit", "the limit "+s.Overcommit.Memory.Limit+" is less than the size's memory, "+s.Memory, "raise the limit to "+s.Memory)
	}
}

// requestLimit checks a pair and returns its limit, if there is a pair and it is right.
func (v *validator) requestLimit(pair *RequestLimit, field string, read func(string) (resource.Quantity, *domain.Problem)) (limit resource.Quantity, ok bool) {
	if pair == nil {
		return limit, false
	}
	request, p := read(pair.Request)
	if p != nil {
		v.invalid(field+".request", field+".request "+p.Message, p.Hint)
		return limit, false
	}
	limit, p = read(pair.Limit)
	if p != nil {
		v.invalid(field+".limit", field+".limit "+p.Message, p.Hint)
		return limit, false
	}
	if request.Cmp(limit) > 0 {
		v.invalid(field+".request", fmt.Sprintf("the request %s is more than the limit %s", pair.Request, pair.Limit), "lower the request or raise the limit")
		return limit, false
	}
	return limit, true
}

func (v *validator) network(n *Network) {
	switch {
	case n.Pod && n.Attachment != nil:
		v.invalid("spec.attachment", "spec is both the pod network and an attachment", "keep one of pod and attachment")
	case !n.Pod && n.Attachment == nil:
		v.invalid("spec", "spec is neither the pod network nor an attachment", "add pod: true, or attachment with namespace and name")
	case n.Pod && n.Addresses != "":
		v.invalid("spec.addresses", "addresses cannot be fixed on the pod network", "remove addresses")
	}
}

func (v *validator) binding(b *RoleBinding) {
	if len(b.People) == 0 && len(b.Teams) == 0 {
		v.invalid("spec", "the binding names nobody", "add people (login and id) or teams")
	}
	if b.Role == RolePlatformAdmin && b.System != "" {
		v.invalid("spec.system", "a platform-admin is one everywhere", "remove system, or choose the role system-admin")
	}
	v.people(b.People, "spec.people")
	distinct(v, b.Teams, "spec.teams", ".teamId", func(t Team) string { return fmt.Sprintf("%d/%d", t.OrganizationID, t.TeamID) })
}

func (v *validator) policy(p *Policy) {
	distinct(v, p.Approvals, "spec.approvals", ".name", func(r ApprovalRule) string { return r.Name })
	distinct(v, p.Rules, "spec.rules", ".name", func(r Rule) string { return r.Name })
}

// Contains reports whether a network lets requests fix this address: it is one of Addresses, and
// neither the range's own nor its broadcast address.
func (n *Network) Contains(ip string) bool {
	prefix, err := netip.ParsePrefix(n.Addresses)
	addr, addrErr := netip.ParseAddr(ip)
	if err != nil || addrErr != nil || !prefix.Contains(addr) {
		return false
	}
	if prefix.Bits() >= addr.BitLen()-1 {
		return true
	}
	last := !prefix.Contains(addr.Next()) && addr.Is4()
	return addr != prefix.Addr() && !last
}

// Grant is the length of a console grant.
func (c *ConsoleAccess) Grant() time.Duration {
	d, err := time.ParseDuration(c.Duration)
	if err != nil {
		return 0
	}
	return d
}
