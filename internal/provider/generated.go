package provider

import (
	"context"
	"encoding/base64"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kv-shepherd.io/shepherd/internal/domain"
)

// AnnotationGenerate marks a manifest of a Secret that is completed when it is made, and left alone from then on:
// what it holds is in no plan.
const AnnotationGenerate = "kubevirt-shepherd.io/generate"

func generated(u *unstructured.Unstructured) bool {
	return u.GroupVersionKind() == secretKind && u.GetAnnotations()[AnnotationGenerate] != ""
}

// Generated is what a Secret of the VM that was completed when it was made holds on the cluster; false where there
// is none. It fails as Apply does for one that is another owner's, or that is going.
func (c *Cluster) Generated(ctx context.Context, t Target, m Manifest) (map[string][]byte, bool, error) {
	u, err := m.decode()
	if err == nil {
		err = t.complete()
	}
	if err != nil {
		return nil, false, never(problem(domain.PlanInvalid, "", "%s", words(err.Error())), err)
	}
	s := &step{cluster: c, target: t, want: u}
	if err := s.look(ctx); err != nil || s.live == nil || !generated(s.live) {
		return nil, false, err
	}
	values, _, err := unstructured.NestedStringMap(s.live.Object, "data")
	if err != nil {
		return nil, false, fmt.Errorf("read %s: its data is no map of texts", m)
	}
	out := make(map[string][]byte, len(values))
	for key, text := range values {
		if out[key], err = base64.StdEncoding.DecodeString(text); err != nil {
			return nil, false, fmt.Errorf("read %s: the value of a key is not base64", m)
		}
	}
	return out, true, nil
}
