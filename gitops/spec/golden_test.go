package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"

	"kv-shepherd.io/shepherd/internal/domain"
)

// The golden cases are txtar archives under testdata. What goes in are files of a spec repository;
// what comes out are the sections "problems" and "canonical" (or "identities"), which
// go test ./gitops/spec -update writes.

// TestDocuments parses every file of an archive by itself. The JSON Schemas have to agree: accept the
// good files and refuse the bad ones. An archive whose first text says "schemas cannot know" holds
// the bad files that a schema has to accept.
func TestDocuments(t *testing.T) {
	t.Parallel()
	schemas := compileSchemas(t)
	golden(t, "documents", func(t *testing.T, in *txtar.Archive) []txtar.File {
		var problems, canonical strings.Builder
		beyond := strings.Contains(string(in.Comment), "schemas cannot know")
		for _, f := range inputs(in) {
			ref, governed, found := ParsePath(f.Name)
			if !governed || found.Blocking() {
				t.Fatalf("%s is no governed path: %v", f.Name, found)
			}
			doc, found := Parse(ref, f.Data)
			write(&problems, found)
			if doc != nil {
				fmt.Fprintf(&canonical, "%s %s\n", f.Name, Canonical(doc))
			}
			err := schemaVerdict(schemas[ref.Kind], f.Data)
			if accepted := err == nil; accepted != (doc != nil || beyond) {
				t.Errorf("%s: the schema's verdict is %v, the parser's %v", f.Name, err, found)
			}
		}
		return []txtar.File{section("problems", &problems), section("canonical", &canonical)}
	})
}

// TestPlatforms loads an archive as a whole platform/ folder.
func TestPlatforms(t *testing.T) {
	t.Parallel()
	golden(t, "platforms", func(_ *testing.T, in *txtar.Archive) []txtar.File {
		files := map[string][]byte{}
		for _, f := range inputs(in) {
			files[f.Name] = f.Data
		}
		var problems strings.Builder
		_, found := LoadPlatform(files)
		write(&problems, found)
		return []txtar.File{section("problems", &problems)}
	})
}

// TestPaths reads the lines of the section "paths".
func TestPaths(t *testing.T) {
	t.Parallel()
	golden(t, "paths", func(t *testing.T, in *txtar.Archive) []txtar.File {
		var problems, identities strings.Builder
		for _, f := range inputs(in) {
			for _, path := range strings.Fields(string(f.Data)) {
				ref, governed, found := ParsePath(path)
				write(&problems, found)
				switch {
				case !governed:
					fmt.Fprintf(&identities, "%s is not governed\n", path)
				case !found.Blocking():
					fmt.Fprintf(&identities, "%s is %s %s\n", path, ref.Kind, ref)
					if ref.Path() != path {
						t.Errorf("the path of %+v is %s, want %s", ref, ref.Path(), path)
					}
				}
			}
		}
		return []txtar.File{section("problems", &problems), section("identities", &identities)}
	})
}

var outputs = map[string]bool{"problems": true, "canonical": true, "identities": true}

func inputs(in *txtar.Archive) (files []txtar.File) {
	for _, f := range in.Files {
		if !outputs[f.Name] {
			files = append(files, f)
		}
	}
	return files
}

func golden(t *testing.T, folder string, run func(*testing.T, *txtar.Archive) []txtar.File) {
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.txtar"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden cases in testdata/%s: %v", folder, err)
	}
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			in := txtar.Parse(data)
			got := txtar.Format(&txtar.Archive{Comment: in.Comment, Files: append(inputs(in), run(t, in)...)})
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(data), string(got)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", path, diff)
			}
		})
	}
}

func section(name string, b *strings.Builder) txtar.File {
	return txtar.File{Name: name, Data: []byte(b.String())}
}

func write(b *strings.Builder, problems domain.Problems) {
	for _, p := range problems {
		fmt.Fprintf(b, "%s:%d:%d %s %s %s | %s\n", p.Path, p.Line, p.Column, p.Code, p.Severity, p.Message, p.Hint)
	}
}

func compileSchemas(t *testing.T) map[Kind]*jsonschema.Schema {
	t.Helper()
	schemas := map[Kind]*jsonschema.Schema{}
	for _, kind := range Kinds() {
		schemas[kind] = compileSchema(t, Schema(kind))
	}
	return schemas
}

func compileSchema(t *testing.T, data []byte) *jsonschema.Schema {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("schema.json", value); err != nil {
		t.Fatal(err)
	}
	s, err := compiler.Compile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// schemaVerdict reads YAML as editors do, and asks the schema.
func schemaVerdict(s *jsonschema.Schema, data []byte) error {
	var value any
	if err := yaml.Unmarshal(data, &value); err != nil {
		return err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return s.Validate(instance)
}
