package service

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/provider"
)

// manifest is deploy/cluster/rbac.yaml under names of this test's own, as it is applied.
type manifest struct {
	namespace corev1.Namespace
	account   corev1.ServiceAccount
	role      rbacv1.ClusterRole
	binding   rbacv1.ClusterRoleBinding
}

func readManifest(t *testing.T) *manifest {
	t.Helper()
	data, err := os.ReadFile("../../deploy/cluster/rbac.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m := &manifest{}
	into := []any{&m.namespace, &m.account, &m.role, &m.binding}
	documents := bytes.Split(data, []byte("\n---\n"))
	if len(documents) != len(into) {
		t.Fatalf("%d documents", len(documents))
	}
	for i, d := range documents {
		if err := yaml.UnmarshalStrict(d, into[i]); err != nil {
			t.Fatal(err)
		}
	}
	return m
}

// rbacWorld is a world that reaches its cluster as the manifest's account.
func rbacWorld(t *testing.T) (*world, *manifest) {
	t.Helper()
	w, m := newWorld(t), readManifest(t)
	m.namespace.Name = w.ns + "-rbac"
	m.role.Name, m.binding.Name = m.namespace.Name, m.namespace.Name
	m.account.Namespace, m.binding.Subjects[0].Namespace, m.binding.RoleRef.Name = m.namespace.Name, m.namespace.Name, m.role.Name
	for _, o := range []client.Object{&m.namespace, &m.account, &m.role, &m.binding} {
		w.ok(w.kube.Client().Create(t.Context(), o))
	}
	token := &authenticationv1.TokenRequest{}
	w.ok(w.kube.Client().SubResource("token").Create(t.Context(), &m.account, token))
	w.kubeconfig = fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}],
clusters: [{name: k, cluster: {server: %q, certificate-authority-data: %q}}], users: [{name: u, user: {token: %q}}]}`,
		w.kube.Config().Host, encoded(w, w.kube.Config().CAData), token.Status.Token)
	w.eventually("the account counts", func() bool {
		_, err := w.clusters.Add(t.Context(), "prod-1", w.kubeconfig, operator)
		return err == nil
	})
	return w, m
}

// encoded is data as kubeconfigs hold it.
func encoded(w *world, data []byte) string {
	w.Helper()
	text, err := json.Marshal(data)
	w.ok(err)
	return strings.Trim(string(text), `"`)
}

func (w *world) eventually(what string, ok func() bool) {
	w.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			w.Fatalf("never: %s", what)
		}
	}
}

// The manifest grants what is needed and nothing else; without any one verb of it check names that verb.
func TestManifestGrantsWhatIsNeeded(t *testing.T) {
	t.Parallel()
	w, m := rbacWorld(t)
	w.eventually("nothing is missing", func() bool { return len(w.lookOr()) == 0 })
	var granted []string
	for i, rule := range m.role.Rules {
		if rule.Resources[0] == "selfsubjectaccessreviews" {
			continue // the API server allows it to everybody
		}
		for _, verb := range rule.Verbs {
			p := provider.Permission{Verb: verb, Group: rule.APIGroups[0], Resource: rule.Resources[0]}
			granted = append(granted, p.String())
			without := m.role.DeepCopy()
			without.Rules[i].Verbs = slices.DeleteFunc(slices.Clone(rule.Verbs), func(v string) bool { return v == verb })
			if len(without.Rules[i].Verbs) == 0 {
				without.Rules = slices.Delete(without.Rules, i, i+1)
			}
			without.ResourceVersion = ""
			w.ok(w.kube.Client().Update(t.Context(), without))
			if p.Verb == "get" && p.Resource == "namespaces" { // without it the cluster cannot be told from another one
				w.eventually("the refusal", func() bool {
					_, _, _, err := w.clusters.Look(t.Context(), "prod-1")
					return err != nil && strings.Contains(err.Error(), "may not get Namespace kube-system")
				})
				w.ok(w.kube.Client().Update(t.Context(), unversioned(m.role)))
				continue
			}
			w.eventually(p.String()+" is missing", func() bool { return slices.Equal(w.lookOr(), []string{p.String()}) })
		}
	}
	var needed []string
	for _, p := range provider.Needs() {
		needed = append(needed, p.String())
	}
	slices.Sort(granted)
	slices.Sort(needed)
	if !slices.Equal(granted, needed) {
		t.Errorf("granted %v\nneeded %v", granted, needed)
	}
}

