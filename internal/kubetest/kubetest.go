// Package kubetest gives tests and the demo a Kubernetes API server that knows KubeVirt's kinds.
//
// The cluster is, in this order: the one that SHEPHERD_TEST_KUBECONFIG names; etcd and
// kube-apiserver from the directory in KUBEBUILDER_ASSETS; or the control plane of
// tools/controlplane, which is compiled when there is no cached binary. The first may be any cluster:
// definitions that it lacks are added, and tests remove what they create. The other two are started
// for the process and end with it, however it ends.
//
// The definitions in crds are those of KubeVirt and of its Containerized Data Importer, validation
// included; `make generate-crds` writes them. There are no nodes, and nothing runs: what KubeVirt
// would report about a machine, a test says with SetVMStatus.
//
// With Options.KubeVirt, or NewKubeVirt in a test, KubeVirt itself runs in the cluster, from
// tools/kubevirt: its webhooks judge and complete what is applied, its controller makes instances of
// machines, and its subresources start, stop and restart them. Package standin plays the machines.
// Such a cluster is always a control plane of our own.
package kubetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	kubevirtv1 "kubevirt.io/api/core/v1"
	instancetypev1beta1 "kubevirt.io/api/instancetype/v1beta1"
	cdiv1beta1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	crlog "sigs.k8s.io/controller-runtime/pkg/log"
)

// firstTimeout bounds the start of the cluster that the tests of a process share. It leaves time to
// compile the control plane on a small machine.
const firstTimeout = 20 * time.Minute

// TB is the part of testing.TB that this package needs.
type TB interface {
	Helper()
	Context() context.Context
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Options are the wishes of a program that starts a cluster. The zero value is a cluster that leaves
// nothing behind.
type Options struct {
	// Dir keeps the cluster's keys and data, so that it can be stopped and started again. It is not
	// used with a cluster from the environment.
	Dir string
	// KubeVirt runs KubeVirt in the cluster, which takes ten seconds and 350 MB more.
	KubeVirt bool
}

// Cluster is an API server with KubeVirt's kinds. One that was started by this process lives until
// Stop, but no longer than the process and than somebody holds on to the Cluster.
type Cluster struct {
	source     source
	kubeconfig []byte
	config     *rest.Config
	client     client.Client
	kubeVirt   *kubeVirt // nil without
}

// source is where a cluster comes from.
type source interface {
	// start returns an administrator's kubeconfig.
	start(ctx context.Context) ([]byte, error)
	stop() error
}

// New returns a cluster that the tests of a process share. Keep them apart by Namespace.
func New(t TB) *Cluster {
	t.Helper()
	c, err := shared()
	if err != nil {
		t.Fatalf("kubetest: %v", err)
	}
	return c
}

// NewKubeVirt returns a cluster in which KubeVirt runs. The tests of a process share it, but not with
// those of New. Keep them apart by Namespace.
func NewKubeVirt(t TB) *Cluster {
	t.Helper()
	c, err := sharedKubeVirt()
	if err != nil {
		t.Fatalf("kubetest: %v", err)
	}
	return c
}

var (
	shared         = sync.OnceValues(func() (*Cluster, error) { return startShared(Options{}) })
	sharedKubeVirt = sync.OnceValues(func() (*Cluster, error) { return startShared(Options{KubeVirt: true}) })
)

func startShared(opts Options) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), firstTimeout)
	defer cancel()
	return Start(ctx, opts)
}

// Start returns a cluster that serves all its kinds.
func Start(ctx context.Context, opts Options) (*Cluster, error) {
	// Without a logger the library complains in the middle of the output; one that was set first stays.
	crlog.SetLogger(logr.Discard())
	c := &Cluster{source: findSource(opts)}
	if err := c.start(ctx); err != nil {
		return nil, fmt.Errorf("start cluster: %w", errors.Join(err, c.Stop()))
	}
	return c, nil
}

