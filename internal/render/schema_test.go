package render

import (
	"encoding/json"
	"os"
	"testing"

	openapi "k8s.io/kube-openapi/pkg/validation/spec"
	"k8s.io/kube-openapi/pkg/validation/strfmt"
	"k8s.io/kube-openapi/pkg/validation/validate"
	"sigs.k8s.io/yaml"
)

// readSchema is the schema of one version of a CustomResourceDefinition, closed: a member that it
// does not name is an error, as it is for server-side apply.
func readSchema(t *testing.T, file, version string) *validate.SchemaValidator {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var definition struct {
		Spec struct {
			Versions []struct {
				Name   string
				Schema struct{ OpenAPIV3Schema map[string]any }
			}
		}
	}
	if err := yaml.Unmarshal(text, &definition); err != nil {
		t.Fatal(err)
	}
	for _, v := range definition.Spec.Versions {
		if v.Name != version {
			continue
		}
		closeObjects(v.Schema.OpenAPIV3Schema)
		data, err := json.Marshal(v.Schema.OpenAPIV3Schema)
		if err != nil {
			t.Fatal(err)
		}
		schema := new(openapi.Schema)
		if err := json.Unmarshal(data, schema); err != nil {
			t.Fatal(err)
		}
		return validate.NewSchemaValidator(schema, nil, "", strfmt.Default)
	}
	t.Fatalf("%s has no version %s", file, version)
	return nil
}

func closeObjects(schema map[string]any) {
	_, named := schema["properties"]
	_, open := schema["x-kubernetes-preserve-unknown-fields"]
	if _, more := schema["additionalProperties"]; named && !more && !open {
		schema["additionalProperties"] = false
	}
	for _, child := range schema {
		switch child := child.(type) {
		case map[string]any:
			closeObjects(child)
		case []any:
			for _, element := range child {
				if object, ok := element.(map[string]any); ok {
					closeObjects(object)
				}
			}
		}
	}
}

// TestSchemas holds every rendered object to the schema of its CustomResourceDefinition: no field
// that the API server does not know, no value that it would refuse.
func TestSchemas(t *testing.T) {
	t.Parallel()
	schemas := map[string]*validate.SchemaValidator{
		KindVirtualMachine: readSchema(t, "../kubetest/crds/virtualmachine.yaml", "v1"),
		KindDataVolume:     readSchema(t, "../kubetest/crds/datavolume.yaml", "v1beta1"),
	}
	checked := 0
	eachVariant(func(name string, in Input) {
		ms, _ := Render(in)
		for _, m := range ms {
			schema, found := schemas[m.Kind]
			if !found {
				continue
			}
			checked++
			var object any
			if err := json.Unmarshal(m.JSON, &object); err != nil {
				t.Fatal(err)
			}
			for _, err := range schema.Validate(object).Errors {
				t.Errorf("%s: %s %s: %v", name, m.Kind, m.Name, err)
			}
		}
	})
	if checked < 500 {
		t.Errorf("only %d objects were checked", checked)
	}
}

// TestSchemaIsClosed: the schemas above do find what they are asked for.
func TestSchemaIsClosed(t *testing.T) {
	t.Parallel()
	schema := readSchema(t, "../kubetest/crds/virtualmachine.yaml", "v1")
	for _, text := range []string{
		`{"spec":{"template":{"spec":{"domain":{"devices":{},"cpux":{}}}}}}`,
		`{"spec":{"template":{"spec":{"domain":{"devices":{},"cpu":{"cores":"four"}}}}}}`,
		`{"spec":{}}`,
	} {
		var object any
		if err := json.Unmarshal([]byte(text), &object); err != nil {
			t.Fatal(err)
		}
		if result := schema.Validate(object); result.IsValid() {
			t.Errorf("the schema accepts %s", text)
		}
	}
}
