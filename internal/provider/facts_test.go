package provider

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kv-shepherd.io/shepherd/internal/domain"
)

func TestFactsOfARealCluster(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, isDefault := range map[string]string{b.ns + "-fast": "true", b.ns + "-slow": "false"} {
		class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{
			Name: name, Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": isDefault},
		}, Provisioner: "example.com/none"}
		b.create(class)
		t.Cleanup(func() { b.discard(class) })
	}
	f, err := b.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if f.UID != string(b.read(namespaceObject("kube-system")).GetUID()) || !strings.HasPrefix(f.KubernetesVersion, "v1.") || !f.HasKubeVirt || !f.HasCDI {
		t.Errorf("%+v", f)
	}
	for _, want := range []StorageClass{{b.ns + "-fast", true}, {b.ns + "-slow", false}} {
		if !slices.Contains(f.StorageClasses, want) {
			t.Errorf("no %+v in %+v", want, f.StorageClasses)
		}
	}
}

func TestFactsThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	b := setup(t).as(may("", "namespaces", "get"))
	f, err := b.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(f.Unknown, "StorageClass") || !slices.Contains(f.Unknown, "KubeVirt") || f.UID == "" || !f.HasKubeVirt {
		t.Errorf("%+v", f)
	}
	if !slices.Contains(f.Capabilities.Unknown, attachmentKind.Kind) {
		t.Errorf("what networks there are is taken as known: unknown is %v", f.Capabilities.Unknown)
	}
	_, err = setup(t).as().Facts(t.Context())
	refusedAs(t, err, domain.NamespacePermissionDenied, Never, "may not get Namespace kube-system", "kubectl create clusterrole")
}

// TestFactsOfKubeVirt reads what only a cluster with KubeVirt's operators has.
func TestFactsOfKubeVirt(t *testing.T) {
	t.Parallel()
	answers := map[string]string{
		"/version":                               `{"gitVersion":"v1.34.3"}`,
		"/api/v1/namespaces/kube-system":         `{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"kube-system","uid":"u"}}`,
		"/apis/kubevirt.io/v1":                   `{"resources":[{"kind":"VirtualMachineInstance"},{"kind":"VirtualMachine"}]}`,
		"/apis/cdi.kubevirt.io/v1beta1":          `{"resources":[{"kind":"DataVolume"}]}`,
		"/apis/cdi.kubevirt.io/v1beta1/cdis":     `{"apiVersion":"cdi.kubevirt.io/v1beta1","kind":"CDIList","items":[{"status":{"observedVersion":"v1.65.0"}}]}`,
		"/apis/storage.k8s.io/v1/storageclasses": `{"apiVersion":"storage.k8s.io/v1","kind":"StorageClassList","items":[]}`,
		"/apis/kubevirt.io/v1/kubevirts":         `{"apiVersion":"kubevirt.io/v1","kind":"KubeVirtList","items":[{"apiVersion":"kubevirt.io/v1","kind":"KubeVirt","spec":{"configuration":{"vmRolloutStrategy":"Stage","developerConfiguration":{"featureGates":["Snapshot"],"disabledFeatureGates":["VideoConfig"]}}},"status":{"phase":"Deployed","observedKubeVirtVersion":"v1.9.0"}}]}`,
	}
	c := served(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if answers[r.URL.Path] == "" {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, answers[r.URL.Path])
	})
	got, err := c.Facts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Facts{
		UID: "u", KubernetesVersion: "v1.34.3", HasKubeVirt: true, HasCDI: true, KubeVirtVersion: "v1.9.0", KubeVirtPhase: "Deployed",
		CDIVersion: "v1.65.0",
		Capabilities: domain.Capabilities{
			FeatureGates: []string{"Snapshot"}, DisabledFeatureGates: []string{"VideoConfig"}, RolloutStrategy: "Stage",
			Unknown: []string{"Node", "VirtualMachineClusterInstancetype", "VirtualMachineClusterPreference"},
		},
		Unknown: []string{"Node", "VirtualMachineClusterInstancetype", "VirtualMachineClusterPreference"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