func findSource(opts Options) source {
	if opts.KubeVirt {
		// It is reached on loopback and known by the control plane's own keys.
		return &controlPlane{dir: opts.Dir, kubeVirt: true}
	}
	if path := os.Getenv("SHEPHERD_TEST_KUBECONFIG"); path != "" {
		return given{path}
	}
	if dir := os.Getenv("KUBEBUILDER_ASSETS"); dir != "" {
		return &assets{binaries: dir}
	}
	return &controlPlane{dir: opts.Dir}
}

func (c *Cluster) start(ctx context.Context) (err error) {
	if c.kubeconfig, err = c.source.start(ctx); err != nil {
		return err
	}
	if c.config, err = clientcmd.RESTConfigFromKubeConfig(c.kubeconfig); err != nil {
		return fmt.Errorf("read kubeconfig: %w", err)
	}
	c.config.QPS = -1 // the server is there to be loaded
	scheme, err := newScheme()
	if err != nil {
		return err
	}
	if c.client, err = client.New(c.config, client.Options{Scheme: scheme}); err != nil {
		return err
	}
	return c.equip(ctx)
}

// equip makes a bare API server one that serves all kinds.
func (c *Cluster) equip(ctx context.Context) error {
	if own, ok := c.source.(*controlPlane); ok && own.kubeVirt {
		return c.startKubeVirt(ctx, own)
	}
	return c.installCRDs(ctx)
}

func newScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	return scheme, errors.Join(
		clientscheme.AddToScheme(scheme),
		extv1.AddToScheme(scheme),
		kubevirtv1.AddToScheme(scheme),
		instancetypev1beta1.AddToScheme(scheme),
		cdiv1beta1.AddToScheme(scheme),
	)
}

// Stop ends a cluster that was started by this process. Stopping twice does nothing.
func (c *Cluster) Stop() error {
	kubeVirt := c.kubeVirt
	c.kubeVirt = nil
	return errors.Join(kubeVirt.stop(), c.source.stop())
}

// KubeVirtVersion returns the version of KubeVirt that runs in the cluster, or "" when none does.
func (c *Cluster) KubeVirtVersion() string {
	if c.kubeVirt == nil {
		return ""
	}
	return c.kubeVirt.version
}

// Restart stops the cluster, unless it is stopped, and starts it with its data and at its address.
// That takes a control plane of our own and Options.Dir.
func (c *Cluster) Restart(ctx context.Context) error {
	own, ok := c.source.(*controlPlane)
	if !ok || own.dir == "" {
		return errors.New("restart cluster: it has no directory of ours to start from")
	}
	if err := c.Stop(); err != nil {
		return fmt.Errorf("restart cluster: %w", err)
	}
	if _, err := own.start(ctx); err != nil {
		return fmt.Errorf("restart cluster: %w", err)
	}
	return c.equip(ctx)
}

// Kubeconfig returns the administrator's access, complete in itself.
func (c *Cluster) Kubeconfig() []byte { return append([]byte(nil), c.kubeconfig...) }

// Config returns the administrator's access for a client of one's own. It sets no limit on requests.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// Client returns the administrator's client. It knows the kinds of Kubernetes, KubeVirt and the
// Containerized Data Importer, and CustomResourceDefinition.
func (c *Cluster) Client() client.Client { return c.client }

// Namespace creates a namespace for a test and returns its name.
func (c *Cluster) Namespace(t TB) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "kubetest-"}}
	if err := c.client.Create(t.Context(), ns); err != nil {
		t.Fatalf("kubetest: create namespace: %v", err)
	}
	c.cleanUp(t, ns)
	return ns.Name
}

// cleanUp deletes objects after a test where others would find them. A cluster of our own goes away
// as a whole; emptying it first would take time from the tests that still run.
func (c *Cluster) cleanUp(t TB, objects ...client.Object) {
	if _, ok := c.source.(given); !ok {
		return
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		for _, o := range objects {
			if err := client.IgnoreNotFound(c.client.Delete(ctx, o)); err != nil {
				t.Errorf("kubetest: delete %s: %v", o.GetName(), err)
			}
		}
	})
}
