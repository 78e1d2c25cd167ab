package provider

import (
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/internal/domain"
)

func TestPreviewOfADeletion(t *testing.T) {
	t.Parallel()
	for _, retain := range []bool{true, false} {
		t.Run(map[bool]string{true: "retain", false: "all"}[retain], func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			m, target := b.created("vm")
			b.create(b.claimOf(m.disk))
			b.edit("cdi", m.disk, func(disk map[string]any) {
				set(disk, []any{map[string]any{"apiVersion": "kubevirt.io/v1", "kind": "VirtualMachine", "name": "vm", "uid": target.UID}}, "metadata", "ownerReferences")
			})
			check := b.unwritten(b.ns)
			got, err := b.PreviewDelete(t.Context(), target, b.doomed("vm", retain))
			if err != nil {
				t.Fatal(err, cause(err))
			}
			check()
			want := "VirtualMachine deleted, DataVolume deleted, PersistentVolumeClaim deleted, Secret deleted"
			if retain {
				want = "DataVolume configured, PersistentVolumeClaim unchanged, VirtualMachine deleted, Secret deleted"
			}
			if actions(got) != want {
				t.Errorf("%s\n%s", actions(got), notes(got))
			}
			if done := b.delete(target, b.doomed("vm", retain)); strings.ReplaceAll(actions(done), "Claim unchanged", "Claim deleted") !=
				strings.ReplaceAll(want, "Claim unchanged", "Claim deleted") {
				t.Errorf("then it was: %s", actions(done))
			}
		})
	}
}

func TestPreviewOfADeletionIsRefused(t *testing.T) {
	t.Parallel()
	b := setup(t)
	_, target := b.created("vm")
	check := b.unwritten(b.ns)
	limited := b.as(may("kubevirt.io", "virtualmachines", "get"), may("cdi.kubevirt.io", "datavolumes", "list"),
		may("", "persistentvolumeclaims", "list"), may("", "secrets", "list"))
	_, err := limited.PreviewDelete(t.Context(), target, b.doomed("vm", false))
	refusedAs(t, err, domain.NamespacePermissionDenied, Never, "may not delete VirtualMachine")
	target.UID = "11111111-2222-3333-4444-555555555555"
	_, err = b.PreviewDelete(t.Context(), target, b.doomed("vm", false))
	refusedAs(t, err, domain.ForeignVM, Never, "was replaced")
	check()
}

func TestPreviewOfARestart(t *testing.T) {
	t.Parallel()
	b, virt := setup(t).withVirtAPI()
	_, target := b.created("vm")
	got, err := b.PreviewRestart(t.Context(), target, b.ns, "vm")
	if err != nil || got.Action != Unchanged || !strings.Contains(got.Note, "does not run") {
		t.Errorf("%+v, %v", got, err)
	}
	b.runs("vm")
	got, err = b.PreviewRestart(t.Context(), target, b.ns, "vm")
	if err != nil || got != (RestartResult{Action: Restarted}) {
		t.Errorf("%+v, %v", got, err)
	}
	if virt.calls.Load() != 0 {
		t.Error("KubeVirt was asked to restart")
	}
	target.UID = "11111111-2222-3333-4444-555555555555"
	_, err = b.PreviewRestart(t.Context(), target, b.ns, "vm")
	refusedAs(t, err, domain.ForeignVM, Never)
}
