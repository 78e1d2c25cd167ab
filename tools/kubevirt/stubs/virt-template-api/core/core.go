// Package core stands in for that of kubevirt.io/virt-template-api, a module that KubeVirt compiles
// against and that the module proxy does not have. It holds the names that KubeVirt mentions.
package core

const (
	GroupName            = "template.kubevirt.io"
	SingularResourceName = "virtualmachinetemplate"
	PluralResourceName   = "virtualmachinetemplates"
)