// lookOr is what is missing, or the error while the permission to look is on its way.
func (w *world) lookOr() []string {
	_, missing, excess, err := w.clusters.Look(w.Context(), "prod-1")
	if err != nil {
		return []string{err.Error()}
	}
	var out []string
	for _, p := range missing {
		out = append(out, p.String())
	}
	for _, p := range excess {
		out = append(out, "too much: "+p.String())
	}
	return out
}

func unversioned(role rbacv1.ClusterRole) *rbacv1.ClusterRole {
	role.ResourceVersion = ""
	return &role
}

// With the manifest's account a VM with its Secret and its disk is made, seen and deleted in a namespace of its
// own.
func TestManifestIsEnough(t *testing.T) {
	t.Parallel()
	w, _ := rbacWorld(t)
	w.eventually("nothing is missing", func() bool { return len(w.lookOr()) == 0 })
	connection, err := w.clusters.Registry().Cluster(t.Context(), "prod-1")
	w.ok(err)
	ns := w.ns + "-new"
	if created, err := connection.EnsureNamespace(t.Context(), ns, nil); err != nil || !created {
		t.Fatalf("namespace: %v, %v", created, err)
	}
	ref := spec.Ref{Kind: spec.KindVirtualMachine, System: "shop", Service: "redis", Namespace: "prod-shop", Index: 1}
	vm := machine(ref, ns)
	var head struct {
		Metadata struct{ Labels map[string]string }
	}
	w.ok(json.Unmarshal(vm.JSON, &head))
	labels, err := json.Marshal(head.Metadata.Labels)
	w.ok(err)
	part := func(version, kind, name, rest string) provider.Manifest {
		return provider.Manifest{APIVersion: version, Kind: kind, Namespace: ns, Name: name, JSON: fmt.Appendf(nil,
			`{"apiVersion":%q,"kind":%q,"metadata":{"name":%q,"namespace":%q,"labels":%s},%s}`, version, kind, name, ns, labels, rest)}
	}
	ms := []provider.Manifest{
		part("v1", "Secret", vm.Name+"-cloudinit", `"stringData":{"userdata":"#cloud-config"}`),
		part("cdi.kubevirt.io/v1beta1", "DataVolume", vm.Name+"-root",
			`"spec":{"source":{"blank":{}},"storage":{"resources":{"requests":{"storage":"1Gi"}}}}`),
		{APIVersion: vm.APIVersion, Kind: string(vm.Kind), Namespace: ns, Name: vm.Name, JSON: vm.JSON},
	}
	target := provider.Target{Identity: head.Metadata.Labels, Creating: true}
	for _, want := range []provider.Action{provider.Created, provider.Unchanged} {
		changes, err := connection.Apply(t.Context(), target, ms)
		w.ok(err)
		for _, c := range changes {
			if c.Action != want {
				t.Errorf("%s %s: %v, want %v", c.Kind, c.Name, c.Action, want)
			}
		}
	}
	seen, err := connection.Observe(t.Context(), ns, vm.Name)
	w.ok(err)
	target = provider.Target{Identity: head.Metadata.Labels, UID: seen.UID}
	changes, err := connection.Delete(t.Context(), target, provider.DeleteOptions{Namespace: ns, Name: vm.Name})
	w.ok(err)
	if len(changes) != len(ms) {
		t.Errorf("deleted %+v", changes)
	}
	if seen, err = connection.Observe(t.Context(), ns, vm.Name); err != nil || seen.UID != "" {
		t.Errorf("left: %+v, %v", seen, err)
	}
}
