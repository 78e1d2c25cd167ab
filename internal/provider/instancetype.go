package provider

import (
	"context"
	"encoding/json"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Instancetype is the hardware that an instance type of a cluster gives a VM.
type Instancetype struct {
	Cores  int64
	Memory resource.Quantity
}

// Instancetype reads the instance type of a name: that of a namespace, or the cluster's where namespace is empty.
// It is nil where there is none.
func (c *Cluster) Instancetype(ctx context.Context, namespace, name string) (*Instancetype, error) {
	kind := instancetypeKind
	if namespace != "" {
		kind = ownInstancetypeKind
	}
	u, err := c.get(ctx, kind, namespace, name)
	if err != nil || u == nil {
		return nil, err
	}
	data, err := u.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", kind.Kind, name, err)
	}
	var read struct {
		Spec struct {
			CPU    struct{ Guest int64 }
			Memory struct{ Guest resource.Quantity }
		}
	}
	if err := json.Unmarshal(data, &read); err != nil {
		return nil, fmt.Errorf("read %s %s: %w", kind.Kind, name, err)
	}
	return &Instancetype{read.Spec.CPU.Guest, read.Spec.Memory.Guest}, nil
}

// Forbidden reports whether an error says that the credentials do not allow what was asked.
func Forbidden(err error) bool { return apierrors.IsForbidden(err) }
