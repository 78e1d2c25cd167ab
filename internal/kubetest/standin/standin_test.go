package standin

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1beta1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
)

func TestClaimSpec(t *testing.T) {
	t.Parallel()
	asks := func(size string) corev1.VolumeResourceRequirements {
		return corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}}
	}
	once, many := corev1.ReadWriteOnce, corev1.ReadWriteMany
	for _, tc := range []struct {
		name string
		dv   cdiv1beta1.DataVolumeSpec
		want corev1.PersistentVolumeClaimSpec
	}{
		{"size only", cdiv1beta1.DataVolumeSpec{Storage: &cdiv1beta1.StorageSpec{Resources: asks("5Gi")}},
			corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{once}, Resources: asks("5Gi")}},
		{"class and mode", cdiv1beta1.DataVolumeSpec{Storage: &cdiv1beta1.StorageSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{many}, StorageClassName: new("fast"), VolumeMode: new(corev1.PersistentVolumeBlock), Resources: asks("5Gi"),
		}}, corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{many}, StorageClassName: new("fast"), VolumeMode: new(corev1.PersistentVolumeBlock), Resources: asks("5Gi"),
		}},
		{"size of the source", cdiv1beta1.DataVolumeSpec{Storage: &cdiv1beta1.StorageSpec{}},
			corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{once}, Resources: asks(sourceSize)}},
		{"claim", cdiv1beta1.DataVolumeSpec{PVC: &corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{many}, Resources: asks("2Gi"), DataSource: &corev1.TypedLocalObjectReference{Kind: "VolumeSnapshot", Name: "s"},
		}}, corev1.PersistentVolumeClaimSpec{AccessModes: []corev1.PersistentVolumeAccessMode{many}, Resources: asks("2Gi")}},
	} {
		if diff := cmp.Diff(tc.want, claimSpec(&tc.dv)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestInterfaces(t *testing.T) {
	t.Parallel()
	spec := &kubevirtv1.VirtualMachineInstanceSpec{}
	spec.Domain.Devices.Interfaces = []kubevirtv1.Interface{{Name: "default"}, {Name: "storage", MacAddress: "02:00:5e:00:53:01"}}
	got := interfaces(spec, (&node{}).address)
	want := []kubevirtv1.VirtualMachineInstanceNetworkInterface{
		{Name: "default", MAC: "02:00:0a:f4:00:02", IP: "10.244.0.2", IPs: []string{"10.244.0.2"}, InfoSource: "domain", QueueCount: 1},
		{Name: "storage", MAC: "02:00:5e:00:53:01", IP: "10.244.0.3", IPs: []string{"10.244.0.3"}, InfoSource: "domain", QueueCount: 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("interfaces (-want +got):\n%s", diff)
	}
}
