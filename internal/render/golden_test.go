package render

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

var update = flag.Bool("update", false, "write what is rendered into testdata")

// choice is what a plan chooses around the documents: choice.yaml of a golden file.
type choice struct {
	System              string             `json:"system"`
	Service             string             `json:"service"`
	Namespace           string             `json:"namespace"`
	Index               int                `json:"index"`
	Environment         domain.Environment `json:"environment"`
	KubernetesNamespace string             `json:"kubernetesNamespace"`
	DefaultNetwork      string             `json:"defaultNetwork"`
	SystemSSHKeys       []string           `json:"systemSSHKeys"`
	StorageClass        string             `json:"storageClass"`
	Template            string             `json:"template"`
	TemplateVersion     int                `json:"templateVersion"`
	Size                string             `json:"size"`
}

// TestGolden renders the documents of each file below testdata and compares the objects and the
// problems with those in the file.
func TestGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			ms, problems := Render(goldenInput(t, archive))
			got := map[string]string{"manifests.yaml": pretty(t, ms), "problems.txt": list(problems)}
			if *update {
				rewrite(t, file, archive, got)
				return
			}
			want := map[string]string{"manifests.yaml": "", "problems.txt": ""}
			for _, f := range archive.Files {
				if _, output := want[f.Name]; output {
					want[f.Name] = string(f.Data)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("rendered (-want +got), rewrite with -update:\n%s", diff)
			}
		})
	}
}

func goldenInput(t *testing.T, archive *txtar.Archive) Input {
	t.Helper()
	var c choice
	in := Input{Networks: map[string]spec.Network{}}
	for _, f := range archive.Files {
		switch name := f.Name; {
		case name == "choice.yaml":
			read(t, f, &c)
		case name == "vm.yaml":
			read(t, f, &in.VM)
		case name == "template.yaml":
			read(t, f, &in.Template)
		case name == "size.yaml":
			read(t, f, &in.Size)
		case strings.HasPrefix(name, "networks/"):
			var network spec.Network
			read(t, f, &network)
			in.Networks[strings.TrimSuffix(filepath.Base(name), ".yaml")] = network
		}
	}
	in.Ref = spec.Ref{Kind: spec.KindVirtualMachine, System: c.System, Service: c.Service, Namespace: c.Namespace, Index: c.Index}
	in.Environment, in.KubernetesNamespace = c.Environment, c.KubernetesNamespace
	in.DefaultNetwork, in.SystemSSHKeys, in.StorageClass = c.DefaultNetwork, c.SystemSSHKeys, c.StorageClass
	in.TemplateName, in.TemplateVersion, in.SizeName = c.Template, c.TemplateVersion, c.Size
	return in
}

func read(t *testing.T, f txtar.File, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict(f.Data, into); err != nil {
		t.Fatalf("%s: %v", f.Name, err)
	}
}

func pretty(t *testing.T, ms []Manifest) string {
	t.Helper()
	var b strings.Builder
	for i, m := range ms {
		if i > 0 {
			b.WriteString("---\n")
		}
		text, err := yaml.JSONToYAML(m.JSON)
		if err != nil {
			t.Fatal(err)
		}
		b.Write(text)
	}
	return b.String()
}

func list(problems Problems) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%s %s (%s", p.Severity, p.Code, p.Origin)
		if p.Name != "" {
			fmt.Fprintf(&b, " %s", p.Name)
		}
		fmt.Fprintf(&b, " %s): %s", p.Field, p.Message)
		if p.Hint != "" {
			fmt.Fprintf(&b, " -- %s", p.Hint)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func rewrite(t *testing.T, file string, archive *txtar.Archive, got map[string]string) {
	t.Helper()
	out := &txtar.Archive{Comment: archive.Comment}
	for _, f := range archive.Files {
		if _, output := got[f.Name]; !output {
			out.Files = append(out.Files, f)
		}
	}
	for _, name := range []string{"manifests.yaml", "problems.txt"} {
		if got[name] != "" {
			out.Files = append(out.Files, txtar.File{Name: name, Data: []byte(got[name])})
		}
	}
	if err := os.WriteFile(file, txtar.Format(out), 0o644); err != nil {
		t.Fatal(err)
	}
}
