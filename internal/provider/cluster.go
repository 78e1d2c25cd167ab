package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// DefaultTimeout bounds one request to a cluster.
const DefaultTimeout = 10 * time.Second

// Options are the same for all clusters. The zero Options are good.
type Options struct {
	// Timeout bounds one request, DefaultTimeout when zero.
	Timeout time.Duration
	// AllowInsecure accepts plain http and insecure-skip-tls-verify, for laboratories.
	AllowInsecure bool
	// Logger hears of clusters that are connected anew; nothing is logged when it is nil.
	Logger *slog.Logger
}

func (o Options) timeout() time.Duration {
	if o.Timeout <= 0 {
		return DefaultTimeout
	}
	return o.Timeout
}

func (o Options) logger() *slog.Logger {
	if o.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Logger
}

// Cluster is a connection to one cluster. It is safe for concurrent use.
type Cluster struct {
	client  client.Client
	raw     *rest.RESTClient
	http    *http.Client
	timeout time.Duration

	// Of a Registry's connections only: the name, the uid that it has to have, and what keeps calls from it.
	name, pinned string
	breaker      *breaker
}

// Connect reads a kubeconfig and asks the cluster for its version, so that a Cluster was reached at
// least once. Only inline data is accepted: programs, files and switched-off certificate checks are
// refused, with an error that names the fields.
func Connect(ctx context.Context, kubeconfig []byte, o Options) (*Cluster, error) {
	c, err := newCluster(kubeconfig, o)
	if err != nil {
		return nil, err
	}
	if _, err := c.version(ctx); err != nil {
		c.Close()
		return nil, fmt.Errorf("connect: %w", err)
	}
	return c, nil
}

// newCluster makes the connection's parts; it sends nothing.
func newCluster(kubeconfig []byte, o Options) (*Cluster, error) {
	config, err := restConfig(kubeconfig, o.AllowInsecure)
	if err != nil {
		return nil, err
	}
	// The API server has priorities and fairness of its own, and each cluster a queue of ours.
	config.QPS = -1
	config.UserAgent = FieldManager
	config.WarningHandlerWithContext = warningNoter{}
	httpClient, err := httpClientFor(config)
	if err != nil {
		return nil, errors.New("kubeconfig: its certificates or keys do not parse")
	}
	kube, err := client.New(config, client.Options{
		HTTPClient: httpClient, Mapper: staticMapper(), Scheme: bareScheme(),
		Log: logr.FromSlogHandler(o.logger().Handler()),
	})
	if err != nil {
		return nil, errors.New("kubeconfig: no client can be made of it")
	}
	config.GroupVersion = &schema.GroupVersion{}
	config.NegotiatedSerializer = serializer.NewCodecFactory(bareScheme()).WithoutConversion()
	raw, err := rest.UnversionedRESTClientForConfigAndClient(config, httpClient)
	if err != nil {
		return nil, errors.New("kubeconfig: no client can be made of it")
	}
	return &Cluster{client: kube, raw: raw, http: httpClient, timeout: o.timeout()}, nil
}

// bareScheme knows Status, so that refusals can be read, and no other type: objects are unstructured.
func bareScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	metav1.AddToGroupVersion(scheme, schema.GroupVersion{Version: "v1"})
	return scheme
}

// Close lets go of idle connections. Calls under way end by themselves.
func (c *Cluster) Close() { utilnet.CloseIdleConnectionsFor(c.http.Transport) }

// subject is what a request is about, for the errors.
type subject struct {
	verb            string
	kind            schema.GroupVersionKind
	namespace, name string
}

func about(verb string, o client.Object) subject {
	return subject{verb, o.GetObjectKind().GroupVersionKind(), o.GetNamespace(), o.GetName()}
}

func (s subject) String() string {
	switch {
	case s.kind.Kind == "":
		return s.name
	case s.name == "":
		return resourceName(s.kind)
	case s.namespace == "":
		return s.kind.Kind + " " + s.name
	}
	return s.kind.Kind + " " + s.namespace + "/" + s.name
}

// do sends one request, unless the cluster is paused, and tells the breaker how it ended.
func (c *Cluster) do(ctx context.Context, s subject, send func(context.Context) error) ([]string, error) {
	if c.breaker == nil {
		warnings, err := c.send(ctx, s, send)
		if err != nil {
			return nil, err
		}
		return warnings, nil
	}
	if refused := c.admit(ctx); refused != nil {
		return nil, refused
	}
	warnings, err := c.send(ctx, s, send)
	how := outcomeOf(ctx, err)
	if how == outcomeDenied {
		how, err = c.denied(ctx, err)
	}
	c.breaker.note(how, err)
	if err != nil {
		return nil, err
	}
	return warnings, nil
}

// send sends one request under the call's deadline and sorts its error. It returns the warnings that
// came with the answer.
func (c *Cluster) send(ctx context.Context, s subject, send func(context.Context) error) ([]string, *Error) {
	inner, noted := withCall(ctx)
	inner, cancel := context.WithTimeout(inner, c.timeout)
	defer cancel()
	err := send(inner)
	if err == nil {
		return noted.warned(), nil
	}
	if ctx.Err() != nil {
		// The caller gave up, or its own deadline passed: that says nothing about the cluster.
		err = errors.Join(ctx.Err(), err)
	}
	return nil, classify(err, s, noted.wait())
}

// get reads one object. Absence is not an error: the result is nil.
func (c *Cluster) get(ctx context.Context, kind schema.GroupVersionKind, namespace, name string) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind)
	absent := false
	_, err := c.do(ctx, subject{"get", kind, namespace, name}, func(ctx context.Context) error {
		err := c.client.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, u)
		absent = isAbsent(err)
		if absent {
			return nil
		}
		return err
	})
	if err != nil || absent {
		return nil, err
	}
	return u, nil
}

// list reads all objects of a cluster-wide or namespaced kind, everywhere.
func (c *Cluster) list(ctx context.Context, kind schema.GroupVersionKind) ([]unstructured.Unstructured, error) {
	var found unstructured.UnstructuredList
	found.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	_, err := c.do(ctx, subject{verb: "list", kind: kind}, func(ctx context.Context) error {
		return c.client.List(ctx, &found)
	})
	return found.Items, err
}

// read fetches a path that is not an object, as JSON.
func (c *Cluster) read(ctx context.Context, path string) (body []byte, err error) {
	_, err = c.do(ctx, subject{verb: "get", name: path}, func(ctx context.Context) error {
		body, err = c.raw.Get().AbsPath(path).Do(ctx).Raw()
		return err
	})
	return body, err
}
