package command

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// modified reads the spec that replaces the VM's. The reader of specs gets the text as it was written, at
// the place where it was written, so that its problems name the lines of the block.
func (r *planReader) modified(p *Plan, ref spec.Ref, e entry, explained bool) {
	if !explained {
		r.invalid(e.key, "a modified spec needs a reason", "add a line beside modifiedSpec: reason: why the spec is changed")
	}
	if e.value.Kind != yaml.MappingNode {
		r.invalid(e.place(), "modifiedSpec has to be a group of fields", "write the whole spec below it, indented, as name: value")
		return
	}
	if e.flow {
		r.invalid(e.key, "modifiedSpec stands in {} together with other fields", "write each field of the plan on a line of its own; only the spec itself may stand in {}")
		return
	}
	raw, placed := r.cut(e)
	if !same(e.value, placed) {
		r.invalid(e.key, "modifiedSpec cannot be cut out of the plan", "write it in the plain form: modifiedSpec: on a line, and the fields below it, indented")
		return
	}
	doc, problems := spec.ParseModifiedSpec(ref, []byte(placed))
	if doc == nil && p.Reason != "" {
		doc, problems = withReason(ref, e, p.Reason, problems)
	}
	for _, problem := range problems {
		problem.Path = "" // the lines are the block's
		r.add(problem)
	}
	if doc != nil {
		p.Modified, p.ModifiedRaw = &spec.Document{Ref: doc.Ref, Spec: doc.Spec}, []byte(raw)
	}
}

// cut returns the text of a value, and the same text at its place in an otherwise empty block.
func (r *planReader) cut(e entry) (raw, placed string) {
	start, line := r.offset(e.value.Line, e.value.Column), r.offset(e.value.Line, 1)
	if strings.Trim(r.source[line:start], " ") == "" {
		raw = r.source[line:max(line, e.end)]
		return raw, strings.Repeat("\n", e.value.Line-1) + raw
	}
	raw = r.source[start:max(start, e.end)]
	return raw, strings.Repeat("\n", e.value.Line-1) + strings.Repeat(" ", e.value.Column-1) + raw
}

// same reports whether the text reads as the very nodes that the block has.
func same(n *yaml.Node, text string) bool {
	var document yaml.Node
	if yaml.Unmarshal([]byte(text), &document) != nil || len(document.Content) != 1 {
		return false
	}
	return equal(n, document.Content[0])
}

func equal(a, b *yaml.Node) bool {
	if a.Kind != b.Kind || a.Tag != b.Tag || a.Value != b.Value || a.Line != b.Line || a.Column != b.Column || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !equal(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

// withReason reads a spec that leaves its reason out with the plan's in its place. found are the problems of
// the text as it was written; those that remain keep their places, and those that only show now are put
// where the spec is.
func withReason(ref spec.Ref, e entry, reason string, found domain.Problems) (*spec.Document, domain.Problems) {
	if _, ok := field(e.value, fieldReason); ok {
		return nil, found
	}
	whole := *e.value
	whole.Content = append([]*yaml.Node{
		{Kind: yaml.ScalarNode, Tag: "!!str", Value: fieldReason},
		{Kind: yaml.ScalarNode, Tag: "!!str", Value: reason, Style: yaml.DoubleQuotedStyle},
	}, whole.Content...)
	text, err := yaml.Marshal(&whole)
	if err != nil {
		return nil, found
	}
	doc, left := spec.ParseModifiedSpec(ref, text)
	found = slices.Clone(found)
	for i, p := range left {
		left[i].Line, left[i].Column = e.key.Line, e.key.Column
		at := slices.IndexFunc(found, func(f domain.Problem) bool { return f.Code == p.Code && f.Message == p.Message })
		if at >= 0 {
			left[i] = found[at]
			found = slices.Delete(found, at, at+1)
		}
	}
	return doc, left
}

func field(n *yaml.Node, name string) (value *yaml.Node, ok bool) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1], true
		}
	}
	return nil, false
}
