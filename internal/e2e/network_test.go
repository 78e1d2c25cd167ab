package e2e

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// attached is the administrator's kubeconfig, once the API server has a network attachment as Multus defines it.
func (w *world) attached(namespace, name string) []byte {
	w.t.Helper()
	kind, open := schema.GroupVersionKind{Group: "k8s.cni.cncf.io", Version: "v1", Kind: "NetworkAttachmentDefinition"}, true
	network := &unstructured.Unstructured{}
	network.SetGroupVersionKind(kind)
	network.SetNamespace(namespace)
	network.SetName(name)
	definition := &extv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "network-attachment-definitions.k8s.cni.cncf.io"},
		Spec: extv1.CustomResourceDefinitionSpec{
			Group: kind.Group, Scope: extv1.NamespaceScoped,
			Names: extv1.CustomResourceDefinitionNames{Plural: "network-attachment-definitions", Kind: kind.Kind, ListKind: kind.Kind + "List"},
			Versions: []extv1.CustomResourceDefinitionVersion{{
				Name: kind.Version, Served: true, Storage: true,
				Schema: &extv1.CustomResourceValidation{OpenAPIV3Schema: &extv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &open}},
			}},
		},
	}
	for _, o := range []client.Object{definition, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, network} {
		var err error
		for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if err = client.IgnoreAlreadyExists(w.kube.Client().Create(w.t.Context(), o)); err == nil {
				break // a definition takes a moment until its kind is served
			}
		}
		if err != nil {
			w.t.Fatalf("%s: %v", o.GetName(), err)
		}
	}
	return w.kube.Kubeconfig()
}
