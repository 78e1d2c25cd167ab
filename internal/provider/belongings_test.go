package provider

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kv-shepherd.io/shepherd/internal/domain"
)

func TestDeleteThatRetainsDisks(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	claim := b.claimOf(m.disk)
	b.create(claim)
	owner := []metav1.OwnerReference{ownerOf(b.read(m.vm))}
	live := b.read(m.disk)
	live.SetOwnerReferences(owner)
	if err := b.admin.Update(t.Context(), live); err != nil {
		t.Fatal(err)
	}
	got := b.delete(target, b.doomed("vm", true))
	if actions(got) != "DataVolume configured, PersistentVolumeClaim unchanged, VirtualMachine deleted, Secret deleted" ||
		!strings.Contains(notes(got), "kept: it is retained; it no longer ends with the VM") {
		t.Errorf("%s\n%s", actions(got), notes(got))
	}
	b.ended(m.vm)
	b.ended(m.secret)
	b.stays(m.disk, target.UID)
	b.stays(claim, target.UID)
}

// TestDisksAreFreedBeforeTheVMGoes has the deletion of the VM fail: what was freed by then was freed
// before it.
func TestDisksAreFreedBeforeTheVMGoes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	b.own(m.vm, m.disk)
	plugged := b.stranger("plugged", nil)
	b.create(plugged)
	b.own(m.vm, plugged)
	b.edit("virt-api", m.vm, hotplug("plugged"))
	broken := b.answeringTo(func(r *http.Request) bool {
		return r.Method == http.MethodDelete
	}, 500, status(500, "InternalError", "etcdserver: leader changed"))
	done, err := broken.Delete(t.Context(), target, b.doomed("vm", true))
	refusedAs(t, err, domain.ClusterUnreachable, Retry, "leader changed")
	if actions(done) != "DataVolume configured, DataVolume configured" {
		t.Error(actions(done))
	}
	b.stays(m.disk, target.UID)
	b.stays(plugged, target.UID)
	b.stays(m.vm, "")
	got := b.delete(target, b.doomed("vm", true))
	if actions(got) != "DataVolume unchanged, VirtualMachine deleted, Secret deleted" {
		t.Error(actions(got))
	}
}

func (b bench) own(owner, owned *unstructured.Unstructured) {
	b.t.Helper()
	live := b.read(owned)
	live.SetOwnerReferences(append(live.GetOwnerReferences(), ownerOf(b.read(owner))))
	if err := b.admin.Update(b.t.Context(), live, client.FieldOwner("somebody")); err != nil {
		b.t.Fatal(err)
	}
}

// stranger is a disk that Shepherd did not make.
func (b bench) stranger(name string, labels map[string]string) *unstructured.Unstructured {
	u := b.machine(name).disk
	u.SetName(name)
	u.SetLabels(labels)
	return u
}

func TestDisksOfOthersAreNeverDeleted(t *testing.T) {
	t.Parallel()
	b := setup(t)
	m, target := b.created("vm")
	labelled := func(change map[string]string) map[string]string {
		all := m.vm.GetLabels()
		for key, value := range change {
			if all[key] = value; value == "" {
				delete(all, key)
			}
		}
		return all
	}
	var spared []*unstructured.Unstructured
	for i, label := range identityLabels {
		spared = append(spared,
			b.stranger(fmt.Sprintf("other-%d", i), labelled(map[string]string{label: "another"})),
			b.stranger(fmt.Sprintf("part-%d", i), labelled(map[string]string{label: ""})))
	}
	hotPlugged, copied := b.stranger("hot-plugged", nil), b.stranger("copied", labelled(nil))
	spared = append(spared, hotPlugged, copied)
	for _, u := range spared {
		b.create(u)
	}
	b.edit("virt-api", m.vm, hotplug("hot-plugged"))
	b.own(m.vm, hotPlugged)
	claim := b.claimOf(hotPlugged)
	claim.SetLabels(m.vm.GetLabels())
	b.create(claim)
	spared = append(spared, claim)

	got := b.delete(target, b.doomed("vm", false))
	for _, u := range spared {
		b.stays(u, target.UID)
	}
	b.ended(m.disk)
	if !strings.Contains(notes(got), "Shepherd did not make it") || !strings.Contains(notes(got), "is not this VM's") {
		t.Error(notes(got))
	}
	for _, c := range got {
		if c.Action == Deleted && !slices.Contains([]string{"vm", "vm-root", "vm-cloudinit"}, c.Name) {
			t.Errorf("deleted %s %s", c.Kind, c.Name)
		}
	}
}
