package spec

import (
	"reflect"
	"strconv"
	"strings"
	"sync"

	"kv-shepherd.io/shepherd/internal/domain"
)

// shape is what the reader knows of a struct type: its fields and the rules in their tags.
type shape struct {
	fields []field
	names  []string
}

type field struct {
	name     string
	index    int
	required bool
	rule     rule
}

// rule is what a `jsonschema` tag says of a field; zero values ask for nothing. For a list it is
// about its items, but for maxItems and unique.
type rule struct {
	format    string
	example   string
	enum      []string
	maxLength int
	maxItems  int
	unique    bool
	minimum   int64
	maximum   int64
	bounded   bool
}

// enums are the types with a closed list of values.
var enums = map[reflect.Type][]string{
	reflect.TypeFor[Power]():              {"running", "stopped"},
	reflect.TypeFor[DeletionPolicy]():     {"retain", "delete"},
	reflect.TypeFor[ClusterStatus]():      {"active", "cordoned", "retired"},
	reflect.TypeFor[TemplateStatus]():     {"draft", "active", "deprecated", "archived"},
	reflect.TypeFor[domain.Environment](): {"test", "prod"},
	reflect.TypeFor[domain.Operation]():   operations(),
}

func operations() (names []string) {
	for _, o := range domain.Operations() {
		names = append(names, string(o))
	}
	return names
}

var shapes sync.Map // reflect.Type → *shape

func shapeOf(t reflect.Type) *shape {
	if s, ok := shapes.Load(t); ok {
		return s.(*shape)
	}
	s := &shape{}
	for i := range t.NumField() {
		f := t.Field(i)
		if f.Tag.Get("jsonschema") == "-" {
			continue // no part of documents
		}
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		s.fields = append(s.fields, field{
			name: name, index: i, required: options == "", rule: parseRule(f.Tag.Get("jsonschema"), f.Type),
		})
		s.names = append(s.names, name)
	}
	shapes.Store(t, s)
	return s
}

func (s *shape) field(name string) *field {
	for i := range s.fields {
		if s.fields[i].name == name {
			return &s.fields[i]
		}
	}
	return nil
}

func parseRule(tag string, t reflect.Type) (r rule) {
	if t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	r.enum = enums[t]
	for _, part := range strings.Split(tag, ",") {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "format":
			r.format = value
		case "example":
			r.example = value
		case "enum":
			r.enum = append(r.enum, value)
		case "maxLength":
			r.maxLength, _ = strconv.Atoi(value)
		case "maxItems":
			r.maxItems, _ = strconv.Atoi(value)
		case "uniqueItems":
			r.unique = value == "true"
		case "minimum":
			r.minimum, _ = strconv.ParseInt(value, 10, 64)
			r.bounded = true
		case "maximum":
			r.maximum, _ = strconv.ParseInt(value, 10, 64)
		}
	}
	return r
}
