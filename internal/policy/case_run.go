package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// CaseRunner runs cases against a platform. It is immutable and safe for concurrent use.
type CaseRunner struct {
	compiler *Compiler
	files    map[string][]byte // of platform/, by path
	platform *spec.Platform
}

// CaseRules are the rules that a case is judged by.
type CaseRules struct {
	Platform *spec.Platform
	Policies *Set
	// Files are the platform's, with the case's own over them.
	Files map[string][]byte
	// Problems are those of the policies that the case brings itself.
	Problems domain.Problems
}

// CaseResult is what came of a case.
type CaseResult struct {
	Observed
	// Changes is what came of each path, in a case made of files.
	Changes map[string]Observed
	// Text is what verdict.txt holds: the tree of every change and the problems.
	Text string
}

// NewCaseRunner loads the files of a platform, by path; none means the built-in policy alone. The
// problems are those of the platform, with lines: with one that is an error, rules are not as they were
// meant, and with a nil runner they could not be read at all. The error means that the built-in policy
// is broken.
func NewCaseRunner(files map[string][]byte) (*CaseRunner, domain.Problems, error) {
	compiler, err := NewCompiler()
	if err != nil {
		return nil, nil, err
	}
	platform, problems := spec.LoadPlatform(files)
	if problems.Blocking() {
		return nil, problems, nil
	}
	_, found := compiler.CompilePlatform(platform, Options{})
	return &CaseRunner{compiler: compiler, files: files, platform: platform}, append(problems, found...), nil
}

// Rules returns what the case is judged by. The error, a CaseError, is about the case's own files.
func (r *CaseRunner) Rules(c *Case) (CaseRules, error) {
	out := CaseRules{Platform: r.platform, Files: r.files}
	own := c.Platform()
	for path, data := range c.Accepted() {
		if strings.HasPrefix(path, platformPart) {
			own[path] = data
		}
	}
	if len(own) > 0 {
		out.Files = map[string][]byte{}
		maps.Copy(out.Files, r.files)
		maps.Copy(out.Files, own)
		platform, problems := spec.LoadPlatform(out.Files)
		if problems.Blocking() {
			return CaseRules{}, c.ErrorAt(problems.Sorted()[0])
		}
		out.Platform = platform
	}
	set, problems := r.compiler.CompilePlatform(out.Platform, Options{AllowLoosen: c.Server.AllowLoosen})
	out.Policies = set
	for _, p := range problems {
		if own[p.Path] != nil {
			out.Problems = append(out.Problems, p)
		}
	}
	return out, nil
}

// Compile loads and compiles other files of a platform, such as those that a pull request would leave.
func (r *CaseRunner) Compile(files map[string][]byte, server CaseServer) (*spec.Platform, *Set, domain.Problems) {
	platform, problems := spec.LoadPlatform(files)
	set, found := r.compiler.CompilePlatform(platform, Options{AllowLoosen: server.AllowLoosen})
	return platform, set, append(problems, found...)
}

// ErrorAt makes of a problem in a file of the case an error at its line in the case.
func (c *Case) ErrorAt(p domain.Problem) error {
	for _, part := range []string{p.Path, acceptedPart + p.Path} {
		if c.has(part) {
			return CaseError{Path: c.Path, Line: c.line(part) + max(p.Line-1, 0), Text: part + ": " + p.Message}
		}
	}
	return CaseError{Path: c.Path, Text: p.Error()}
}

// Run judges a case made of facts. The error, a CaseError, is about the case itself.
func (r *CaseRunner) Run(c *Case) (CaseResult, error) {
	if c.facts == nil {
		return CaseResult{}, c.errorf(requestPart, "the case is not made of facts")
	}
	rules, err := r.Rules(c)
	if err != nil {
		return CaseResult{}, err
	}
	v := Evaluate(c.facts.facts(rules, c.Server))
	text := Text(v) + DescribeProblems("policy", rules.Problems) + DescribeProblems("problem", v.Problems(c.facts.Change.Path))
	return CaseResult{Observed: Observe(v), Text: text}, nil
}

