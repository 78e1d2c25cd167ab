package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"kv-shepherd.io/shepherd/internal/domain"
)

// Document is a governed document that was read without an error.
type Document struct {
	Ref  Ref
	Spec any // a pointer to the Kind's type, such as *VirtualMachine

	root *yaml.Node
}

// As returns the document's spec as its type, such as As[VirtualMachine](doc).
func As[T any](d *Document) (*T, bool) {
	if d == nil {
		return nil, false
	}
	s, ok := d.Spec.(*T)
	return s, ok
}

// Parse reads the document at ref's path. Without an error among the problems the document is
// complete and keeps every rule that one file alone can keep; with one it is nil.
func Parse(ref Ref, data []byte) (*Document, domain.Problems) {
	if ref.Kind == KindForge {
		sum := sha256.Sum256(data)
		return &Document{Ref: ref, Spec: &ForgeFile{SHA256: hex.EncodeToString(sum[:])}}, nil
	}
	return parse(ref, data, func(d *decoder, root *yaml.Node) *yaml.Node { return d.envelope(ref, root) })
}

// ParseModifiedSpec reads the spec of a plan, which stands alone, without apiVersion and kind. It
// replaces the whole spec: a required field left out is REQUIRED_FIELD_REMOVED, and an attempt to
// change the identity is NAMESPACE_IMMUTABLE or SERVICE_IMMUTABLE.
func ParseModifiedSpec(ref Ref, data []byte) (*Document, domain.Problems) {
	return parse(ref, data, func(d *decoder, root *yaml.Node) *yaml.Node {
		d.planned = true
		key := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "spec", Line: root.Line, Column: root.Column}
		return &yaml.Node{Kind: yaml.MappingNode, Line: root.Line, Column: root.Column, Content: []*yaml.Node{key, root}}
	})
}

func parse(ref Ref, data []byte, open func(*decoder, *yaml.Node) *yaml.Node) (*Document, domain.Problems) {
	doc := &Document{Ref: ref, Spec: newSpec(ref.Kind)}
	problems := doc.read(data, open)
	for i := range problems {
		problems[i].Path = ref.Path()
	}
	if problems.Blocking() {
		return nil, problems
	}
	return doc, problems
}

func (d *Document) read(data []byte, open func(*decoder, *yaml.Node) *yaml.Node) domain.Problems {
	if len(data) <= MaxBytes {
		if p := findSecret(data); p != nil {
			return domain.Problems{*p}
		}
	}
	root, problems := readYAML(data, treeCheck{})
	if root == nil {
		return problems
	}
	decoder := &decoder{kind: d.Ref.Kind, problems: problems}
	if d.root = open(decoder, root); d.root == nil {
		return decoder.problems
	}
	key, value := child(d.root, "spec")
	decoder.value(value, key, reflect.ValueOf(d.Spec).Elem(), &rule{}, "spec")
	if decoder.problems.Blocking() {
		return decoder.problems
	}
	return append(decoder.problems, d.validate()...)
}

// envelope checks what stands around the spec and returns root, or nil when there is no spec to read.
func (d *decoder) envelope(ref Ref, root *yaml.Node) *yaml.Node {
	if root.Kind != yaml.MappingNode {
		d.invalid(root, "the file has to be a group of fields", "write apiVersion, kind and spec")
		return nil
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		switch key := root.Content[i]; key.Value {
		case "apiVersion", "kind", "spec":
		default:
			d.unknown(key, []string{"apiVersion", "kind", "spec"}, "")
		}
	}
	d.constant(root, "apiVersion", APIVersion)
	d.constant(root, "kind", string(ref.Kind))
	if _, value := child(root, "spec"); value == nil {
		d.invalid(root, "the file lacks spec", "write spec: and the fields below it, indented")
		return nil
	}
	return root
}

func (d *decoder) constant(root *yaml.Node, name, want string) {
	key, value := child(root, name)
	switch {
	case key == nil:
		d.invalid(root, "the file lacks "+name, "add the line "+name+": "+want)
	case value.Kind != yaml.ScalarNode || value.Value != want:
		d.invalid(value, name+" is "+quote(value.Value)+", but a file at this path has "+want, "write "+name+": "+want)
	}
}

// child returns key and value of a field of a mapping, or nils.
func child(n *yaml.Node, name string) (key, value *yaml.Node) {
	if n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

// Position is where a field stands: the value of a simple field, the name of a field that holds a
// group or list. fieldPath reads as in messages: spec.disk, spec.networks[1].ip,
// spec.specOverrides["a.b"]. A field that is not there stands where the innermost group around it
// does. Both are 0 for a document without text.
func (d *Document) Position(fieldPath string) (line, column int) {
	n := d.root
	if n == nil {
		return 0, 0
	}
	where := n
	for fieldPath != "" {
		var name string
		index := -1
		name, index, fieldPath = nextStep(fieldPath)
		key, value := descend(n, name, index)
		if value == nil {
			break
		}
		n, where = value, value
		if value.Kind != yaml.ScalarNode && key != nil {
			where = key
		}
	}
	return where.Line, where.Column
}

func descend(n *yaml.Node, name string, index int) (key, value *yaml.Node) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if index >= 0 {
		if n.Kind == yaml.SequenceNode && index < len(n.Content) {
			return nil, n.Content[index]
		}
		return nil, nil
	}
	return child(n, name)
}

// nextStep takes the first step off a field path: a name, or an index when it is not negative.
func nextStep(path string) (name string, index int, rest string) {
	path = strings.TrimPrefix(path, ".")
	if !strings.HasPrefix(path, "[") {
		end := strings.IndexAny(path, ".[")
		if end < 0 {
			end = len(path)
		}
		return path[:end], -1, path[end:]
	}
	if quoted, err := strconv.QuotedPrefix(path[1:]); err == nil {
		name, _ = strconv.Unquote(quoted)
		return name, -1, strings.TrimPrefix(path[1+len(quoted):], "]")
	}
	digits, rest, _ := strings.Cut(path[1:], "]")
	index, err := strconv.Atoi(digits)
	if err != nil || index < 0 {
		return "", -1, ""
	}
	return "", index, rest
}

// Problem is a problem at a field of the document.
func (d *Document) Problem(code domain.Code, severity domain.Severity, fieldPath, message, hint string) domain.Problem {
	line, column := d.Position(fieldPath)
	return domain.Problem{
		Code: code, Severity: severity, Path: d.Ref.Path(), Line: line, Column: column, Message: message, Hint: hint,
	}
}

// literal reports whether a text field of the spec is a block that keeps its lines.
func (d *Document) literal(name string) bool {
	_, s := child(d.root, "spec")
	if s == nil {
		return false
	}
	_, value := descend(s, name, -1)
	return value != nil && value.Style&yaml.LiteralStyle != 0
}
