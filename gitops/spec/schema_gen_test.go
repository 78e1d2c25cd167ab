package spec

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
)

const schemaFolder = "../../docs/schema"

// TestSchemasAreCurrent generates the schemas from the types and compares them with the committed
// ones; with -update it writes them.
func TestSchemasAreCurrent(t *testing.T) {
	t.Parallel()
	for _, kind := range Kinds() {
		want := generateSchema(t, kind)
		if *update {
			if err := os.WriteFile(filepath.Join(schemaFolder, string(kind)+".json"), want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if diff := cmp.Diff(string(want), string(Schema(kind))); diff != "" {
			t.Errorf("%s is not current, run go generate ./gitops/spec (-generated +committed):\n%s", kind, diff)
		}
	}
}

func generateSchema(t *testing.T, kind Kind) []byte {
	t.Helper()
	reflector := &jsonschema.Reflector{Anonymous: true, DoNotReference: true, ExpandedStruct: true, Mapper: enumSchema}
	if err := reflector.AddGoComments("kv-shepherd.io/shepherd/gitops/spec", "./", jsonschema.WithFullComment()); err != nil {
		t.Fatal(err)
	}
	body := reflector.Reflect(newSpec(kind))
	body.Version = ""
	refine(body)
	tie(kind, body)

	envelope := &jsonschema.Schema{
		Version: jsonschema.Version, Title: string(kind), Description: body.Description, Type: "object",
		Required: []string{"apiVersion", "kind", "spec"}, AdditionalProperties: jsonschema.FalseSchema,
		Properties: jsonschema.NewProperties(),
	}
	body.Description = ""
	envelope.Properties.Set("apiVersion", &jsonschema.Schema{Const: APIVersion})
	envelope.Properties.Set("kind", &jsonschema.Schema{Const: string(kind)})
	envelope.Properties.Set("spec", body)

	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(envelope); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func enumSchema(t reflect.Type) *jsonschema.Schema {
	values, ok := enums[t]
	if !ok {
		return nil
	}
	s := &jsonschema.Schema{Type: "string"}
	for _, v := range values {
		s.Enum = append(s.Enum, v)
	}
	return s
}

// refine turns our formats into patterns and asks every text to have a character.
func refine(s *jsonschema.Schema) {
	if s == nil {
		return
	}
	if f, ok := formats[s.Format]; ok {
		s.Format, s.Pattern = "", f.pattern
	}
	if s.Type == "string" && s.Pattern == "" && s.Enum == nil {
		s.Pattern = `\S`
	}
	refine(s.Items)
	if s.AdditionalProperties != jsonschema.FalseSchema && s.AdditionalProperties != jsonschema.TrueSchema {
		refine(s.AdditionalProperties)
	}
	for p := s.Properties.Oldest(); s.Properties != nil && p != nil; p = p.Next() {
		refine(p.Value)
	}
}

// tie adds the rules that tie fields together, where a schema can say them.
func tie(kind Kind, s *jsonschema.Schema) {
	one := uint64(1)
	switch kind {
	case KindTemplate:
		image, _ := s.Properties.Get("image")
		image.MinProperties, image.MaxProperties = &one, &one
		cloudInit, _ := s.Properties.Get("cloudInit")
		cloudInit.Pattern = `^#cloud-config[ \r]*(\n|$)`
		for _, name := range []string{"quickFields", "advancedFields"} {
			masks, _ := s.Properties.Get(name)
			masks.PropertyNames = &jsonschema.Schema{}
			for _, field := range MaskFields() {
				masks.PropertyNames.Enum = append(masks.PropertyNames.Enum, field)
			}
		}
	case KindNetwork:
		s.OneOf = []*jsonschema.Schema{podOnly(), {Required: []string{"attachment"}}}
	case KindRoleBinding:
		s.AnyOf = []*jsonschema.Schema{{Required: []string{"people"}}, {Required: []string{"teams"}}}
	}
}

func podOnly() *jsonschema.Schema {
	s := &jsonschema.Schema{Required: []string{"pod"}, Properties: jsonschema.NewProperties()}
	s.Properties.Set("pod", &jsonschema.Schema{Const: true})
	return s
}
