package judge

import (
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/render"
)

// deleteVM plans the end of a VM: what goes, and what the accepted spec keeps.
func (j *judging) deleteVM(c *change) {
	c.Claims = nameKeys(c.Ref)
	old, m, _, ok := j.existing(c)
	if !ok {
		return
	}
	policy := old.EffectiveDeletionPolicy()
	plan := Plan{
		Choice: Choice{Cluster: m.Cluster, StorageClass: m.Plan.StorageClass}, Template: m.Plan.Template, TemplateVersion: m.Plan.TemplateVersion,
		Size: m.Plan.Size, Disk: m.Plan.Disk, KubernetesNamespace: m.KubernetesNamespace, DeletionPolicy: policy,
		Objects: farewells(m.Plan.Manifests, policy),
	}
	c.close(plan, map[string]any{
		"operation": c.Operation, "vm": c.Subject, "cluster": m.Cluster, "kubernetesNamespace": m.KubernetesNamespace, "deletionPolicy": policy,
	})
}

// farewells says of each object of a VM, the VM first, what becomes of it.
func farewells(manifests []render.Manifest, policy spec.DeletionPolicy) (out []string) {
	for i := len(manifests) - 1; i >= 0; i-- {
		m := manifests[i]
		words := []string{m.Kind, m.Name}
		if size := diskSize(m); size != "" {
			words = append(words, size)
		}
		if m.Kind == render.KindDataVolume && policy == spec.RetainDisks {
			words = append(words, "is kept")
		} else {
			words = append(words, "is deleted")
		}
		out = append(out, strings.Join(words, " "))
	}
	return out
}
