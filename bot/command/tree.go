package command

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"go.yaml.in/yaml/v3"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// The bounds of a block.
const (
	maxDepth    = 16
	maxProblems = 50
)

// tree reads a block's YAML into nodes, strictly, and keeps the problems. A block is short and made for
// one purpose, so all that YAML offers for large files is refused: anchors, aliases, tags, merge keys.
type tree struct {
	source   string
	lines    []int // the offset at which each line begins
	problems domain.Problems
}

// full reports whether there are problems enough: more would help nobody, and cost.
func (t *tree) full() bool { return len(t.problems) >= maxProblems }

func (t *tree) add(p domain.Problem) {
	if !t.full() {
		t.problems = append(t.problems, p)
	}
}

func (t *tree) invalid(n *yaml.Node, message, hint string) {
	t.add(domain.Problem{
		Code: domain.PlanInvalid, Severity: domain.Error, Line: n.Line, Column: n.Column, Message: message, Hint: hint,
	})
}

// parse returns the root of the block, or nil when a problem forbids to read on.
func (t *tree) parse(source string) *yaml.Node {
	t.source, t.lines = source, []int{0}
	for i, c := range []byte(source) {
		if c == '\n' {
			t.lines = append(t.lines, i+1)
		}
	}
	if len(source) > spec.MaxBytes {
		t.invalid(&yaml.Node{}, fmt.Sprintf("the plan has %d bytes; at most %d are allowed", len(source), spec.MaxBytes), "shorten it")
		return nil
	}
	if at := unseen(source); at >= 0 {
		line := 1 + strings.Count(source[:at], "\n")
		t.invalid(&yaml.Node{Line: line}, "the plan contains a character that cannot be seen", "remove it: type the line anew instead of copying it")
		return nil
	}
	root := t.document()
	if root == nil || t.problems.Blocking() {
		return nil
	}
	t.check(root, 0)
	if t.problems.Blocking() {
		return nil
	}
	return root
}

// document reads the one document of the block. Secrets are looked for first, comments and all.
func (t *tree) document() *yaml.Node {
	_, found := spec.ParseModifiedSpec(spec.Ref{Kind: spec.KindVirtualMachine}, []byte(t.source))
	for _, p := range found {
		if p.Code == domain.SecretSuspected {
			p.Path = ""
			p.Hint = "secrets never go into comments: treat it as lost, replace it where it is used, and remove the comment"
			t.add(p)
			return nil
		}
	}
	decoder := yaml.NewDecoder(strings.NewReader(t.source))
	var document, second yaml.Node
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		t.empty()
		return nil
	case err != nil:
		t.syntax(found)
		return nil
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		t.invalid(&second, "the plan holds more than one YAML document", "remove the line --- or ...")
		return nil
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" || root.Kind == yaml.MappingNode && len(root.Content) == 0 {
		t.empty()
		return nil
	}
	return root
}

func (t *tree) empty() {
	t.invalid(&yaml.Node{}, "the plan is empty", "write what is to change: "+strings.Join(planFields[:4], ", "))
}

// syntax tells what the reader of specs, who failed at the same place, has found there.
func (t *tree) syntax(found domain.Problems) {
	for _, p := range found {
		t.invalid(&yaml.Node{Line: p.Line, Column: p.Column}, p.Message, p.Hint)
		return
	}
	t.invalid(&yaml.Node{}, "this is not YAML", "check the indentation, the colons and the quotes")
}

// check walks the nodes once.
func (t *tree) check(n *yaml.Node, depth int) {
	switch {
	case depth > maxDepth:
		t.invalid(n, fmt.Sprintf("the plan is nested more than %d levels deep", maxDepth), "check the brackets and the indentation")
		return
	case n.Kind == yaml.AliasNode:
		return // its anchor is reported
	case n.Anchor != "":
		t.invalid(n, "anchors (&) and aliases (*) are not allowed in a plan", "write the value out; put text that begins with & or * in quotes")
		return
	case n.Style&yaml.TaggedStyle != 0:
		t.invalid(n, "the tag "+quote(n.Tag)+" is not allowed in a plan", "remove it; write text that looks like a number in quotes")
	}
	first := map[string]int{}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			t.key(c, first)
		}
		t.check(c, depth+1)
	}
}

func (t *tree) key(key *yaml.Node, first map[string]int) {
	if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" {
		t.invalid(key, "the name of a field has to be plain text", "write it as name: value, without merge keys (<<)")
		return
	}
	if line, ok := first[key.Value]; ok {
		t.invalid(key, fmt.Sprintf("%s is written twice: first on line %d, again on line %d", quote(key.Value), line, key.Line), "keep one of the two")
		return
	}
	first[key.Value] = key.Line
}

// entry is a field of a mapping. Up to end, an offset in the block, there is nothing but its value.
type entry struct {
	key, value *yaml.Node
	end        int
	flow       bool // the field stands in {}, where only the reader knows its end
}

// place is where a problem of the value is: at the field's name when nothing is written there.
func (e entry) place() *yaml.Node {
	if e.value.Kind == yaml.ScalarNode && e.value.Value == "" {
		return e.key
	}
	return e.value
}

// group lists the fields of a group that stands in another.
func (t *tree) group(e entry, what string) []entry {
	if e.place() == e.key {
		t.invalid(e.key, what+" is empty", "write its fields below it, indented, as name: value")
		return nil
	}
	return t.mapping(e.value, what, e.end)
}

// mapping lists the fields of a group that has to be there. end is where the group ends.
func (t *tree) mapping(n *yaml.Node, what string, end int) (entries []entry) {
	if n.Kind != yaml.MappingNode || len(n.Content) == 0 {
		t.invalid(n, what+" has to be a group of fields", "write the fields below it, indented, as name: value")
		return nil
	}
	flow := n.Style&yaml.FlowStyle != 0
	for i := 0; i+1 < len(n.Content); i += 2 {
		e := entry{key: n.Content[i], value: n.Content[i+1], end: end, flow: flow}
		if i+2 < len(n.Content) && !flow {
			e.end = t.offset(n.Content[i+2].Line, 1)
		}
		entries = append(entries, e)
	}
	return entries
}

// offset is where a line and column, both from 1, are in the block.
func (t *tree) offset(line, column int) int {
	if line > len(t.lines) {
		return len(t.source)
	}
	at := t.lines[line-1]
	for i := range t.source[at:] {
		if column--; column == 0 {
			return at + i
		}
	}
	return len(t.source)
}

// unseen finds the first character that a page does not show. It is -1 when there is none.
func unseen(s string) int { return strings.IndexFunc(s, unseenRune) }

// unseenRune reports whether a page does not show a character, or turns what is around it, or readers of YAML
// take it for the end of a line while nobody else does.
func unseenRune(c rune) bool {
	return c != '\n' && c != '\t' && unicode.IsControl(c) || c == 0xFEFF ||
		c >= 0x2028 && c <= 0x202E || c >= 0x2066 && c <= 0x2069
}
