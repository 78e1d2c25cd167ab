package provider

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// What is kept of a cluster at most. A larger one is described as far as that, and what is missing is unknown.
const (
	maxNames   = 2000
	maxNodes   = 5000
	maxDevices = 200
)

// Sizes of pages. A node says more than ten kilobytes of itself; of the rest only the metadata is asked for.
const (
	nodesAtOnce = 100
	namesAtOnce = 500
)

// asMetadata asks for the metadata of objects alone.
const asMetadata = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"

// node is what is looked at of a node.
type node struct {
	Metadata struct{ Labels map[string]string }
	Status   struct{ Allocatable map[string]string }
}

// named is what is looked at of everything else.
type named struct {
	Metadata struct {
		Namespace, Name string
		Annotations     map[string]string
	}
}

// readNodes sums up what the nodes have: that one of them is away for a while does not change what the cluster is.
func (c *Cluster) readNodes(ctx context.Context, f *Facts) error {
	devices, pages, dedicated := map[string]int64{}, map[string]int64{}, false
	err := pagesOf(ctx, c, nodeKind, "application/json", nodesAtOnce, maxNodes, func(n node) {
		dedicated = dedicated || n.Metadata.Labels["cpumanager"] == "true"
		for name, amount := range n.Status.Allocatable {
			quantity, err := resource.ParseQuantity(amount)
			if err != nil || quantity.Sign() <= 0 {
				continue
			}
			if size, ok := strings.CutPrefix(name, "hugepages-"); ok {
				pages[size] = max(pages[size], quantity.Value())
			} else if isDevice(name) {
				devices[name] += quantity.Value()
			}
		}
	})
	if err != nil && !errors.Is(err, errTooBig) {
		return err
	}
	if len(devices) > maxDevices {
		err = errTooBig
		for _, name := range slices.Sorted(maps.Keys(devices))[maxDevices:] {
			delete(devices, name)
		}
	}
	f.Capabilities.Devices, f.Capabilities.Hugepages, f.Capabilities.DedicatedCPU = orNil(devices), orNil(pages), dedicated
	return err
}

// isDevice reports whether a resource is an extended one that a VM can be given. Those that KubeVirt itself has
// on every node say nothing, and would change with every node.
func isDevice(resource string) bool {
	domain, _, extended := strings.Cut(resource, "/")
	return extended && domain != "devices.kubevirt.io" && domain != "kubernetes.io" && !strings.HasSuffix(domain, ".kubernetes.io")
}

// resourceAnnotation names the extended resource that a network takes of a node: what SR-IOV networks have.
const resourceAnnotation = "k8s.v1.cni.cncf.io/resourceName"

// readNetworks reads the network attachments. A cluster that does not serve the kind has none: it runs no Multus.
func (c *Cluster) readNetworks(ctx context.Context, f *Facts) error {
	err := c.readNames(ctx, attachmentKind, &f.Capabilities.Networks, func(n named) {
		f.Capabilities.SRIOV = f.Capabilities.SRIOV || n.Metadata.Annotations[resourceAnnotation] != ""
	})
	if isUnserved(err) {
		return nil
	}
	return err
}

func (c *Cluster) readInstancetypes(ctx context.Context, f *Facts) error {
	return c.readNames(ctx, instancetypeKind, &f.Capabilities.Instancetypes, func(named) {})
}

func (c *Cluster) readPreferences(ctx context.Context, f *Facts) error {
	return c.readNames(ctx, preferenceKind, &f.Capabilities.Preferences, func(named) {})
}

// readNames reads the names of all objects of a kind, with the namespace before a slash where there is one.
func (c *Cluster) readNames(ctx context.Context, kind schema.GroupVersionKind, into *[]string, each func(named)) error {
	var names []string
	err := pagesOf(ctx, c, kind, asMetadata, namesAtOnce, maxNames, func(n named) {
		name := n.Metadata.Name
		if n.Metadata.Namespace != "" {
			name = n.Metadata.Namespace + "/" + name
		}
		names = append(names, name)
		each(n)
	})
	if err != nil && !errors.Is(err, errTooBig) {
		return err
	}
	slices.Sort(names)
	*into = names
	return err
}

// pagesOf lists objects a page at a time and gives each to see. After limit of them it stops with errTooBig.
func pagesOf[T any](ctx context.Context, c *Cluster, kind schema.GroupVersionKind, accept string, atOnce, limit int, see func(T)) error {
	for seen, next := 0, ""; ; {
		var body []byte
		_, err := c.do(ctx, subject{verb: "list", kind: kind}, func(ctx context.Context) (err error) {
			request := c.raw.Get().AbsPath(listPath(kind)).SetHeader("Accept", accept).Param("limit", strconv.Itoa(atOnce))
			if next != "" {
				request = request.Param("continue", next)
			}
			body, err = request.Do(ctx).Raw()
			return err
		})
		if err != nil {
			return err
		}
		var page struct {
			Metadata struct{ Continue string }
			Items    []T
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return errors.New("the API server's list of " + resourceName(kind) + " does not parse")
		}
		for _, item := range page.Items {
			if seen++; seen > limit {
				return errTooBig
			}
			see(item)
		}
		if next = page.Metadata.Continue; next == "" {
			return nil
		}
	}
}

// listPath is where all objects of a kind are, in all namespaces.
func listPath(kind schema.GroupVersionKind) string {
	if kind.Group == "" {
		return "/api/" + kind.Version + "/" + resources[kind]
	}
	return "/apis/" + kind.Group + "/" + kind.Version + "/" + resources[kind]
}

// orNil is nil for an empty map, as the database gives it back.
func orNil(m map[string]int64) map[string]int64 {
	if len(m) == 0 {
		return nil
	}
	return m
}
