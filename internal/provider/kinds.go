package provider

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// The kinds that Shepherd speaks of. They are fixed, so nothing is discovered.
var (
	namespaceKind    = schema.GroupVersionKind{Version: "v1", Kind: "Namespace"}
	secretKind       = schema.GroupVersionKind{Version: "v1", Kind: "Secret"}
	claimKind        = schema.GroupVersionKind{Version: "v1", Kind: "PersistentVolumeClaim"}
	storageClassKind = schema.GroupVersionKind{Group: "storage.k8s.io", Version: "v1", Kind: "StorageClass"}
	vmKind           = schema.GroupVersionKind{Group: "kubevirt.io", Version: "v1", Kind: "VirtualMachine"}
	vmiKind          = schema.GroupVersionKind{Group: "kubevirt.io", Version: "v1", Kind: "VirtualMachineInstance"}
	kubeVirtKind     = schema.GroupVersionKind{Group: "kubevirt.io", Version: "v1", Kind: "KubeVirt"}
	dataVolumeKind   = schema.GroupVersionKind{Group: "cdi.kubevirt.io", Version: "v1beta1", Kind: "DataVolume"}
	restartKind      = schema.GroupVersionKind{Group: "subresources.kubevirt.io", Version: "v1", Kind: "VirtualMachine"}
	cdiKind          = schema.GroupVersionKind{Group: "cdi.kubevirt.io", Version: "v1beta1", Kind: "CDI"}

	// What a cluster can do is read off these.
	nodeKind         = schema.GroupVersionKind{Version: "v1", Kind: "Node"}
	attachmentKind   = schema.GroupVersionKind{Group: "k8s.cni.cncf.io", Version: "v1", Kind: "NetworkAttachmentDefinition"}
	instancetypeKind = schema.GroupVersionKind{Group: "instancetype.kubevirt.io", Version: "v1beta1", Kind: "VirtualMachineClusterInstancetype"}
	preferenceKind   = schema.GroupVersionKind{Group: "instancetype.kubevirt.io", Version: "v1beta1", Kind: "VirtualMachineClusterPreference"}

	// The instance types of one namespace.
	ownInstancetypeKind = schema.GroupVersionKind{Group: "instancetype.kubevirt.io", Version: "v1beta1", Kind: "VirtualMachineInstancetype"}
)

// resources maps a kind to its plural, as URLs and RBAC rules name it.
var resources = map[schema.GroupVersionKind]string{
	namespaceKind: "namespaces", secretKind: "secrets", claimKind: "persistentvolumeclaims",
	storageClassKind: "storageclasses", vmKind: "virtualmachines", vmiKind: "virtualmachineinstances",
	kubeVirtKind: "kubevirts", dataVolumeKind: "datavolumes", cdiKind: "cdis",
	restartKind: "virtualmachines/restart", nodeKind: "nodes", attachmentKind: "network-attachment-definitions",
	instancetypeKind: "virtualmachineclusterinstancetypes", preferenceKind: "virtualmachineclusterpreferences",
	ownInstancetypeKind: "virtualmachineinstancetypes",
}

// staticMapper maps the kinds above without asking a server.
func staticMapper() meta.RESTMapper {
	mapper := meta.NewDefaultRESTMapper(nil)
	for kind, plural := range resources {
		scope := meta.RESTScopeNamespace
		switch kind {
		case namespaceKind, storageClassKind, cdiKind, nodeKind, instancetypeKind, preferenceKind:
			scope = meta.RESTScopeRoot
		}
		resource := kind.GroupVersion().WithResource(plural)
		mapper.AddSpecific(kind, resource, resource, scope)
	}
	return mapper
}

// resourceName is a kind's plural with its group, as kubectl takes it.
func resourceName(kind schema.GroupVersionKind) string {
	plural, sub, isSub := strings.Cut(resources[kind], "/")
	name := schema.GroupResource{Group: kind.Group, Resource: plural}.String()
	if isSub {
		name += "/" + sub
	}
	return name
}
