package main

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubevirtv1 "kubevirt.io/api/core/v1"
	"kubevirt.io/kubevirt/pkg/virt-operator/resource/generate/components"
)

// namespace is the one that KubeVirt's code takes when it does not run in a pod.
const namespace = "kubevirt"

// fields are a part of an object.
type fields = map[string]any

// object returns a new object in KubeVirt's namespace.
func object(apiVersion, kind, name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: fields{
		"apiVersion": apiVersion, "kind": kind,
		"metadata": fields{"name": name, "namespace": namespace},
	}}
}

func installNamespace() *unstructured.Unstructured {
	ns := object("v1", "Namespace", namespace)
	ns.SetNamespace("")
	return ns
}

// apiService leads the API server to virt-api on this machine.
func apiService() *unstructured.Unstructured {
	svc := object("v1", "Service", components.VirtApiServiceName)
	svc.Object["spec"] = fields{"type": "ExternalName", "externalName": loopback}
	return svc
}

// deployment is KubeVirt as it comes, without its limits on requests: for virt-api these are five in a
// second.
func deployment() *unstructured.Unstructured {
	unlimited := func() fields {
		return fields{"restClient": fields{"rateLimiter": fields{
			"tokenBucketRateLimiter": fields{"qps": int64(10_000), "burst": int64(10_000)},
		}}}
	}
	kv := object("kubevirt.io/v1", "KubeVirt", "kubevirt")
	kv.Object["spec"] = fields{"configuration": fields{
		"apiConfiguration":        unlimited(),
		"webhookConfiguration":    unlimited(),
		"controllerConfiguration": unlimited(),
		"developerConfiguration": fields{
			"logVerbosity": fields{"virtAPI": int64(1), "virtController": int64(1)},
		},
	}}
	return kv
}

// deployed is what the operator reports when it has done its work.
func deployed(version string) *unstructured.Unstructured {
	kv := object("kubevirt.io/v1", "KubeVirt", "kubevirt")
	kv.Object["status"] = fields{
		"phase":                   string(kubevirtv1.KubeVirtPhaseDeployed),
		"defaultArchitecture":     "amd64",
		"operatorVersion":         version,
		"targetKubeVirtVersion":   version,
		"observedKubeVirtVersion": version,
		"conditions": []any{fields{
			"type": string(kubevirtv1.KubeVirtConditionAvailable), "status": "True",
			"reason": "AllComponentsReady", "message": "All components are ready.",
		}},
	}
	return kv
}

// registrations are the webhooks and the subresources as the operator registers them, at a port.
func registrations(port int, authority []byte) []any {
	port32 := int32(port)
	mutating := components.NewVirtAPIMutatingWebhookConfiguration(namespace)
	for i := range mutating.Webhooks {
		c := &mutating.Webhooks[i].ClientConfig
		c.CABundle, c.Service.Port = authority, &port32
	}
	validating := components.NewVirtAPIValidatingWebhookConfiguration(namespace)
	for i := range validating.Webhooks {
		c := &validating.Webhooks[i].ClientConfig
		c.CABundle, c.Service.Port = authority, &port32
	}
	all := []any{mutating, validating}
	for _, s := range components.NewVirtAPIAPIServices(namespace) {
		s.Spec.CABundle, s.Spec.Service.Port = authority, &port32
		all = append(all, s)
	}
	return all
}

// probe is a machine by which the webhooks show that they are in force.
func probe(strategy string) *unstructured.Unstructured {
	vm := object("kubevirt.io/v1", "VirtualMachine", "probe")
	vm.Object["spec"] = fields{
		"runStrategy": strategy,
		"template": fields{"spec": fields{"domain": fields{
			"devices": fields{}, "memory": fields{"guest": "1Gi"},
		}}},
	}
	return vm
}
