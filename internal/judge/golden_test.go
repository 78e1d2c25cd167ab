package judge

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/policy"
)

var update = flag.Bool("update", false, "write the reports and manifests of the golden cases anew")

// The sections that come out of a case.
const (
	reportSection    = "report.txt"
	manifestsSection = "manifests.yaml"
	twinSection      = "twin/report.txt"
)

// TestGolden judges every case of testdata. A case with a twin is a request that is refused, and the
// same request made right: that much holds whatever the golden sections say.
func TestGolden(t *testing.T) {
	t.Parallel()
	for _, path := range casePaths(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			archive := txtar.Parse(data)
			got := txtar.Format(judged(t, archive))
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(data), string(got)); diff != "" {
				t.Errorf("%s (-want +got), rewrite with -update:\n%s", path, diff)
			}
		})
	}
}

func casePaths(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no golden cases: %v", err)
	}
	return paths
}

// judged is the case with what comes out of it.
func judged(t *testing.T, archive *txtar.Archive) *txtar.Archive {
	t.Helper()
	out := &txtar.Archive{Comment: archive.Comment}
	withManifests := false
	for _, f := range archive.Files {
		switch f.Name {
		case manifestsSection:
			withManifests = true
		case reportSection, twinSection:
		default:
			out.Files = append(out.Files, f)
		}
	}
	report := Judge(caseInput(t, archive, false))
	out.Files = append(out.Files, txtar.File{Name: reportSection, Data: []byte(text(report))})
	if withManifests {
		out.Files = append(out.Files, txtar.File{Name: manifestsSection, Data: []byte(manifests(t, report))})
	}
	if hasTwin(archive) {
		twin := Judge(caseInput(t, archive, true))
		if !report.Blocking() || twin.Blocking() {
			t.Errorf("the case is refused: %v, its twin: %v; want true and false", report.Blocking(), twin.Blocking())
		}
		out.Files = append(out.Files, txtar.File{Name: twinSection, Data: []byte(text(twin))})
	}
	return out
}

func hasTwin(archive *txtar.Archive) bool {
	return slices.ContainsFunc(archive.Files, func(f txtar.File) bool {
		return strings.HasPrefix(f.Name, "twin/") && f.Name != twinSection
	})
}

// text is a report as the golden files have it.
func text(r Report) string {
	var b strings.Builder
	state := "can be submitted"
	switch {
	case !r.Governed:
		state = "nothing governed"
	case r.Takeable():
		state = "refused, but an approval takes it over"
	case r.Blocking():
		state = "refused"
	case len(r.Changes) == 0:
		state = "nothing changes"
	case !r.Submittable():
		state = "valid, but not submitted"
	}
	fmt.Fprintf(&b, "%s\n", state+marks(r))
	writeProblems(&b, "the pull request", r.Problems)
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "%s\n", line(c))
		for _, note := range notes(c) {
			fmt.Fprintf(&b, "  : %s\n", note)
		}
		writeProblems(&b, "", c.Problems)
	}
	return b.String()
}

func marks(r Report) (marks string) {
	if r.Draft {
		marks += ", a draft"
	}
	if r.Fork {
		marks += ", from a fork"
	}
	return marks
}

// line is a change: operation, name, environment, digest | what it needs | where it goes | what it claims.
func line(c Change) string {
	needs := "not asked"
	if c.Requirement.Rule != "" {
		needs = c.Requirement.String()
	}
	if len(c.Approvers) > 0 {
		needs += ": " + strings.Join(c.Approvers, ", ")
	}
	where := "no plan"
	if c.Plan != nil {
		where = strings.TrimSpace(c.Plan.Cluster + " " + c.Plan.StorageClass)
		where += fmt.Sprintf(", %s v%d, %s, %s", c.Plan.Template, c.Plan.TemplateVersion, c.Plan.Size, c.Plan.Disk)
	}
	head := strings.Join(slices.DeleteFunc([]string{
		string(c.Operation), c.Subject, string(c.Environment), spec.Digest8(c.Digest),
	}, func(s string) bool { return s == "" }), " ")
	return strings.Join([]string{head, needs, where, strings.Join(c.Claims, " ")}, " | ")
}

