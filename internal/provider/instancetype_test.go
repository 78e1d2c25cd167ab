package provider

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	instancetypev1beta1 "kubevirt.io/api/instancetype/v1beta1"

	"kv-shepherd.io/shepherd/internal/domain"
)

func hardware(cores uint32, memory string) instancetypev1beta1.VirtualMachineInstancetypeSpec {
	return instancetypev1beta1.VirtualMachineInstancetypeSpec{
		CPU:    instancetypev1beta1.CPUInstancetype{Guest: cores},
		Memory: instancetypev1beta1.MemoryInstancetype{Guest: resource.MustParse(memory)},
	}
}

// The cluster's and a namespace's instance types of one name are two.
func TestInstancetype(t *testing.T) {
	t.Parallel()
	b := setup(t)
	name := b.ns + ".medium"
	wide := &instancetypev1beta1.VirtualMachineClusterInstancetype{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: hardware(2, "4Gi")}
	own := &instancetypev1beta1.VirtualMachineInstancetype{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: b.ns}, Spec: hardware(1, "512Mi")}
	b.create(wide)
	t.Cleanup(func() { b.discard(wide) })
	b.create(own)
	for _, tt := range []struct {
		namespace, name string
		want            *Instancetype
	}{
		{"", name, &Instancetype{2, resource.MustParse("4Gi")}},
		{b.ns, name, &Instancetype{1, resource.MustParse("512Mi")}},
		{"", name + ".none", nil},
		{"default", name, nil},
		{b.ns + "-missing", name, nil},
	} {
		got, err := b.Instancetype(t.Context(), tt.namespace, tt.name)
		if err != nil {
			t.Errorf("%s/%s: %v", tt.namespace, tt.name, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s/%s:\n%s", tt.namespace, tt.name, diff)
		}
	}
	listing := b.as(may(instancetypeKind.Group, resources[instancetypeKind], "list"))
	if got, err := listing.Instancetype(t.Context(), "", name); !Forbidden(err) || got != nil {
		t.Errorf("may not be read: %v, %v", got, err)
	}
}

// A cluster whose KubeVirt has no instance types says so in words.
func TestInstancetypeOfAnOldKubeVirt(t *testing.T) {
	t.Parallel()
	c := served(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
	})
	_, err := c.Instancetype(t.Context(), "", "u1.medium")
	refusedAs(t, err, domain.ClusterRefused, Never, "does not know the kind VirtualMachineClusterInstancetype")
}
