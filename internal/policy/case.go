package policy

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// The parts of a case.
const (
	factsPart    = "facts.yaml"
	requestPart  = "request.yaml"
	serverPart   = "server.yaml"
	expectPart   = "expect.yaml"
	verdictPart  = "verdict.txt"
	platformPart = "platform/"
	acceptedPart = "accepted/"
	headPart     = "head/"
)

// Case is one test of a policy, read from a txtar file: a sentence, then parts, each after a line
// "-- name --". It gives either facts about one change, or the files of a pull request. What has to
// come of it stands in expect.yaml, verdict.txt or both.
type Case struct {
	Path   string // of the file, as given
	About  string // the sentence
	Server CaseServer
	// Request is what a case made of files says beside them; nil in a case made of facts.
	Request *CaseRequest
	// Expect is nil where only verdict.txt says what is expected.
	Expect *Expect

	facts   *caseFacts
	archive *txtar.Archive
	lines   map[string]int // part → line of its first line in the file
}

// CaseServer is server.yaml: the part of the server's configuration that policy knows.
type CaseServer struct {
	Administrators []spec.Person
	AllowLoosen    []domain.Operation
}

// CaseRequest is request.yaml: who asks, and what is known beside the files.
type CaseRequest struct {
	Author      Person
	Pushers     []Person // of every file
	Removed     []string // paths that the pull request removes
	Unhealthy   []string // clusters; all others are healthy
	Draft, Fork bool
}

// caseFacts is facts.yaml: what was looked up about one change.
type caseFacts struct {
	Change struct {
		Operation        domain.Operation
		Path             string
		System           string
		Environment      domain.Environment
		Accepted, Wanted map[string]any
	}
	Request PullRequest
	Author  struct {
		Person
		Roles []Role // beside those that files of platform/roles/ give
	}
	Pushers   []Person
	Creates   string // a system that the same pull request creates
	Systems   []SystemPeople
	Size      *Size
	Template  *Template
	Namespace *Namespace
	Usage     *Usage
}

// CaseError is what makes a case unreadable. It neither passed nor failed.
type CaseError struct {
	Path string
	Line int // 0: the whole file
	Text string
}

// Error gives the place and the text.
func (e CaseError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", e.Path, e.Line, e.Text)
	}
	return e.Path + ": " + e.Text
}

// ParseCase reads a case. Its errors are CaseErrors. server holds where the case has no server.yaml.
func ParseCase(path string, data []byte, server CaseServer) (*Case, error) {
	c := &Case{Path: path, Server: server, archive: txtar.Parse(data), lines: partLines(data)}
	c.About = oneLine(string(c.archive.Comment))
	if err := c.checkParts(); err != nil {
		return nil, err
	}
	into := map[string]any{}
	if c.has(serverPart) {
		c.Server = CaseServer{}
		into[serverPart] = &c.Server
	}
	if c.has(factsPart) {
		c.facts = &caseFacts{}
		into[factsPart] = c.facts
	} else {
		c.Request = &CaseRequest{}
		into[requestPart] = c.Request
	}
	if c.has(expectPart) {
		c.Expect = &Expect{}
		into[expectPart] = c.Expect
	}
	for _, name := range []string{serverPart, factsPart, requestPart, expectPart} {
		if into[name] == nil {
			continue
		}
		if err := c.decode(name, into[name]); err != nil {
			return nil, err
		}
	}
	return c, c.check()
}

// ParseCaseServer reads a server.yaml that stands beside cases.
func ParseCaseServer(path string, data []byte) (CaseServer, error) {
	var s CaseServer
	c := &Case{Path: path, archive: &txtar.Archive{Files: []txtar.File{{Name: serverPart, Data: data}}}, lines: map[string]int{serverPart: 1}}
	return s, c.decode(serverPart, &s)
}

// Name is the case's path without its ending.
func (c *Case) Name() string { return strings.TrimSuffix(c.Path, ".txtar") }

// Line is where a part begins, 0 when there is none.
func (c *Case) line(part string) int { return c.lines[part] }

func (c *Case) has(part string) bool { return c.lines[part] > 0 }

func (c *Case) part(name string) []byte {
	for _, f := range c.archive.Files {
		if f.Name == name {
			return f.Data
		}
	}
	return nil
}

// Files returns the parts below a folder of the case, such as head/, by their path in it.
func (c *Case) files(folder string) map[string][]byte {
	out := map[string][]byte{}
	for _, f := range c.archive.Files {
		if path, ok := strings.CutPrefix(f.Name, folder); ok {
			out[path] = f.Data
		}
	}
	return out
}

// Platform returns the case's own files of platform/, which lie over those under test.
func (c *Case) Platform() map[string][]byte {
	out := map[string][]byte{}
	for path, data := range c.files(platformPart) {
		out[platformPart+path] = data
	}
	return out
}

// Accepted returns the files of the spec repository before the pull request, beside the platform's.
func (c *Case) Accepted() map[string][]byte { return c.files(acceptedPart) }

// Head returns the files that the pull request writes.
func (c *Case) Head() map[string][]byte { return c.files(headPart) }