// notes are what only some changes have.
func notes(c Change) (out []string) {
	note := func(when bool, format string, args ...any) {
		if when {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	note(c.Unconfirmed(), "waits to be confirmed by %s", c.Requirement.Confirm)
	note(c.Confirmed != "", "confirmed by %s", c.Confirmed)
	note(c.Grant > 0, "%s of a console of %s", c.Grant, c.VM)
	note(len(c.Contested) > 0, "contested by %v", c.Contested)
	if c.Planned != nil {
		note(true, "planned by %s", c.Planned.By)
		note(c.PlannedDigest != "", "the digest is %s once the head says the plan; ahead of the head: %v", spec.Digest8(c.PlannedDigest), c.Ahead)
		note(len(c.Dropped) > 0, "left out: %s", strings.Join(c.Dropped, ", "))
	}
	if u := c.Usage; u != nil {
		noteUsage(note, "namespace", u.Namespace, u.NamespaceLimits)
		noteUsage(note, "system", u.System, u.SystemLimits)
	}
	for _, t := range c.Trials {
		note(true, "%s", trialText(t))
	}
	if c.Plan != nil {
		note(c.Plan.RestartedAt != "", "restarts, as of %s", c.Plan.RestartedAt)
		for _, object := range c.Plan.Objects {
			note(strings.Contains(object, " is "), "%s", object)
		}
	}
	return out
}

// trialText is what is tried of a document, and where.
func trialText(t Trial) string {
	if t.Untried != "" {
		return fmt.Sprintf("not tried in %s: %s", t.Environment, t.Untried)
	}
	return fmt.Sprintf("tried in %s with %s on %s", t.Environment, t.With, t.Cluster)
}

// noteUsage tells what somebody with limits takes, before and after.
func noteUsage(note func(bool, string, ...any), whose string, taken policy.Span, limits *spec.Limits) {
	var before, after []string
	for _, m := range Measures {
		before, after = append(before, m.Words(m.Of(taken.Before))), append(after, m.Words(m.Of(taken.After)))
	}
	note(limits != nil, "%s: %s before; %s after", whose, strings.Join(before, ", "), strings.Join(after, ", "))
}

func writeProblems(b *strings.Builder, whole string, problems domain.Problems) {
	for _, p := range problems {
		place := whole
		if p.Path != "" {
			place = fmt.Sprintf("%s:%d:%d", p.Path, p.Line, p.Column)
		}
		fmt.Fprintf(b, "  %s %s %s %s", place, p.Code, p.Severity, p.Message)
		if p.Hint != "" {
			fmt.Fprintf(b, " | %s", p.Hint)
		}
		b.WriteByte('\n')
	}
}

func manifests(t *testing.T, r Report) string {
	t.Helper()
	var documents []string
	for _, c := range r.Changes {
		if c.Plan == nil {
			continue
		}
		documents = append(documents, "# "+strings.Join(c.Plan.Objects, "\n# ")+"\n")
		for _, m := range c.Plan.Manifests {
			pretty, err := yaml.JSONToYAML(m.JSON)
			if err != nil {
				t.Fatal(err)
			}
			documents = append(documents, string(pretty))
		}
	}
	return strings.Join(documents, "---\n")
}

// TestEveryCodeHasACase holds the cases to the problems that this package gives: for each code there is a
// case that is refused with it, or warned, and every refused case has a twin that is not.
func TestEveryCodeHasACase(t *testing.T) {
	t.Parallel()
	shown := map[domain.Code]bool{}
	for _, path := range casePaths(t) {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		report := Judge(caseInput(t, archive, false))
		for _, p := range report.AllProblems() {
			shown[p.Code] = true
		}
		if report.Blocking() && !hasTwin(archive) {
			t.Errorf("%s is refused and has no twin", path)
		}
	}
	for _, code := range codesGiven(t) {
		if !shown[code] {
			t.Errorf("no case shows %s", code)
		}
	}
	for _, code := range []domain.Code{ // what a judging passes on from the packages below it
		domain.YAMLInvalid, domain.UnknownField, domain.ForbiddenField, domain.PathInvalid, domain.NameInvalid,
		domain.NameTooLong, domain.NameLengthWarning, domain.SecretSuspected, domain.NamespaceUnknown, domain.TemplateUnknown,
		domain.TemplateNotActive, domain.SizeUnknown, domain.NetworkUnknown, domain.DiskOutOfRange, domain.ProdOvercommit,
		domain.PolicyDenied, domain.PermissionDenied, domain.AuthorUnknown, domain.PlanInvalid, domain.RequiredFieldRemoved,
		domain.DedicatedCPUOvercommit,
	} {
		if !shown[code] {
			t.Errorf("no case shows %s", code)
		}
	}
}

var (
	codeUsed     = regexp.MustCompile(`domain\.([A-Z]\w+)`)
	codeDeclared = regexp.MustCompile(`(?m)^\t([A-Z]\w+)\s+Code = "([A-Z_]+)"`)
)

// codesGiven reads from this package's source which codes it gives.
func codesGiven(t *testing.T) []domain.Code {
	t.Helper()
	declared := map[string]domain.Code{}
	for _, m := range codeDeclared.FindAllStringSubmatch(source(t, "../domain/problem.go"), -1) {
		declared[m[1]] = domain.Code(m[2])
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	used := map[domain.Code]bool{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		for _, m := range codeUsed.FindAllStringSubmatch(source(t, file), -1) {
			if code, ok := declared[m[1]]; ok {
				used[code] = true
			}
		}
	}
	if len(used) < 15 {
		t.Fatalf("only %d codes found in the source", len(used))
	}
	out := make([]domain.Code, 0, len(used))
	for code := range used {
		out = append(out, code)
	}
	slices.Sort(out)
	return out
}

func source(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
