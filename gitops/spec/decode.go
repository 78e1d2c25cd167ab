package spec

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"kv-shepherd.io/shepherd/internal/domain"
)

// decoder fills Go values from a checked node tree, strictly: no unknown fields, no conversions, all
// required fields, every rule of the tags. It goes on after a problem, so that people see them all.
type decoder struct {
	kind     Kind
	planned  bool // the spec comes from a plan, which answers with codes of its own
	problems domain.Problems
}

func (d *decoder) add(p domain.Problem) {
	if len(d.problems) < maxProblems {
		d.problems = append(d.problems, p)
	}
}

func (d *decoder) invalid(n *yaml.Node, message, hint string) { d.add(invalid(n, message, hint)) }

// value decodes n into v. path is the field's path in messages; where is the place at which a value that is not
// there is missed.
func (d *decoder) value(n, where *yaml.Node, v reflect.Value, r *rule, path string) {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" {
		d.invalid(n, path+" has no value", "give it one or remove the line")
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, where, v.Elem(), r, path)
	case reflect.Struct:
		d.object(n, where, v, path)
	case reflect.Slice:
		d.list(n, where, v, r, path)
	case reflect.Map:
		d.mapping(n, where, v, r, path)
	case reflect.Interface:
		v.Set(reflect.ValueOf(d.free(n, path)))
	default:
		d.scalar(n, v, r, path)
	}
}

func (d *decoder) object(n, where *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.MappingNode {
		d.invalid(n, path+" has to be a group of fields", "write its fields below it, indented, as name: value")
		return
	}
	s, seen := shapeOf(v.Type()), uint64(0)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		f := s.field(key.Value)
		if f == nil {
			// A misspelt field is one problem: the field that was meant is not missed as well.
			if meant := s.field(d.unknown(key, s.names, path)); meant != nil {
				seen |= 1 << meant.index
			}
			continue
		}
		seen |= 1 << f.index
		d.value(n.Content[i+1], key, v.Field(f.index), &f.rule, path+"."+f.name)
	}
	for i := range s.fields {
		if f := &s.fields[i]; f.required && seen&(1<<f.index) == 0 {
			d.missing(where, f, path)
		}
	}
}

func (d *decoder) missing(where *yaml.Node, f *field, path string) {
	if d.planned && path == "spec" {
		d.add(problemAt(where, domain.RequiredFieldRemoved, f.name+" is left out, but required", "a modified spec replaces the whole spec: "+exampleLine(f)))
		return
	}
	d.invalid(where, path+" lacks the field "+f.name, exampleLine(f))
}

func exampleLine(f *field) string {
	if f.rule.example == "" {
		return "add " + f.name
	}
	return "add a line such as " + f.name + ": " + f.rule.example
}

func (d *decoder) list(n, where *yaml.Node, v reflect.Value, r *rule, path string) {
	if n.Kind != yaml.SequenceNode {
		d.invalid(n, path+" has to be a list", "write each entry on a line of its own, beginning with a hyphen and a space")
		return
	}
	if r.maxItems > 0 && len(n.Content) > r.maxItems {
		d.invalid(where, fmt.Sprintf("%s has %d entries; at most %d are allowed", path, len(n.Content), r.maxItems), "remove some")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.Content), len(n.Content)))
	for i, item := range n.Content {
		d.value(item, item, v.Index(i), r, path+"["+strconv.Itoa(i)+"]")
		if r.unique && v.Index(i).Kind() == reflect.String && repeats(v, i) {
			d.invalid(item, fmt.Sprintf("%s[%d] repeats an entry before it", path, i), "remove one of the two")
		}
	}
}

func repeats(v reflect.Value, i int) bool {
	for j := range i {
		if v.Index(j).String() == v.Index(i).String() {
			return true
		}
	}
	return false
}

const maxKeys = 100

func (d *decoder) mapping(n, where *yaml.Node, v reflect.Value, r *rule, path string) {
	if n.Kind != yaml.MappingNode {
		d.invalid(n, path+" has to be a group of fields", "write its fields below it, indented, as name: value")
		return
	}
	if len(n.Content) > 2*maxKeys {
		d.invalid(where, fmt.Sprintf("%s has %d fields; at most %d are allowed", path, len(n.Content)/2, maxKeys), "remove some")
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.Content)/2))
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if !d.freeKey(key) {
			continue
		}
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(n.Content[i+1], key, item, r, path+step(key.Value))
		if item.Kind() != reflect.Interface || !item.IsNil() {
			v.SetMapIndex(reflect.ValueOf(key.Value), item)
		}
	}
}

// freeKey reports whether a key that no type of ours knows can be shown and stored.
func (d *decoder) freeKey(key *yaml.Node) bool {
	if checkText(key.Value) == "" && key.Value != "" && len(key.Value) <= 200 {
		return true
	}
	d.invalid(key, "this is not a usable name for a field", "use at most 200 plain characters")
	return false
}

// step is how a key reads in a field path: in quotes unless it is a plain word. Document.Position
// reads it back.
func step(key string) string {
	for _, c := range []byte(key) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return "[" + strconv.Quote(key) + "]"
		}
	}
	return "." + key
}

// free decodes what has no type of ours into JSON's types.
func (d *decoder) free(n *yaml.Node, path string) any {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch n.Kind {
	case yaml.MappingNode:
		object := make(map[string]any, len(n.Content)/2)
		for i := 0; i+1 < len(n.Content); i += 2 {
			d.freeKey(n.Content[i])
			object[n.Content[i].Value] = d.free(n.Content[i+1], path)
		}
		return object
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			list[i] = d.free(item, path)
		}
		return list
	}
	return d.freeScalar(n, path)
}

func (d *decoder) freeScalar(n *yaml.Node, path string) any {
	switch n.ShortTag() {
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int":
		if i, err := strconv.ParseInt(n.Value, 10, 64); err == nil && plainInt(n.Value) && i <= maxSafe && i >= -maxSafe {
			return i
		}
	case "!!float":
		if f, err := strconv.ParseFloat(n.Value, 64); err == nil && f-f == 0 {
			return f
		}
	case "!!null":
		return nil
	default:
		if problem := checkText(n.Value); problem != "" {
			d.invalid(n, path+" "+problem, "remove it")
		}
		return n.Value
	}
	d.invalid(n, path+" holds the number "+quote(n.Value)+", which has no exact form", "write plain digits, or put it in quotes")
	return n.Value
}

// maxSafe is the greatest whole number that JSON carries exactly everywhere.
const maxSafe = 1<<53 - 1
