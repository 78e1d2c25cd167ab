// Package definitions returns the custom resource definitions of KubeVirt and of its Containerized
// Data Importer as the operators of the two would install them: names, columns and the whole
// validation, without the descriptions, which make up most of their size. They come out of the Go
// code of the operators at the versions in go.mod.
package definitions

import (
	"fmt"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	cdi "kubevirt.io/containerized-data-importer/pkg/operator/resources"
	"kubevirt.io/kubevirt/pkg/virt-operator/resource/generate/components"
	"sigs.k8s.io/yaml"
)

type source func() (*extv1.CustomResourceDefinition, error)

// met are the kinds that Shepherd meets.
var met = []source{
	components.NewVirtualMachineCrd,
	components.NewVirtualMachineInstanceCrd,
	components.NewVirtualMachineInstancetypeCrd,
	components.NewVirtualMachineClusterInstancetypeCrd,
	components.NewVirtualMachinePreferenceCrd,
	components.NewVirtualMachineClusterPreferenceCrd,
	importer("datavolume"),
	importer("datasource"),
}

// watched are the further kinds without which virt-api and virt-controller do not start.
var watched = []source{
	components.NewKubeVirtCrd,
	components.NewPresetCrd,
	components.NewReplicaSetCrd,
	components.NewVirtualMachinePoolCrd,
	components.NewVirtualMachineInstanceMigrationCrd,
	components.NewMigrationPolicyCrd,
	components.NewVirtualMachineSnapshotCrd,
	components.NewVirtualMachineSnapshotContentCrd,
	components.NewVirtualMachineRestoreCrd,
	components.NewVirtualMachineExportCrd,
	components.NewVirtualMachineBackupCrd,
	components.NewVirtualMachineBackupTrackerCrd,
	components.NewVirtualMachineCloneCrd,
	importer("cdi"),
	importer("cdiconfig"),
	importer("storageprofile"),
}

// Met returns the definitions of the kinds that Shepherd meets.
func Met() ([]*extv1.CustomResourceDefinition, error) { return load(met) }

// All returns the definitions that virt-api and virt-controller need, those of Met among them.
func All() ([]*extv1.CustomResourceDefinition, error) {
	return load(append(met[:len(met):len(met)], watched...))
}

func load(sources []source) ([]*extv1.CustomResourceDefinition, error) {
	crds := make([]*extv1.CustomResourceDefinition, len(sources))
	for i, from := range sources {
		crd, err := from()
		if err != nil {
			return nil, err
		}
		if err := strip(crd); err != nil {
			return nil, fmt.Errorf("strip %s: %w", crd.Name, err)
		}
		crds[i] = crd
	}
	return crds, nil
}

// importer is a kind of the Containerized Data Importer.
func importer(kind string) source {
	return func() (*extv1.CustomResourceDefinition, error) {
		text, ok := cdi.CDICRDs[kind]
		if !ok {
			return nil, fmt.Errorf("the Containerized Data Importer has no %s", kind)
		}
		var crd extv1.CustomResourceDefinition
		err := yaml.UnmarshalStrict([]byte(text), &crd)
		return &crd, err
	}
}

func strip(crd *extv1.CustomResourceDefinition) error {
	for i := range crd.Spec.Versions {
		v := &crd.Spec.Versions[i]
		if v.Schema == nil || v.Schema.OpenAPIV3Schema == nil {
			return fmt.Errorf("version %s has no schema", v.Name)
		}
		stripDescriptions(v.Schema.OpenAPIV3Schema)
		for j := range v.AdditionalPrinterColumns {
			v.AdditionalPrinterColumns[j].Description = ""
		}
	}
	crd.Status = extv1.CustomResourceDefinitionStatus{}
	return nil
}

// stripDescriptions clears the description of a schema and of all that it holds.
func stripDescriptions(s *extv1.JSONSchemaProps) {
	s.Description = ""
	for _, props := range []map[string]extv1.JSONSchemaProps{s.Properties, s.PatternProperties} {
		for name, sub := range props {
			stripDescriptions(&sub)
			props[name] = sub
		}
	}
	for _, list := range [][]extv1.JSONSchemaProps{s.AllOf, s.AnyOf, s.OneOf} {
		for i := range list {
			stripDescriptions(&list[i])
		}
	}
	if s.Not != nil {
		stripDescriptions(s.Not)
	}
	if s.Items != nil && s.Items.Schema != nil {
		stripDescriptions(s.Items.Schema)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Schema != nil {
		stripDescriptions(s.AdditionalProperties.Schema)
	}
}
