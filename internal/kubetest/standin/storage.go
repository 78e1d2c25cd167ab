package standin

import (
	"context"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	cdiv1beta1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

const (
	// StorageClassName is the name of the only storage class, which is the default.
	StorageClassName = "standard"
	// protection keeps a claim as long as a pod uses it.
	protection = "kubernetes.io/pvc-protection"
	// sourceSize is the size of all images, for volumes that do not say how large they are.
	sourceSize = "1Gi"
)

// storage is provisioner and data importer.
type storage struct{ client client.Client }

func storageClass() *storagev1.StorageClass {
	return &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{Name: StorageClassName, Annotations: map[string]string{
			"storageclass.kubernetes.io/is-default-class": "true",
		}},
		Provisioner:          "standin.invalid/none",
		AllowVolumeExpansion: new(true),
		VolumeBindingMode:    new(storagev1.VolumeBindingImmediate),
	}
}

// claim binds a claim, grows it to what it asks for, and lets go of one that is to be deleted.
func (s storage) claim(ctx context.Context, pvc *corev1.PersistentVolumeClaim) error {
	if pvc.DeletionTimestamp != nil {
		return s.release(ctx, pvc)
	}
	wanted := pvc.Spec.Resources.Requests[corev1.ResourceStorage]
	has := pvc.Status.Capacity[corev1.ResourceStorage]
	if pvc.Status.Phase == corev1.ClaimBound && has.Cmp(wanted) >= 0 {
		return nil
	}
	pvc.Status.Phase = corev1.ClaimBound
	pvc.Status.AccessModes = pvc.Spec.AccessModes
	pvc.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: wanted}
	return s.client.Status().Update(ctx, pvc)
}

// release ends the protection of a claim. While a pod uses it that is an error, and tried again.
func (s storage) release(ctx context.Context, pvc *corev1.PersistentVolumeClaim) error {
	var pods corev1.PodList
	if err := s.client.List(ctx, &pods, client.InNamespace(pvc.Namespace)); err != nil {
		return err
	}
	for i := range pods.Items {
		if slices.ContainsFunc(pods.Items[i].Spec.Volumes, func(v corev1.Volume) bool {
			return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == pvc.Name
		}) {
			return fmt.Errorf("claim %s is used by pod %s", pvc.Name, pods.Items[i].Name)
		}
	}
	if !controllerutil.RemoveFinalizer(pvc, protection) {
		return nil
	}
	return s.client.Update(ctx, pvc)
}

// volume gives a data volume its claim, and says that it is filled.
func (s storage) volume(ctx context.Context, dv *cdiv1beta1.DataVolume) error {
	if dv.DeletionTimestamp != nil || dv.Status.Phase == cdiv1beta1.Succeeded {
		return nil
	}
	pvc := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: dv.Name, Namespace: dv.Namespace},
		Spec:       claimSpec(&dv.Spec),
	}
	if err := controllerutil.SetControllerReference(dv, pvc, s.client.Scheme()); err != nil {
		return err
	}
	if err := s.client.Create(ctx, pvc); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	dv.Status.ClaimName, dv.Status.Phase, dv.Status.Progress = dv.Name, cdiv1beta1.Succeeded, "100.0%"
	dv.Status.Conditions = []cdiv1beta1.DataVolumeCondition{
		filled(cdiv1beta1.DataVolumeBound, corev1.ConditionTrue, "Bound"),
		filled(cdiv1beta1.DataVolumeReady, corev1.ConditionTrue, ""),
		filled(cdiv1beta1.DataVolumeRunning, corev1.ConditionFalse, "Completed"),
	}
	return s.client.Status().Update(ctx, dv)
}

func filled(kind cdiv1beta1.DataVolumeConditionType, status corev1.ConditionStatus, reason string) cdiv1beta1.DataVolumeCondition {
	now := metav1.Now()
	return cdiv1beta1.DataVolumeCondition{Type: kind, Status: status, Reason: reason, LastTransitionTime: now, LastHeartbeatTime: now}
}

// claimSpec completes what a data volume says of its claim.
func claimSpec(dv *cdiv1beta1.DataVolumeSpec) corev1.PersistentVolumeClaimSpec {
	var spec corev1.PersistentVolumeClaimSpec
	switch {
	case dv.PVC != nil:
		spec = *dv.PVC.DeepCopy()
	case dv.Storage != nil:
		st := dv.Storage.DeepCopy()
		spec.AccessModes, spec.VolumeMode, spec.StorageClassName = st.AccessModes, st.VolumeMode, st.StorageClassName
		spec.Resources = st.Resources
	}
	if len(spec.AccessModes) == 0 {
		spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	}
	if spec.Resources.Requests.Storage().IsZero() {
		spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(sourceSize)}
	}
	// Populators and snapshots are what the importer would work with itself.
	spec.DataSource, spec.DataSourceRef = nil, nil
	return spec
}

// newRateLimiter waits after a failure from 20 ms on, but never so long that a test would give up.
func newRateLimiter() workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](20*time.Millisecond, time.Second)
}