// DescribeProblems is a line a problem, each after the word.
func DescribeProblems(word string, problems domain.Problems) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "%s: %s %s\n", word, p.Severity, oneLine(p.Error()))
	}
	return b.String()
}

// facts completes what the case gives with what the platform knows by name.
func (f *caseFacts) facts(rules CaseRules, server CaseServer) Facts {
	ref, _, _ := spec.ParsePath(f.Change.Path) // checked when the case was read
	out := Facts{
		Change: Change{Operation: f.Change.Operation, Ref: ref, System: f.Change.System,
			Environment: f.Change.Environment, Accepted: f.Change.Accepted, Wanted: f.Change.Wanted},
		Request: f.Request, Author: f.Author.Person, Pushers: f.Pushers, Policies: rules.Policies,
		Size: f.Size, Template: f.Template, Namespace: f.Namespace, Usage: f.Usage,
	}
	if out.Request.Operations == nil {
		out.Request.Operations = map[domain.Operation]int{f.Change.Operation: 1}
	}
	out.complete(rules.Platform)
	bindings := NewBindings(Sources{Roles: rules.Platform.Bindings, Systems: f.Systems, Administrators: server.Administrators})
	for _, role := range f.Author.Roles {
		bindings.grants = append(bindings.grants, grant{
			source: factsPart, role: role, person: spec.Person{Login: f.Author.Login, ID: f.Author.ID},
			environments: []domain.Environment{domain.Test, domain.Prod},
		})
	}
	out.Bindings = bindings.WithCreator(f.Creates, f.Author.Person)
	return out
}

// complete takes from the platform what the facts leave out.
func (f *Facts) complete(p *spec.Platform) {
	c := &f.Change
	if n := p.Namespaces[c.Ref.Namespace]; n != nil {
		if c.Environment == "" {
			c.Environment = n.Environment
		}
		if f.Namespace == nil {
			f.Namespace = NamespaceFacts(c.Ref.Namespace, n)
		}
	}
	if c.Operation != domain.CreateVM && c.Operation != domain.ModifyVM {
		return
	}
	name, _ := c.Wanted["size"].(string)
	if s := p.Sizes[name]; s != nil && f.Size == nil {
		f.Size = SizeFacts(name, s)
	}
	name, _ = c.Wanted["template"].(string)
	if t, version, problem := p.ActiveTemplate(name); problem == nil && f.Template == nil {
		f.Template = TemplateFacts(name, version, t)
	}
}

// Expects reports whether the case says what has to come of it.
func (c *Case) Expects() bool { return c.Expect != nil || c.has(verdictPart) }

// WantsVerdict reports whether verdict.txt is to be written anew: where there is one, and where nothing
// is expected yet.
func (c *Case) WantsVerdict() bool { return c.has(verdictPart) || c.Expect == nil }

// Failures says how the result differs from what the case expects, a line each; none means that it
// passed.
func (c *Case) Failures(r CaseResult) (out []string) {
	if c.Expect != nil {
		out = c.Expect.Compare(r.Observed)
		for _, path := range slices.Sorted(maps.Keys(c.Expect.Changes)) {
			got, ok := r.Changes[path]
			if !ok {
				out = append(out, fmt.Sprintf("changes: there is no change of %s", path))
				continue
			}
			for _, line := range c.Expect.Changes[path].Compare(got) {
				out = append(out, path+": "+line)
			}
		}
	}
	if want := string(c.part(verdictPart)); c.has(verdictPart) && want != r.Text {
		out = append(out, verdictPart+" (- expected, + got):")
		for _, line := range lineDiff(want, r.Text) {
			out = append(out, "  "+line)
		}
	}
	return out
}

// lineDiff gives both texts in one, each line after "- ", "+ " or two blanks: the longest common
// sequence of lines is taken as unchanged.
func lineDiff(want, got string) (out []string) {
	a, b := splitLines(want), splitLines(got)
	common := make([][]int, len(a)+1) // common[i][j]: lines in common of a[i:] and b[j:]
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			common[i][j] = max(common[i+1][j], common[i][j+1])
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			out = append(out, "  "+a[i])
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return out
}

func splitLines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.TrimSuffix(s, "\n"), "\n")
}
