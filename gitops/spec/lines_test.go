package spec_test

import (
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/gitops/spec"
)

// What is wrong with the syntax is pointed at where it is, or where what it breaks begins.
func TestSyntaxErrorsHaveTheirLine(t *testing.T) {
	t.Parallel()
	const head = "apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: VirtualMachine\nspec:\n"
	for name, c := range map[string]struct {
		body string
		line int
	}{
		"an open bracket":      {"  sshKeys: [a, b\n  size: small\n", 4},
		"an open brace":        {"  size: {a: b\n  template: x\n", 4},
		"an open quote":        {"  size: \"small\n  template: x\n", 4},
		"a value with a colon": {"  size: small\n  reason: a: b\n", 5},
		"a reserved character": {"  size: small\n  reason: @x\n", 5},
		"an unknown anchor":    {"  size: small\n  reason: *x\n", 5},
		"two keys on one line": {"  size: small\n  template: x\n reason: y\n", 6},
		"a list among fields":  {"  size: small\n- x\n", 5},
	} {
		_, problems := spec.Parse(spec.Ref{Kind: spec.KindVirtualMachine, System: "shop", Service: "redis", Namespace: "test-shop", Index: 1}, []byte(head+c.body))
		if len(problems) == 0 {
			t.Errorf("%s: no problem", name)
			continue
		}
		if p := problems.Sorted()[0]; p.Line != c.line {
			t.Errorf("%s: line %d, want %d: %s", name, p.Line, c.line, strings.TrimSpace(p.Message))
		}
	}
}
