package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/kubetest"
)

// bench is a Cluster over a real API server, a namespace on it, and an administrator's client to
// prepare and inspect things behind the Cluster's back.
type bench struct {
	*Cluster
	t     testing.TB
	kube  *kubetest.Cluster
	admin client.Client
	ns    string
}

func setup(t testing.TB) bench {
	t.Helper()
	kube := kubetest.New(t)
	c, err := Connect(t.Context(), kube.Kubeconfig(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return bench{c, t, kube, kube.Client(), kube.Namespace(t)}
}

// as is the same bench for a service account that may do only what the rules say.
func (b bench) as(rules ...rbacv1.PolicyRule) bench {
	b.t.Helper()
	c, err := newCluster(b.kube.Restricted(b.t, rules...), Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(c.Close)
	b.Cluster = c
	return b
}

// may is a rule that allows verbs on a kind of one group.
func may(group, resource string, verbs ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
}

func (b bench) create(o client.Object) {
	b.t.Helper()
	if err := b.admin.Create(b.t.Context(), o); err != nil {
		b.t.Fatal(err)
	}
}

// read gets an object as the administrator; nil when it is absent.
func (b bench) read(like client.Object) *unstructured.Unstructured {
	b.t.Helper()
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(like.GetObjectKind().GroupVersionKind())
	err := b.admin.Get(b.t.Context(), client.ObjectKeyFromObject(like), u)
	if client.IgnoreNotFound(err) != nil {
		b.t.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return u
}

// edit changes a live object as another manager does, with an ordinary update.
func (b bench) edit(manager string, like client.Object, change func(object map[string]any)) {
	b.t.Helper()
	u := b.read(like)
	change(u.Object)
	if err := b.admin.Update(b.t.Context(), u, client.FieldOwner(manager)); err != nil {
		b.t.Fatal(err)
	}
}

// machine is the wanted objects of one VM: a Secret, a disk, the VM.
type machine struct{ secret, disk, vm *unstructured.Unstructured }

func (b bench) machine(name string) machine {
	labels := map[string]any{}
	for key, value := range testIdentity() {
		labels[key] = value
	}
	labels[LabelInstance] = name
	object := func(apiVersion, kind, name string, rest map[string]any) *unstructured.Unstructured {
		u := &unstructured.Unstructured{Object: rest}
		u.SetAPIVersion(apiVersion)
		u.SetKind(kind)
		u.SetNamespace(b.ns)
		u.SetName(name)
		_ = unstructured.SetNestedField(u.Object, labels, "metadata", "labels")
		return u.DeepCopy()
	}
	const gibibyte = "1Gi"
	return machine{
		secret: object("v1", "Secret", name+"-cloudinit", map[string]any{
			"stringData": map[string]any{"userdata": "#cloud-config\nhostname: " + name},
		}),
		disk: object("cdi.kubevirt.io/v1beta1", "DataVolume", name+"-root", map[string]any{"spec": map[string]any{
			"source":  map[string]any{"blank": map[string]any{}},
			"storage": map[string]any{"resources": map[string]any{"requests": map[string]any{"storage": "50Gi"}}},
		}}),
		vm: object("kubevirt.io/v1", "VirtualMachine", name, map[string]any{"spec": map[string]any{
			"runStrategy": "Always",
			"template": map[string]any{
				"metadata": map[string]any{"labels": labels, "creationTimestamp": nil},
				"spec": map[string]any{
					"domain": map[string]any{
						"cpu":    map[string]any{"cores": int64(1), "sockets": int64(2)},
						"memory": map[string]any{"guest": gibibyte},
						"devices": map[string]any{
							"disks":      []any{diskItem("root"), diskItem("cloudinit")},
							"interfaces": []any{map[string]any{"name": "default", "masquerade": map[string]any{}}},
						},
					},
					"networks": []any{map[string]any{"name": "default", "pod": map[string]any{}}},
					"volumes": []any{
						map[string]any{"name": "root", "dataVolume": map[string]any{"name": name + "-root"}},
						map[string]any{"name": "cloudinit", "cloudInitNoCloud": map[string]any{"secretRef": map[string]any{"name": name + "-cloudinit"}}},
					},
				},
			},
		}}),
	}
}

func diskItem(name string) map[string]any {
	return map[string]any{"name": name, "disk": map[string]any{"bus": "virtio"}}
}

// hotplug is what virtctl addvolume does to a VM.
func hotplug(name string) func(map[string]any) {
	return func(vm map[string]any) {
		add(vm, diskItem(name), devicesPath("disks")...)
		add(vm, map[string]any{"name": name, "dataVolume": map[string]any{"name": name, "hotpluggable": true}}, volumesPath...)
	}
}

var volumesPath = []string{"spec", "template", "spec", "volumes"}

func devicesPath(list string) []string {
	return []string{"spec", "template", "spec", "domain", "devices", list}
}

func add(object map[string]any, item any, path ...string) {
	items, _, _ := unstructured.NestedSlice(object, path...)
	_ = unstructured.SetNestedSlice(object, append(items, item), path...)
}

func set(object map[string]any, value any, path ...string) {
	if err := unstructured.SetNestedField(object, value, path...); err != nil {
		panic(err)
	}
}

func (m machine) copy() machine {
	return machine{m.secret.DeepCopy(), m.disk.DeepCopy(), m.vm.DeepCopy()}
}

// manifests are in an order that is not that of applying.
func (m machine) manifests() []Manifest {
	var ms []Manifest
	for _, u := range []*unstructured.Unstructured{m.vm, m.secret, m.disk} {
		ms = append(ms, manifest(u))
	}
	return ms
}

func manifest(u *unstructured.Unstructured) Manifest {
	text, err := json.Marshal(u.Object)
	if err != nil {
		panic(err)
	}
	return Manifest{u.GetAPIVersion(), u.GetKind(), u.GetNamespace(), u.GetName(), text}
}

// target is a MODIFY of the machine; callers add what else they know.
func (m machine) target() Target { return Target{Identity: m.vm.GetLabels()} }

func (m machine) creating() Target {
	t := m.target()
	t.Creating = true
	return t
}

// apply applies and expects success.
func (b bench) apply(t Target, m machine) ChangeSet {
	b.t.Helper()
	set, err := b.Apply(b.t.Context(), t, m.manifests())
	if err != nil {
		b.t.Fatalf("apply: %v (%v)", err, errors.Unwrap(err))
	}
	return set
}

// created applies a machine for the first time and returns a Target that knows it.
func (b bench) created(name string) (machine, Target) {
	b.t.Helper()
	m := b.machine(name)
	set := b.apply(m.creating(), m)
	vm, ok := set.VM()
	if !ok || vm.Action != Created {
		b.t.Fatalf("created %v", set)
	}
	target := m.target()
	target.UID = vm.UID
	target.Previous = m.copy().manifests()
	return m, target
}

// refusedAs checks an error's code, class and words.
func refusedAs(t testing.TB, err error, code domain.Code, class Class, texts ...string) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("error %v, want an Error with %s", err, code)
	}
	if e.Problem.Code != code || e.Class != class {
		t.Errorf("%s (%s), want %s (%s): %v", e.Problem.Code, e.Class, code, class, e)
	}
	for _, text := range texts {
		if !strings.Contains(e.Error(), text) {
			t.Errorf("%q is not in: %v", text, e)
		}
	}
	return e
}

func actions(set ChangeSet) string {
	var all []string
	for _, c := range set {
		all = append(all, fmt.Sprintf("%s %s", c.Kind, c.Action))
	}
	return strings.Join(all, ", ")
}

func notes(set ChangeSet) string {
	var all []string
	for _, c := range set {
		all = append(all, c.Notes...)
	}
	return strings.Join(all, "\n")
}

func namespaceObject(name string) *corev1.Namespace {
	return &corev1.Namespace{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: name},
	}
}

// release takes the finalizers off an object, so that its deletion ends.
func (b bench) release(like client.Object) {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(like.GetObjectKind().GroupVersionKind())
	u.SetName(like.GetName())
	u.SetNamespace(like.GetNamespace())
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
	if err := client.IgnoreNotFound(b.admin.Patch(context.WithoutCancel(b.t.Context()), u, patch)); err != nil {
		b.t.Error(err)
	}
}

func quantity(text string) resource.Quantity { return resource.MustParse(text) }

// eventually repeats what waits for one of the API server's caches.
func eventually(t testing.TB, try func() error) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// discard deletes an object that would be in the way of other tests.
func (b bench) discard(o client.Object) {
	if err := client.IgnoreNotFound(b.admin.Delete(context.WithoutCancel(b.t.Context()), o)); err != nil {
		b.t.Error(err)
	}
}

// grant allows a user something: in a namespace or, without one, everywhere.
func (b bench) grant(user, namespace string, rules ...rbacv1.PolicyRule) {
	b.t.Helper()
	meta := metav1.ObjectMeta{GenerateName: "provider-", Namespace: namespace}
	subjects := []rbacv1.Subject{{Kind: "User", Name: user, APIGroup: rbacv1.GroupName}}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole"}
	if namespace != "" {
		role := &rbacv1.Role{ObjectMeta: meta, Rules: rules}
		b.create(role)
		ref.Kind, ref.Name = "Role", role.Name
		b.create(&rbacv1.RoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: ref})
		return
	}
	role := &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}
	b.create(role)
	ref.Name = role.Name
	binding := &rbacv1.ClusterRoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: ref}
	b.create(binding)
	b.t.Cleanup(func() { b.discard(binding); b.discard(role) })
}

// cause is what lies under an Error: it is not for people, and says what a test has to know.
func cause(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return nil
	}
	return e.Unwrap()
}
