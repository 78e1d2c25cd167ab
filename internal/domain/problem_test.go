package domain

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProblemsSorted(t *testing.T) {
	t.Parallel()
	warning := Problem{Code: NameLengthWarning, Severity: Warning, Path: "a"}
	b := Problem{Code: YAMLInvalid, Severity: Error, Path: "b"}
	a9 := Problem{Code: YAMLInvalid, Severity: Error, Path: "a", Line: 9}
	a2x7 := Problem{Code: YAMLInvalid, Severity: Error, Path: "a", Line: 2, Column: 7}
	a2x3 := Problem{Code: YAMLInvalid, Severity: Error, Path: "a", Line: 2, Column: 3}
	a2x3forbidden := Problem{Code: ForbiddenField, Severity: Error, Path: "a", Line: 2, Column: 3}
	given := Problems{warning, b, a9, a2x7, a2x3, a2x3forbidden}
	want := Problems{a2x3forbidden, a2x3, a2x7, a9, b, warning}
	if diff := cmp.Diff(want, given.Sorted()); diff != "" {
		t.Error(diff)
	}
	if given[0] != warning {
		t.Error("Sorted changed the list that it was given")
	}
}

func TestProblemsBlocking(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		problems Problems
		want     bool
	}{
		"none":     {nil, false},
		"warnings": {Problems{{Severity: Warning}, {Severity: Warning}}, false},
		"an error": {Problems{{Severity: Warning}, {Severity: Error}}, true},
	} {
		if got := tt.problems.Blocking(); got != tt.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestProblemError(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]Problem{
		"SIZE_UNKNOWN: no":                        {Code: SizeUnknown, Message: "no"},
		"a.yaml: SIZE_UNKNOWN: no":                {Code: SizeUnknown, Message: "no", Path: "a.yaml"},
		"a.yaml:7: SIZE_UNKNOWN: no (choose one)": {Code: SizeUnknown, Message: "no", Path: "a.yaml", Line: 7, Column: 2, Hint: "choose one"},
	} {
		if got := p.Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
