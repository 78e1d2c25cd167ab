package domain_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/domain"
)

var update = flag.Bool("update", false, "write docs/errors.md anew")

const page = "../../docs/errors.md"

// docs/errors.md says what Explanations says.
func TestErrorsPage(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("# Errors\n\nEvery problem that people meet has a code, a sentence, a file and line where there is one, and what to do.\nThis page is made from `internal/domain/codes.go`.\n\n| code | meaning | what to do |\n|---|---|---|\n")
	for _, e := range domain.Explanations() {
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", e.Code, e.Meaning, e.Do)
	}
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(got)); diff != "" {
		t.Errorf("docs/errors.md is not current, run go test ./internal/domain -update (-want +got):\n%s", diff)
	}
}

// Every code that is declared is explained, once.
func TestEveryCodeIsExplained(t *testing.T) {
	t.Parallel()
	explained := map[string]int{}
	for _, e := range domain.Explanations() {
		explained[string(e.Code)]++
		if e.Meaning == "" || e.Do == "" {
			t.Errorf("%s has no meaning or no advice", e.Code)
		}
	}
	for _, code := range declared(t) {
		if explained[code] != 1 {
			t.Errorf("%s is explained %d times, want once", code, explained[code])
		}
	}
}

// declared reads the constants of type Code from the source.
func declared(t *testing.T) (codes []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "problem.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := v.Type.(*ast.Ident); !ok || typ.Name != "Code" {
			return true
		}
		for _, value := range v.Values {
			code, err := strconv.Unquote(value.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, code)
		}
		return true
	})
	if len(codes) < 50 {
		t.Fatalf("only %d codes found", len(codes))
	}
	return codes
}
