package policy

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// caseRunner runs cases against the built-in policy.
func caseRunner(t testing.TB, files map[string][]byte) *CaseRunner {
	t.Helper()
	r, problems, err := NewCaseRunner(files)
	if err != nil || len(problems) > 0 {
		t.Fatalf("%v %v", problems, err)
	}
	return r
}

// TestCases runs policies/cases as `shepherd policy test` does.
func TestCases(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("..", "..", "policies", "cases", "*.txtar"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d cases: %v", len(files), err)
	}
	runner := caseRunner(t, nil)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, err := ParseCase(file, data, CaseServer{})
			if err != nil {
				t.Fatal(err)
			}
			if c.About == "" || !c.has(verdictPart) {
				t.Error("a built-in case says in words what it shows, and in verdict.txt what people see")
			}
			got, err := runner.Run(c)
			if err != nil {
				t.Fatal(err)
			}
			if failures := c.Failures(got); len(failures) > 0 && !*update {
				t.Fatal(strings.Join(failures, "\n"))
			}
			if !*update {
				return
			}
			if err := os.WriteFile(file, c.WithVerdict(got.Text), 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
}
