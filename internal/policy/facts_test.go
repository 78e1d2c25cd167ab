package policy

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

func TestFactsOfSpecs(t *testing.T) {
	t.Parallel()
	object := &spec.ObjectRef{Namespace: "images", Name: "ubuntu"}
	for _, tt := range []struct {
		name      string
		got, want any
	}{
		{"size", SizeFacts("gpu", &spec.InstanceSize{Cores: 8, Memory: "16Gi", GPUs: []spec.GPU{{Name: "a"}, {Name: "b"}},
			Hugepages: "1Gi", SRIOV: true, DedicatedCPU: true, Overcommit: &spec.Overcommit{}}),
			&Size{"gpu", 8, 16 << 30, 2, "1Gi", true, true, true}},
		{"plain size", SizeFacts("small", &spec.InstanceSize{Cores: 1, Memory: "512Mi"}), &Size{Name: "small", Cores: 1, Memory: 512 << 20}},
		{"size without a unit", SizeFacts("small", &spec.InstanceSize{Cores: 1, Memory: "lots"}), (*Size)(nil)},
		{"container disk", TemplateFacts("u", 3, &spec.Template{Status: spec.TemplateActive,
			Image: spec.Image{ContainerDisk: &spec.ContainerDisk{Image: "registry.example/u"}}}),
			&Template{"u", 3, spec.TemplateActive, "containerDisk", "registry.example/u"}},
		{"data volume", TemplateFacts("u", 1, &spec.Template{Image: spec.Image{DataVolume: object}}), &Template{Name: "u", Version: 1, Source: "dataVolume"}},
		{"claim", TemplateFacts("u", 1, &spec.Template{Image: spec.Image{PVC: object}}), &Template{Name: "u", Version: 1, Source: "pvc"}},
		{"data source", TemplateFacts("u", 1, &spec.Template{Image: spec.Image{DataSource: object}}), &Template{Name: "u", Version: 1, Source: "dataSource"}},
		{"namespace", NamespaceFacts("shop", &spec.Namespace{Environment: domain.Prod, KubernetesName: "shop-prod", Network: "lan"}),
			&Namespace{"shop", domain.Prod, "shop-prod", "lan"}},
		{"namespace under its own name", NamespaceFacts("shop", &spec.Namespace{Environment: domain.Test}),
			&Namespace{Name: "shop", Environment: domain.Test, KubernetesName: "shop"}},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}
