package provider

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	instancetypev1beta1 "kubevirt.io/api/instancetype/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/kubetest"
)

// equipped is an API server of its own: what a cluster can do is asked of the whole of it.
func equipped(t *testing.T) (*kubetest.Cluster, *Cluster) {
	t.Helper()
	kube, err := kubetest.Start(t.Context(), kubetest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = kube.Stop() })
	c, err := Connect(t.Context(), kube.Kubeconfig(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return kube, c
}

// withNode makes a node that has something to give.
func withNode(t *testing.T, kube client.Client, name string, labels map[string]string, allocatable map[corev1.ResourceName]string) {
	t.Helper()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	if err := kube.Create(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	n.Status.Capacity, n.Status.Allocatable = corev1.ResourceList{}, corev1.ResourceList{}
	for resourceName, amount := range allocatable {
		n.Status.Capacity[resourceName], n.Status.Allocatable[resourceName] = resource.MustParse(amount), resource.MustParse(amount)
	}
	if err := kube.Status().Update(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

// withMultus installs the definition of network attachments and waits until it is served.
func withMultus(t *testing.T, kube client.Client) {
	t.Helper()
	open := true
	names := extv1.CustomResourceDefinitionNames{
		Plural: "network-attachment-definitions", Singular: "network-attachment-definition", Kind: attachmentKind.Kind, ListKind: attachmentKind.Kind + "List",
	}
	err := kube.Create(t.Context(), &extv1.CustomResourceDefinition{
		ObjectMeta: metav1.ObjectMeta{Name: "network-attachment-definitions.k8s.cni.cncf.io"},
		Spec: extv1.CustomResourceDefinitionSpec{
			Group: attachmentKind.Group, Scope: extv1.NamespaceScoped, Names: names,
			Versions: []extv1.CustomResourceDefinitionVersion{{
				Name: attachmentKind.Version, Served: true, Storage: true,
				Schema: &extv1.CustomResourceValidation{OpenAPIV3Schema: &extv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: &open}},
			}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, func() error {
		var list unstructured.UnstructuredList
		list.SetGroupVersionKind(attachmentKind.GroupVersion().WithKind(attachmentKind.Kind + "List"))
		return kube.List(t.Context(), &list)
	})
}

func withAttachment(t *testing.T, kube client.Client, name string, annotations map[string]string) {
	t.Helper()
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(attachmentKind)
	u.SetNamespace("default")
	u.SetName(name)
	u.SetAnnotations(annotations)
	eventually(t, func() error { return client.IgnoreAlreadyExists(kube.Create(t.Context(), u)) })
}

// What a cluster can do is read off real objects, and what is added or taken away shows at the next look.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	kube, c := equipped(t)
	admin := kube.Client()
	look := func(want domain.Capabilities) {
		t.Helper()
		f, err := c.Facts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, f.Capabilities, cmpopts.EquateEmpty()); diff != "" || len(f.Unread) > 0 {
			t.Errorf("unread %v, (-want +got):\n%s", f.Unread, diff)
		}
	}
	const kubevirt = "KubeVirt"
	look(domain.Capabilities{Unknown: []string{kubevirt}}) // without Multus it is known that there are no networks

	withNode(t, admin, "plain", nil, map[corev1.ResourceName]string{"cpu": "4", "memory": "8Gi", "devices.kubevirt.io/kvm": "1k"})
	withNode(t, admin, "gpu-1", map[string]string{"cpumanager": "true"}, map[corev1.ResourceName]string{
		"nvidia.com/A10": "2", "hugepages-1Gi": "4Gi", "hugepages-2Mi": "0", "example.com/none": "0", "pods": "110",
	})
	withNode(t, admin, "gpu-2", map[string]string{"cpumanager": "false"}, map[corev1.ResourceName]string{"nvidia.com/A10": "3", "hugepages-1Gi": "6Gi"})
	withMultus(t, admin)
	withAttachment(t, admin, "plain", nil)
	for _, name := range []string{"u1.small", "u1.medium"} {
		if err := admin.Create(t.Context(), &instancetypev1beta1.VirtualMachineClusterInstancetype{ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: instancetypev1beta1.VirtualMachineInstancetypeSpec{Memory: instancetypev1beta1.MemoryInstancetype{Guest: resource.MustParse("1Gi")}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := admin.Create(t.Context(), &instancetypev1beta1.VirtualMachineClusterPreference{ObjectMeta: metav1.ObjectMeta{Name: "ubuntu"}}); err != nil {
		t.Fatal(err)
	}
	want := domain.Capabilities{
		Devices: map[string]int64{"nvidia.com/A10": 5}, Hugepages: map[string]int64{"1Gi": 6 << 30}, DedicatedCPU: true,
		Networks: []string{"default/plain"}, Instancetypes: []string{"u1.medium", "u1.small"}, Preferences: []string{"ubuntu"},
		Unknown: []string{kubevirt},
	}
	look(want)

	withAttachment(t, admin, "fast", map[string]string{resourceAnnotation: "openshift.io/fast"})
	if err := admin.Delete(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "gpu-2"}}); err != nil {
		t.Fatal(err)
	}
	want.SRIOV, want.Networks = true, []string{"default/fast", "default/plain"}
	want.Devices, want.Hugepages = map[string]int64{"nvidia.com/A10": 2}, map[string]int64{"1Gi": 4 << 30}
	look(want)
}

// More than is kept is read a page at a time, as far as that, and the rest is said to be unknown.
func TestCapabilitiesOfAHugeCluster(t *testing.T) {
	t.Parallel()
	var pages int
	c := served(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if got := r.Header.Get("Accept"); got != asMetadata {
			t.Errorf("accepts %s", got)
		}
		from := 0
		_, _ = fmt.Sscan(r.URL.Query().Get("continue"), &from)
		if r.URL.Query().Get("limit") != "500" || from != pages*namesAtOnce {
			t.Errorf("page %d: %s", pages, r.URL.RawQuery)
		}
		pages++
		var items []string
		for i := range namesAtOnce {
			items = append(items, fmt.Sprintf(`{"metadata":{"namespace":"n","name":"net-%05d"}}`, from+i))
		}
		fmt.Fprintf(w, `{"metadata":{"continue":"%d"},"items":[%s]}`, from+namesAtOnce, strings.Join(items, ","))
	})
	var f Facts
	err := c.readNetworks(t.Context(), &f)
	p := part{kind: attachmentKind.Kind, capability: true}
	if err := f.note(p, err); err != nil {
		t.Fatal(err)
	}
	if n := len(f.Capabilities.Networks); n != maxNames || f.Capabilities.Networks[n-1] != "n/net-01999" || pages != maxNames/namesAtOnce+1 {
		t.Errorf("%d names in %d pages", n, pages)
	}
	if diff := cmp.Diff([]string{attachmentKind.Kind}, f.Capabilities.Unknown); diff != "" {
		t.Error(diff)
	}
}

// A part that fails does not fail the look, and is not taken for nothing.
func TestCapabilitiesThatFail(t *testing.T) {
	t.Parallel()
	b := setup(t).front(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		switch r.URL.Path {
		case listPath(nodeKind):
			http.Error(w, "etcd is slow", http.StatusInternalServerError)
		case listPath(preferenceKind):
			_, _ = w.Write([]byte("<html>"))
		default:
			pass.ServeHTTP(w, r)
		}
	})
	f, err := b.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Node", "VirtualMachineClusterPreference"}, f.Unread); diff != "" {
		t.Error(diff)
	}
}
