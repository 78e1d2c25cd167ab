package spec

import (
	"fmt"
	"strconv"
)

// Ref is the identity that a governed path stands for. Only the fields that its Kind has are set.
type Ref struct {
	Kind      Kind   `json:"kind"`
	Name      string `json:"name,omitempty"`    // cluster, namespace, template, size, network, role, policy; the VM's name for an access file; the path itself for forge files
	Version   int    `json:"version,omitempty"` // template
	System    string `json:"system,omitempty"`
	Service   string `json:"service,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Index     int    `json:"index,omitempty"`
	Login     string `json:"login,omitempty"` // access
}

// Path is the one path of this identity in the spec repository; ParsePath is its inverse.
func (r Ref) Path() string {
	switch r.Kind {
	case KindCluster:
		return "platform/clusters/" + r.Name + ".yaml"
	case KindNamespace:
		return "platform/namespaces/" + r.Name + ".yaml"
	case KindTemplate:
		return fmt.Sprintf("platform/templates/%s/v%d.yaml", r.Name, r.Version)
	case KindInstanceSize:
		return "platform/sizes/" + r.Name + ".yaml"
	case KindNetwork:
		return "platform/networks/" + r.Name + ".yaml"
	case KindRoleBinding:
		return "platform/roles/" + r.Name + ".yaml"
	case KindPolicy:
		return "platform/policies/" + r.Name + ".yaml"
	case KindSystem:
		return "systems/" + r.System + "/system.yaml"
	case KindService:
		return "systems/" + r.System + "/" + r.Service + "/service.yaml"
	case KindVirtualMachine:
		return "systems/" + r.System + "/" + r.Service + "/" + r.Namespace + "/" + r.Instance() + ".yaml"
	case KindConsoleAccess:
		return "access/" + r.Name + "/" + r.Login + ".yaml"
	default:
		return r.Name
	}
}

// Instance is the index as it is written everywhere: at least two digits.
func (r Ref) Instance() string {
	if r.Index < 10 {
		return "0" + strconv.Itoa(r.Index)
	}
	return strconv.Itoa(r.Index)
}

// VMName is the name of the VM in the fleet and on its cluster; only a VirtualMachine has one.
func (r Ref) VMName() string {
	return r.Namespace + "-" + r.System + "-" + r.Service + "-" + r.Instance()
}

// Platform reports whether the identity belongs to the rules rather than to what they govern.
func (r Ref) Platform() bool {
	switch r.Kind {
	case KindSystem, KindService, KindVirtualMachine, KindConsoleAccess:
		return false
	}
	return true
}

// String is the name that people are shown.
func (r Ref) String() string {
	switch r.Kind {
	case KindSystem:
		return r.System
	case KindService:
		return r.System + "/" + r.Service
	case KindVirtualMachine:
		return r.VMName()
	case KindTemplate:
		return fmt.Sprintf("%s v%d", r.Name, r.Version)
	default:
		return r.Name
	}
}
