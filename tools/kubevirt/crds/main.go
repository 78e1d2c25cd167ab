// Command crds writes the custom resource definitions of KubeVirt and of its Containerized Data
// Importer that Shepherd meets, as the operators of the two would install them: names, columns and
// the whole validation, without the descriptions, which make up most of their size.
//
//	crds -out DIR
//
// The definitions come out of the Go code of the operators at the versions in go.mod; the file
// VERSION in DIR says which these are.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	extv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	cdi "kubevirt.io/containerized-data-importer/pkg/operator/resources"
	"kubevirt.io/kubevirt/pkg/virt-operator/resource/generate/components"
	"sigs.k8s.io/yaml"
)

// modules are those whose versions identify the definitions.
var modules = []string{"kubevirt.io/kubevirt", "kubevirt.io/containerized-data-importer"}

// definition returns a definition that is to be written.
type definition func() (*extv1.CustomResourceDefinition, error)

var definitions = []definition{
	components.NewVirtualMachineCrd,
	components.NewVirtualMachineInstanceCrd,
	components.NewVirtualMachineInstancetypeCrd,
	components.NewVirtualMachineClusterInstancetypeCrd,
	components.NewVirtualMachinePreferenceCrd,
	components.NewVirtualMachineClusterPreferenceCrd,
	importer("datavolume"),
	importer("datasource"),
}

func main() {
	out := flag.String("out", "", "directory to write to")
	flag.Parse()
	if err := run(*out); err != nil {
		fmt.Fprintln(os.Stderr, "crds:", err)
		os.Exit(1)
	}
}

func run(out string) error {
	if out == "" {
		return errors.New("-out is missing")
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	for _, def := range definitions {
		crd, err := def()
		if err != nil {
			return err
		}
		if err := write(out, crd); err != nil {
			return fmt.Errorf("write %s: %w", crd.Name, err)
		}
	}
	return writeVersions(out)
}

// importer returns the definition of a kind of the Containerized Data Importer.
func importer(kind string) definition {
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

func write(out string, crd *extv1.CustomResourceDefinition) error {
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
	text, err := marshal(crd)
	if err != nil {
		return err
	}
	name := strings.ToLower(crd.Spec.Names.Kind) + ".yaml"
	return os.WriteFile(filepath.Join(out, name), text, 0o644)
}

// marshal leaves out the status and the creation time: both are the server's to write, but the Go
// types always print them.
func marshal(crd *extv1.CustomResourceDefinition) ([]byte, error) {
	text, err := yaml.Marshal(crd)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := yaml.Unmarshal(text, &fields); err != nil {
		return nil, err
	}
	delete(fields, "status")
	if meta, ok := fields["metadata"].(map[string]any); ok {
		delete(meta, "creationTimestamp")
	}
	return yaml.Marshal(fields)
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

// writeVersions notes the versions of the modules that the definitions come from.
func writeVersions(out string) error {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return errors.New("the program does not know its modules")
	}
	var text bytes.Buffer
	for _, path := range modules {
		for _, m := range info.Deps {
			if m.Path == path {
				fmt.Fprintf(&text, "%s %s\n", m.Path, m.Version)
			}
		}
	}
	return os.WriteFile(filepath.Join(out, "VERSION"), text.Bytes(), 0o644)
}