var partNames = []string{factsPart, requestPart, serverPart, expectPart, verdictPart}

// checkParts finds parts that nobody would read, and cases that say nothing.
func (c *Case) checkParts() error {
	seen := map[string]bool{}
	for _, f := range c.archive.Files {
		folder := slices.ContainsFunc([]string{platformPart, acceptedPart, headPart}, func(p string) bool { return strings.HasPrefix(f.Name, p) })
		switch {
		case seen[f.Name]:
			return c.errorf(f.Name, "the part %s is there twice", f.Name)
		case !folder && !slices.Contains(partNames, f.Name):
			return c.errorf(f.Name, "a case has no part %q: %s, or a path below platform/, accepted/ or head/", f.Name, spec.Suggest(f.Name, partNames))
		}
		seen[f.Name] = true
	}
	switch facts, files := c.has(factsPart), c.has(requestPart); {
	case facts && files, facts && len(c.Head())+len(c.Accepted()) > 0:
		return c.errorf("", "a case is made of %s or of files with %s, not of both", factsPart, requestPart)
	case !facts && !files:
		return c.errorf("", "the case has neither %s nor %s", factsPart, requestPart)
	}
	return nil
}

// check finds values that no real change can have, so that a typo does not pass for a denial.
func (c *Case) check() error {
	if c.Expect != nil {
		if problem := c.Expect.check(); problem != "" {
			return c.errorf(expectPart, "%s", problem)
		}
	}
	for _, op := range c.Server.AllowLoosen {
		if _, known := Needs(op); !known {
			return c.errorf(serverPart, "operation %q is not known: %s", op, suggestOperation(op))
		}
	}
	if c.facts == nil {
		return nil
	}
	change := c.facts.Change
	if _, known := Needs(change.Operation); !known {
		return c.errorf(factsPart, "operation %q is not known: %s", change.Operation, suggestOperation(change.Operation))
	}
	if change.Environment != "" && !knownEnvironment(change.Environment) {
		return c.errorf(factsPart, "environment %q is neither test nor prod", change.Environment)
	}
	if _, governed, problems := spec.ParsePath(change.Path); !governed || problems.Blocking() {
		return c.errorf(factsPart, "change.path %q is no path of a governed file", change.Path)
	}
	for _, r := range c.facts.Author.Roles {
		if !r.Known() {
			return c.errorf(factsPart, "role %q is not known", r)
		}
	}
	return nil
}

func suggestOperation(op domain.Operation) string {
	var names []string
	for _, o := range domain.Operations() {
		names = append(names, string(o))
	}
	return spec.Suggest(string(op), names)
}

func (c *Case) errorf(part, format string, args ...any) error {
	return CaseError{Path: c.Path, Line: c.line(part), Text: fmt.Sprintf(format, args...)}
}

// decode reads a part strictly. A part that is not there is read as an empty one.
func (c *Case) decode(part string, into any) error {
	data := c.part(part)
	err := yaml.UnmarshalStrict(data, into)
	if err == nil {
		return nil
	}
	text := strings.TrimPrefix(strings.TrimPrefix(oneLine(err.Error()), "error converting YAML to JSON: "), "error unmarshaling JSON: while decoding JSON: ")
	return CaseError{Path: c.Path, Line: c.line(part) + errorLine(data, text), Text: part + ": " + text}
}

var (
	yamlLine     = regexp.MustCompile(`^yaml: (?:unmarshal errors: )?line (\d+):`)
	unknownField = regexp.MustCompile(`unknown field "([^"]+)"`)
)

// errorLine is how many lines below the first of the data the error is, as far as its text tells.
func errorLine(data []byte, text string) int {
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		n, _ := strconv.Atoi(m[1])
		return max(n-1, 0)
	}
	if m := unknownField.FindStringSubmatch(text); m != nil {
		key := regexp.MustCompile(`(^|[\s{,"'])` + regexp.QuoteMeta(m[1]) + `["']?\s*:`)
		for i, line := range bytes.Split(data, []byte("\n")) {
			if key.Match(line) {
				return i
			}
		}
	}
	return 0
}

// partLines finds the first line of each part: the archive does not keep it.
func partLines(data []byte) map[string]int {
	lines := map[string]int{}
	for i, line := range strings.Split(string(data), "\n") {
		line = strings.TrimSuffix(line, "\r")
		name, ok := strings.CutPrefix(line, "-- ")
		if name, ends := strings.CutSuffix(name, " --"); ok && ends && strings.TrimSpace(name) != "" {
			if name = strings.TrimSpace(name); lines[name] == 0 {
				lines[name] = i + 2
			}
		}
	}
	return lines
}

// WithVerdict returns the case's file with another verdict.txt.
func (c *Case) WithVerdict(text string) []byte {
	a := &txtar.Archive{Comment: c.archive.Comment, Files: slices.Clone(c.archive.Files)}
	i := slices.IndexFunc(a.Files, func(f txtar.File) bool { return f.Name == verdictPart })
	if i < 0 {
		i = len(a.Files)
		a.Files = append(a.Files, txtar.File{Name: verdictPart})
	}
	a.Files[i].Data = []byte(text)
	return txtar.Format(a)
}
