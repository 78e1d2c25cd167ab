package policy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// caseFacts is facts.yaml of a case: what was looked up about one change.
type caseFacts struct {
	Change struct {
		Operation        domain.Operation
		Path             string
		System           string
		Environment      domain.Environment
		Accepted, Wanted map[string]any
	}
	Request   PullRequest
	Author    Person
	Pushers   []Person
	Creates   string // a system that the same pull request creates
	Systems   []SystemPeople
	Size      *Size
	Template  *Template
	Namespace *Namespace
	Usage     *Usage
}

// caseServer is server.yaml of a case: the part of the server's configuration that policy knows.
type caseServer struct {
	Administrators []spec.Person
	AllowLoosen    []domain.Operation
}

// TestCases runs policies/cases: the files of platform/, the server's configuration and the facts go
// in, verdict.txt comes out.
func TestCases(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "..", "policies", "cases", "*.txtar"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := runCase(t, archive)
			want := section(archive, "verdict.txt")
			if want == got {
				return
			}
			if !*update {
				t.Fatalf("got\n%s\nwant\n%s", got, want)
			}
			setSection(archive, "verdict.txt", got)
			if err := os.WriteFile(file, txtar.Format(archive), 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func runCase(t *testing.T, archive *txtar.Archive) string {
	t.Helper()
	platformFiles := map[string][]byte{}
	for _, f := range archive.Files {
		if strings.HasPrefix(f.Name, "platform/") {
			platformFiles[f.Name] = f.Data
		}
	}
	platform, problems := spec.LoadPlatform(platformFiles)
	if problems.Blocking() {
		t.Fatalf("platform: %v", problems)
	}
	var in caseFacts
	decodeSection(t, archive, "facts.yaml", &in)
	var server caseServer
	decodeSection(t, archive, "server.yaml", &server)
	ref, _, problems := spec.ParsePath(in.Change.Path)
	if problems.Blocking() {
		t.Fatalf("path: %v", problems)
	}
	c, err := NewCompiler()
	if err != nil {
		t.Fatal(err)
	}
	set, compileProblems := c.Compile(platform.Policies, Options{AllowLoosen: server.AllowLoosen})
	bindings := NewBindings(Sources{Roles: platform.Bindings, Systems: in.Systems, Administrators: server.Administrators})
	v := Evaluate(Facts{
		Change: Change{Operation: in.Change.Operation, Ref: ref, System: in.Change.System,
			Environment: in.Change.Environment, Accepted: in.Change.Accepted, Wanted: in.Change.Wanted},
		Request: in.Request, Author: in.Author, Pushers: in.Pushers,
		Bindings: bindings.WithCreator(in.Creates, in.Author), Policies: set,
		Size: in.Size, Template: in.Template, Namespace: in.Namespace, Usage: in.Usage,
	})
	return Text(v) + describeProblems("policy", compileProblems) + describeProblems("problem", v.Problems(in.Change.Path))
}

func describeProblems(word string, problems domain.Problems) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%s: %s %s\n", word, p.Severity, p.Error())
	}
	return b.String()
}

func section(a *txtar.Archive, name string) string {
	for _, f := range a.Files {
		if f.Name == name {
			return string(f.Data)
		}
	}
	return ""
}

func setSection(a *txtar.Archive, name, text string) {
	for i := range a.Files {
		if a.Files[i].Name == name {
			a.Files[i].Data = []byte(text)
			return
		}
	}
	a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(text)})
}

func decodeSection(t *testing.T, a *txtar.Archive, name string, into any) {
	t.Helper()
	if err := yaml.UnmarshalStrict([]byte(section(a, name)), into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}
