package provider

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Permission is one thing that Shepherd does on a cluster. Resource is a kind's plural, with the subresource
// behind a slash.
type Permission struct{ Verb, Group, Resource string }

// String is the permission as `kubectl auth can-i` takes it.
func (p Permission) String() string {
	plural, sub, isSub := strings.Cut(p.Resource, "/")
	name := schema.GroupResource{Group: p.Group, Resource: plural}.String()
	if isSub {
		name += "/" + sub
	}
	return p.Verb + " " + name
}

// needs are the verbs for each kind. deploy/cluster/rbac.yaml grants these and no others.
var needs = map[schema.GroupVersionKind][]string{
	namespaceKind:    {"get", "create"},
	secretKind:       {"get", "list", "create", "patch", "delete"},
	claimKind:        {"get", "list", "patch", "delete"},
	dataVolumeKind:   {"get", "list", "create", "patch", "delete"},
	vmKind:           {"get", "list", "create", "patch", "delete"},
	vmiKind:          {"get"},
	restartKind:      {"update"},
	storageClassKind: {"get", "list"},
	kubeVirtKind:     {"list"},
	cdiKind:          {"list"},
	nodeKind:         {"list"},
	attachmentKind:   {"list"},
	instancetypeKind: {"get", "list"},
	preferenceKind:   {"list"},

	ownInstancetypeKind: {"get"},
}

// Needs lists what Shepherd has to be allowed, in every namespace, in a fixed order.
func Needs() []Permission {
	var out []Permission
	for kind, verbs := range needs {
		for _, verb := range verbs {
			out = append(out, Permission{verb, kind.Group, resources[kind]})
		}
	}
	slices.SortFunc(out, func(a, b Permission) int {
		return strings.Compare(a.Group+" "+a.Resource+" "+a.Verb, b.Group+" "+b.Resource+" "+b.Verb)
	})
	return out
}

// unneeded is what who gets hold of the credentials would like to find.
var unneeded = []Permission{
	{"delete", "", "namespaces"}, {"patch", "", "namespaces"}, {"create", "", "pods"}, {"create", "", "pods/exec"}, {"patch", "", "nodes"},
	{"create", "", "serviceaccounts/token"}, {"impersonate", "", "users"},
	{"create", "rbac.authorization.k8s.io", "clusterrolebindings"}, {"escalate", "rbac.authorization.k8s.io", "clusterroles"},
	{"get", "subresources.kubevirt.io", "virtualmachineinstances/vnc"}, {"get", "subresources.kubevirt.io", "virtualmachineinstances/console"},
	{"delete", "kubevirt.io", "kubevirts"}, {"patch", "kubevirt.io", "kubevirts"},
}

// Missing asks the cluster which of the Needs the credentials do not have. Nothing is tried.
func (c *Cluster) Missing(ctx context.Context) ([]Permission, error) {
	return c.those(ctx, Needs(), false)
}

// Excess asks the cluster what of a few telling permissions the credentials have although Shepherd never needs
// them. Credentials that may do everything are answered with that alone.
func (c *Cluster) Excess(ctx context.Context) ([]Permission, error) {
	everything, err := c.those(ctx, []Permission{{"*", "*", "*"}}, true)
	if err != nil || len(everything) > 0 {
		return everything, err
	}
	return c.those(ctx, unneeded, true)
}

// those are the permissions that the credentials have, or have not.
func (c *Cluster) those(ctx context.Context, all []Permission, allowed bool) ([]Permission, error) {
	var out []Permission
	for _, p := range all {
		is, err := c.may(ctx, p)
		if err != nil {
			return nil, fmt.Errorf("ask for permission to %s: %w", p, err)
		}
		if is == allowed {
			out = append(out, p)
		}
	}
	return out, nil
}

func (c *Cluster) may(ctx context.Context, p Permission) (bool, error) {
	resource, sub, _ := strings.Cut(p.Resource, "/")
	review := authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: p.Verb, Group: p.Group, Resource: resource, Subresource: sub},
	}}
	review.APIVersion, review.Kind = authorizationv1.SchemeGroupVersion.String(), "SelfSubjectAccessReview"
	question, err := json.Marshal(review)
	if err != nil {
		return false, err
	}
	var answer []byte
	_, err = c.do(ctx, subject{verb: "create", name: "selfsubjectaccessreviews.authorization.k8s.io"}, func(ctx context.Context) (err error) {
		answer, err = c.raw.Post().AbsPath("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews").
			SetHeader("Content-Type", "application/json").Body(question).Do(ctx).Raw()
		return err
	})
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(answer, &review); err != nil {
		return false, fmt.Errorf("read the API server's answer: %w", err)
	}
	return review.Status.Allowed, nil
}
