package spec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"kv-shepherd.io/shepherd/internal/domain"
)

// The bounds of a document. Aliases count for what they stand for, so that a small file cannot
// unfold into a large one.
const (
	MaxBytes    = 64 << 10
	maxNodes    = 10_000
	maxDepth    = 32
	maxProblems = 50
)

// readYAML reads exactly one YAML document into its node tree and holds it to what every document
// keeps. The node is nil when a problem forbids to read on.
func readYAML(data []byte, check treeCheck) (*yaml.Node, domain.Problems) {
	if p := checkBytes(data); p != nil {
		return nil, domain.Problems{*p}
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, second yaml.Node
	if err := decoder.Decode(&document); check.foreign && errors.Is(err, io.EOF) {
		return &yaml.Node{Kind: yaml.MappingNode}, nil
	} else if err != nil {
		return nil, domain.Problems{syntaxProblem(data, err)}
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		p := invalid(&second, "the file holds more than one YAML document", "remove the --- and what follows it, or make it a file of its own")
		if err != nil {
			p = syntaxProblem(data, err)
		}
		return nil, domain.Problems{p}
	}
	root := document.Content[0]
	check.visit(root, 0)
	if check.problems.Blocking() {
		return nil, check.problems
	}
	return root, check.problems
}

func checkBytes(data []byte) *domain.Problem {
	if len(data) > MaxBytes {
		p := invalid(&yaml.Node{}, fmt.Sprintf("the file has %d bytes; at most %d are allowed", len(data), MaxBytes), "shorten it")
		return &p
	}
	if utf8.Valid(data) {
		return nil
	}
	line := 1
	for len(data) > 0 {
		r, size := utf8.DecodeRune(data)
		if r == utf8.RuneError && size == 1 {
			break
		}
		if r == '\n' {
			line++
		}
		data = data[size:]
	}
	p := invalid(&yaml.Node{Line: line}, "the file is not valid UTF-8", "save it as UTF-8 without special bytes")
	return &p
}

// problemAt makes an error that points at a node.
func problemAt(n *yaml.Node, code domain.Code, message, hint string) domain.Problem {
	return domain.Problem{Code: code, Severity: domain.Error, Line: n.Line, Column: n.Column, Message: message, Hint: hint}
}

func invalid(n *yaml.Node, message, hint string) domain.Problem {
	return problemAt(n, domain.YAMLInvalid, message, hint)
}

var (
	errorLine     = regexp.MustCompile(`line (\d+): `)
	parserError   = regexp.MustCompile(`^(did not find expected (node content|key|'-' indicator|',' or '[\]}]'|<document start>|<stream-start>)|found (duplicate|undefined|incompatible) )`)
	unknownAnchor = regexp.MustCompile(`^unknown anchor '(.+)' referenced$`)
)

// syntaxProblem makes the YAML reader's error readable for people who do not know YAML well.
func syntaxProblem(data []byte, err error) domain.Problem {
	if errors.Is(err, io.EOF) {
		return invalid(&yaml.Node{}, "the file is empty", "write apiVersion, kind and spec")
	}
	text, n := strings.TrimPrefix(err.Error(), "yaml: "), &yaml.Node{}
	if m := errorLine.FindStringSubmatch(text); m != nil {
		n.Line, _ = strconv.Atoi(m[1])
		text = strings.Replace(text, m[0], "", 1)
		if parserError.MatchString(text) {
			// The reader counts these from 0, unlike its scanner's; the end of the file is the last line.
			n.Line = min(n.Line+1, 1+bytes.Count(bytes.TrimRight(data, "\n"), []byte{'\n'}))
		}
	} else if m := unknownAnchor.FindStringSubmatch(text); m != nil {
		n.Line = 1 + bytes.Count(data[:max(0, bytes.Index(data, []byte("*"+m[1])))], []byte{'\n'})
	}
	return invalid(n, "this is not YAML: "+printable(text), syntaxHint(text, lineOf(data, n.Line)))
}

func syntaxHint(text, line string) string {
	switch {
	case strings.HasPrefix(strings.TrimLeft(line, " "), "\t") || strings.Contains(line, "\t") && strings.Contains(text, "cannot start any token"):
		return "indent with spaces; YAML allows no tabs there"
	case strings.Contains(text, "mapping values are not allowed"):
		return "put a value that contains a colon in quotes, and check the indentation"
	case strings.Contains(text, "did not find expected key"), strings.Contains(text, "could not find expected ':'"):
		return "check the indentation: fields of one level start in the same column, each with a colon and a space"
	case strings.Contains(text, "unknown anchor"):
		return "put a value that starts with * in quotes"
	case strings.Contains(text, "unexpected end of stream"):
		return "close the quote or bracket that is open"
	}
	return "check the indentation, the colons and the quotes of this line and the one before it"
}

// printable is text of the YAML reader, which may echo the file, made safe to show.
func printable(text string) string {
	q := strconv.Quote(clip(text, 120))
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
}

func lineOf(data []byte, number int) string {
	for i := 1; len(data) > 0; i++ {
		line, rest, _ := bytes.Cut(data, []byte{'\n'})
		if i == number {
			return string(line)
		}
		data = rest
	}
	return ""
}
