// Package standin does in a cluster without machines what those parts would do that KubeVirt's
// controllers wait for: a node (kubelet and KubeVirt's handler on it), a storage provisioner, and the
// Containerized Data Importer. Pods and instances run, volumes are bound and filled, claims grow, and
// what is deleted ends, all at once and without doing any of the work.
package standin

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1beta1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// account is who KubeVirt's webhooks let change instances, on the node where it runs.
const account = "system:serviceaccount:kubevirt:kubevirt-handler"

// endTimeout is how long the work in hand may take at the end.
const endTimeout = 5 * time.Second

// Start creates the node and a default storage class, and plays the parts until stop is called. The
// config has to be an administrator's; the scheme has to know the kinds of Kubernetes, KubeVirt and
// the Containerized Data Importer.
func Start(ctx context.Context, cfg *rest.Config, scheme *runtime.Scheme) (stop func() error, err error) {
	cfg = rest.CopyConfig(cfg)
	cfg.Impersonate = rest.ImpersonationConfig{
		UserName: account, Groups: []string{"system:masters"},
		Extra: map[string][]string{"authentication.kubernetes.io/node-name": {NodeName}},
	}
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:                  scheme,
		Logger:                  logr.Discard(),
		Metrics:                 server.Options{BindAddress: "0"},
		GracefulShutdownTimeout: new(endTimeout),
		Controller:              config.Controller{SkipNameValidation: new(true), MaxConcurrentReconciles: 4},
	})
	if err != nil {
		return nil, err
	}
	for _, o := range []client.Object{machine(), storageClass()} {
		if err := mgr.GetClient().Create(ctx, o); err != nil && !apierrors.IsAlreadyExists(err) {
			return nil, fmt.Errorf("create %s: %w", o.GetName(), err)
		}
	}
	if err := register(mgr); err != nil {
		return nil, err
	}
	return run(ctx, mgr)
}

// part does what is next with an object that was created or changed.
type part[T client.Object] func(ctx context.Context, object T) error

func register(mgr ctrl.Manager) error {
	c := mgr.GetClient()
	n, s := &node{client: c}, storage{client: c}
	for _, err := range []error{
		add(mgr, &corev1.Pod{}, n.pod),
		add(mgr, &kubevirtv1.VirtualMachineInstance{}, n.instance),
		add(mgr, &corev1.PersistentVolumeClaim{}, s.claim),
		add(mgr, &cdiv1beta1.DataVolume{}, s.volume),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// add has all objects of a kind handled. What fails, as when somebody else changed the object first, is
// tried again.
func add[T client.Object](mgr ctrl.Manager, kind T, handle part[T]) error {
	work := reconcile.Func(func(ctx context.Context, r reconcile.Request) (reconcile.Result, error) {
		object := kind.DeepCopyObject().(T)
		err := mgr.GetClient().Get(ctx, r.NamespacedName, object)
		if err == nil {
			err = handle(ctx, object)
		}
		return reconcile.Result{}, client.IgnoreNotFound(err)
	})
	return ctrl.NewControllerManagedBy(mgr).For(kind).
		WithOptions(controller.Options{RateLimiter: newRateLimiter()}).
		WithLogConstructor(func(*reconcile.Request) logr.Logger { return logr.Discard() }).
		Complete(work)
}

// run starts the manager and returns when it sees the cluster.
func run(ctx context.Context, mgr ctrl.Manager) (stop func() error, err error) {
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(running) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		return nil, fmt.Errorf("see the cluster: %w (%v)", context.Cause(ctx), stop())
	}
	return stop, nil
}
