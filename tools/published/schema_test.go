package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTranslate(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ in, want string }{
		"prose goes":             {`{"type":"string","description":"a","example":"b","pattern":"^x"}`, `{"type":"string","pattern":"^x"}`},
		"a property's name":      {`{"properties":{"description":{"type":"string","title":"t"}}}`, `{"properties":{"description":{"type":"string"}}}`},
		"nullable":               {`{"type":"string","nullable":true,"format":"uri"}`, `{"type":["string","null"],"format":"uri"}`},
		"nullable enum":          {`{"type":"string","nullable":true,"enum":["a"]}`, `{"type":["string","null"],"enum":["a",null]}`},
		"nullable enum of null":  {`{"type":"string","nullable":true,"enum":["a",null]}`, `{"type":["string","null"],"enum":["a",null]}`},
		"nullable choice":        {`{"nullable":true,"oneOf":[{"type":"string"}]}`, `{"anyOf":[{"oneOf":[{"type":"string"}]},{"type":"null"}]}`},
		"reference":              {`{"items":{"$ref":"#/components/schemas/name"}}`, `{"items":{"$ref":"#/schemas/name"}}`},
		"closed":                 {`{"additionalProperties":false,"minLength":1}`, `{"additionalProperties":false,"minLength":1}`},
		"values":                 {`{"additionalProperties":{"nullable":true,"type":"integer"}}`, `{"additionalProperties":{"type":["integer","null"]}}`},
		"empty address":          {`{"type":"string","format":"uri","default":""}`, `{"type":"string"}`},
		"schema of older drafts": {`{"$ref":"#/definitions/name"}`, `{"$ref":"#/schemas/name"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTranslator(&document{Components: map[string]map[string]any{"schemas": {"name": object{"type": "string"}}}})
			got, err := tr.schema(parse(t, tc.in))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(parse(t, tc.want), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if strings.Contains(tc.in, "$ref") != (tr.schemas["name"] != nil) {
				t.Errorf("the schemas that are needed are %v", tr.schemas)
			}
		})
	}
}

func parse(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestTranslateRefuses(t *testing.T) {
	t.Parallel()
	for name, in := range map[string]object{
		"a keyword that may constrain": {"properties": object{"a": object{"dependentRequired": object{}}}},
		"a schema that is not there":   {"$ref": "#/components/schemas/name"},
		"another kind of reference":    {"$ref": "#/components/responses/name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, err := newTranslator(&document{}).schema(in); err == nil {
				t.Errorf("translated to %v", got)
			}
		})
	}
}

// Schemas that contain themselves end somewhere.
func TestTranslateRecursive(t *testing.T) {
	t.Parallel()
	tree := object{"properties": object{"child": object{"$ref": "#/components/schemas/tree"}}}
	tr := newTranslator(&document{Components: map[string]map[string]any{"schemas": {"tree": tree}}})
	if _, err := tr.schema(object{"$ref": "#/components/schemas/tree"}); err != nil {
		t.Fatal(err)
	}
	want := object{"tree": object{"properties": object{"child": object{"$ref": "#/schemas/tree"}}}}
	if diff := cmp.Diff(want, tr.schemas); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "package.tgz")
	if err := os.WriteFile(path, []byte("not what was published"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := restSource.verify(path); err == nil || !strings.Contains(err.Error(), "has the hash") {
		t.Errorf("verified with %v", err)
	}
}
