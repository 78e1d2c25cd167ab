package comment

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"kv-shepherd.io/shepherd/gitops/spec"
)

// TestDocumentIsTheFile: what is to be copied is read as the spec that it was made from.
func TestDocumentIsTheFile(t *testing.T) {
	t.Parallel()
	ref := spec.Ref{Kind: spec.KindVirtualMachine, System: "shop", Service: "redis", Namespace: "prod-shop", Index: 1}
	for name, vm := range map[string]spec.VirtualMachine{
		"short": {Template: "ubuntu-24.04", Size: "small", Power: "running", Reason: "x"},
		"all": {
			Template: "ubuntu-24.04", Size: "small", Disk: "60Gi", Power: "stopped", Reason: "yes: it's `@alice`'s \"new\" # one\t", RestartedAt: "2026-03-20T11:00:00Z",
			SSHKeys:  []string{"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDSkT3A1j89RT/540ghIMHXIVwNlAEM3WtmqVG7YN/wY alice@laptop"},
			Networks: []spec.VMNetwork{{Name: "backend", IP: "10.0.0.7"}, {Name: "storage"}}, Disks: []spec.VMDisk{{Name: "data", Size: "50Gi", StorageClass: "fast"}}, DeletionPolicy: spec.RetainDisks,
		},
		"a number":     {Template: "t", Size: "s", Power: "running", Reason: "12"},
		"a truth":      {Template: "t", Size: "s", Power: "running", Reason: "true"},
		"a date":       {Template: "t", Size: "s", Power: "running", Reason: "2026-03-20"},
		"nothing":      {Template: "t", Size: "s", Power: "running", Reason: "null"},
		"an anchor":    {Template: "t", Size: "s", Power: "running", Reason: "&a *a !t"},
		"other script": {Template: "t", Size: "s", Power: "running", Reason: "für die Winteraktion – 冬 🐑"},
	} {
		canonical := spec.Canonical(&vm)
		doc, problems := spec.Parse(ref, []byte(document(ref.Kind, canonical)))
		if problems.Blocking() {
			t.Errorf("%s: %v\n%s", name, problems, document(ref.Kind, canonical))
			continue
		}
		if diff := cmp.Diff(string(canonical), string(spec.Canonical(doc))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestDocumentOfEveryKind: every kind has its file, with lists in lists and groups in groups.
func TestDocumentOfEveryKind(t *testing.T) {
	t.Parallel()
	for kind, canonical := range map[spec.Kind]string{
		spec.KindInstanceSize: `{"cores":2,"memory":"4Gi","gpus":[{"name":"g","deviceName":"nvidia.com/A100"}],"specOverrides":{"a.b":[[1,2],[{"x":null}]],"c":{}}}`,
		spec.KindSystem:       `{"description":"the web shop","limits":{"vms":3},"owners":[{"id":1,"login":"alice"}]}`,
	} {
		var got struct{ Spec any }
		text := document(kind, json.RawMessage(canonical))
		if err := yaml.Unmarshal([]byte(text), &got); err != nil || text == "" {
			t.Fatalf("%s: %v\n%s", kind, err, text)
		}
		back, err := json.Marshal(got.Spec)
		if err != nil {
			t.Fatal(err)
		}
		s, err := spec.Decode(kind, back)
		if err != nil {
			t.Fatal(err)
		}
		want, err := spec.Decode(kind, []byte(canonical))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(spec.Canonical(want)), string(spec.Canonical(s))); diff != "" {
			t.Errorf("%s: %s\n%s", kind, diff, text)
		}
	}
	for _, bad := range []string{"", "null", "[]", `{"unknown":1}`, `{"size"`} {
		if got := document(spec.KindVirtualMachine, json.RawMessage(bad)); got != "" {
			t.Errorf("%q gives %s", bad, got)
		}
	}
}

// FuzzScalar: whatever the text, YAML reads it back, and it neither mentions nor ends its block.
func FuzzScalar(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	for _, s := range []string{"a", "1", "1e3", "0x10", "~", "yes", "=", "<<", "a: b", "a #b", " a", "a ", "@@a", "a@b", "\u0085\u2028\ufeff", "12:30:45", ".inf", "-", "? a", "|", ">"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) || len(s) > 1<<14 {
			return
		}
		text := scalar(s)
		var got map[string]any
		if err := yaml.Unmarshal([]byte("k: "+text+"\nl: 1\n"), &got); err != nil || got["k"] != any(s) || len(got) != 2 {
			t.Errorf("%q is written %s and read %v, %v", s, text, got["k"], err)
		}
		if strings.ContainsAny(text, "`\n\r") || loose.MatchString(text) || strings.Contains(text, "<!--") {
			t.Errorf("%q is written %s", s, text)
		}
	})
}
