package main

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/controller-manager/pkg/informerfactory"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/controller/garbagecollector"
	"k8s.io/kubernetes/pkg/controller/namespace"
	"k8s.io/kubernetes/pkg/controller/serviceaccount"
)

const (
	// readyPoll is how often the API server is asked whether it is ready.
	readyPoll = 20 * time.Millisecond
	// discoveryPoll is how soon the garbage collector knows of a new CRD.
	discoveryPoll = 2 * time.Second
)

// cluster is what the controllers share.
type cluster struct {
	client    kubernetes.Interface
	metadata  metadata.Interface
	informers informers.SharedInformerFactory
	objects   metadatainformer.SharedInformerFactory
}

// startControllers waits until the API server is ready and runs the controllers until ctx is done.
func startControllers(ctx context.Context, kubeconfig string) error {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	cfg.QPS = -1 // no limit on the client's side
	c, err := newCluster(cfg)
	if err != nil {
		return err
	}
	if err := c.waitReady(ctx); err != nil {
		return err
	}
	c.startNamespaces(ctx)
	if err := c.startServiceAccounts(ctx); err != nil {
		return fmt.Errorf("service account controller: %w", err)
	}
	started := make(chan struct{})
	if err := c.startGarbageCollector(ctx, started); err != nil {
		return fmt.Errorf("garbage collector: %w", err)
	}
	c.informers.Start(ctx.Done())
	c.objects.Start(ctx.Done())
	close(started)
	return nil
}

func newCluster(cfg *rest.Config) (*cluster, error) {
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	meta, err := metadata.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	return &cluster{
		client:    client,
		metadata:  meta,
		informers: informers.NewSharedInformerFactory(client, 0),
		objects:   metadatainformer.NewSharedInformerFactory(meta, 0),
	}, nil
}

func (c *cluster) waitReady(ctx context.Context) error {
	for c.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).Error() != nil {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(readyPoll):
		}
	}
	return nil
}

// startNamespaces empties and removes namespaces that are deleted.
func (c *cluster) startNamespaces(ctx context.Context) {
	controller := namespace.NewNamespaceController(ctx, c.client, c.metadata,
		c.client.Discovery().ServerPreferredNamespacedResources,
		c.informers.Core().V1().Namespaces(), 5*time.Minute, corev1.FinalizerKubernetes)
	go controller.Run(ctx, 4)
}

// startServiceAccounts gives every namespace its service account default.
func (c *cluster) startServiceAccounts(ctx context.Context) error {
	controller, err := serviceaccount.NewServiceAccountsController(klog.FromContext(ctx),
		c.informers.Core().V1().ServiceAccounts(), c.informers.Core().V1().Namespaces(),
		c.client, serviceaccount.DefaultServiceAccountsControllerOptions())
	if err != nil {
		return err
	}
	go controller.Run(ctx, 1)
	return nil
}

// startGarbageCollector removes objects whose owners are gone.
func (c *cluster) startGarbageCollector(ctx context.Context, started <-chan struct{}) error {
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(c.client.Discovery()))
	collector, err := garbagecollector.NewGarbageCollector(ctx, c.client, c.metadata, mapper,
		garbagecollector.DefaultIgnoredResources(),
		informerfactory.NewInformerFactory(c.informers, c.objects), started)
	if err != nil {
		return err
	}
	go collector.Run(ctx, 4, 30*time.Second)
	go collector.Sync(ctx, c.client.Discovery(), discoveryPoll)
	return nil
}
