package render

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Difference is one field of an object with the value that it has and the one that it gets, both whole; nil is
// absent. A list is one value.
type Difference struct {
	Path     []string
	From, To any
}

// Differences are the fields in which two objects differ, in the order of their paths; status and what the
// server writes by itself are left out. Both are JSON as it is decoded into maps.
func Differences(from, to map[string]any) []Difference {
	if from["metadata"] == nil || to["metadata"] == nil {
		from, to = withMetadata(from), withMetadata(to)
	}
	return walk(nil, from, to)
}

// withMetadata is the object with metadata, be they empty, so that what the server writes is found in them.
func withMetadata(object map[string]any) map[string]any {
	out := map[string]any{"metadata": map[string]any{}}
	maps.Copy(out, object)
	return out
}

// server are the members that the API server writes by itself.
var server = [][]string{
	{"status"}, {"metadata", "managedFields"}, {"metadata", "resourceVersion"}, {"metadata", "generation"},
	{"metadata", "creationTimestamp"}, {"metadata", "uid"}, {"metadata", "selfLink"},
}

func walk(path []string, from, to any) []Difference {
	if slices.ContainsFunc(server, func(p []string) bool { return slices.Equal(p, path) }) {
		return nil
	}
	left, leftMap := from.(map[string]any)
	right, rightMap := to.(map[string]any)
	if !leftMap || !rightMap {
		if reflect.DeepEqual(from, to) {
			return nil
		}
		return []Difference{{path, from, to}}
	}
	var out []Difference
	for _, key := range allKeys(left, right) {
		out = append(out, walk(append(slices.Clone(path), key), left[key], right[key])...)
	}
	return out
}

// parts takes a list apart whose elements have names, so that a change of one disk is not shown as one of all.
func (d Difference) parts() []Difference {
	from, fromNamed := named(d.From)
	to, toNamed := named(d.To)
	if !fromNamed || !toNamed || len(from)+len(to) == 0 {
		return []Difference{d}
	}
	var out []Difference
	for _, name := range allKeys(from, to) {
		path := append(slices.Clone(d.Path), "["+name+"]")
		for _, part := range walk(path, from[name], to[name]) {
			out = append(out, part.parts()...)
		}
	}
	if len(out) == 0 {
		return []Difference{d} // another order
	}
	return out
}

// named is a list as a map by the names of its elements. It reports false for what is no such list; an absent
// one has no elements.
func named(value any) (map[string]any, bool) {
	if value == nil {
		return nil, true
	}
	list, isList := value.([]any)
	out := make(map[string]any, len(list))
	for _, element := range list {
		object, _ := element.(map[string]any)
		name, ok := object["name"].(string)
		if meta, isMeta := object["metadata"].(map[string]any); isMeta && !ok {
			name, ok = meta["name"].(string)
		}
		if _, twice := out[name]; !ok || twice {
			return nil, false
		}
		out[name] = element
	}
	return out, isList
}

func (d Difference) below(keys ...string) bool {
	return len(d.Path) >= len(keys) && slices.Equal(d.Path[:len(keys)], keys)
}

func (d Difference) at(keys ...string) bool { return slices.Equal(d.Path, keys) }

// mentions reports whether the difference is in, or holds, the member of that name.
func (d Difference) mentions(key string) bool {
	from, _ := d.From.(map[string]any)
	to, _ := d.To.(map[string]any)
	return slices.Contains(d.Path, key) || from[key] != nil || to[key] != nil
}

// String is the path as people write it: spec.volumes[data].dataVolume.name, labels["example.com/a"].
func (d Difference) String() string {
	var b strings.Builder
	for _, key := range d.Path {
		switch {
		case strings.HasPrefix(key, "["):
			b.WriteString(key)
		case strings.ContainsAny(key, "./[] "):
			fmt.Fprintf(&b, "[%q]", key)
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(key)
		}
	}
	return b.String()
}

func (d Difference) change(kind string, impact Impact) FieldChange {
	out := FieldChange{Path: d.String(), From: Short(d.From), To: Short(d.To), Impact: impact}
	if kind == KindSecret && (d.below("data") || d.below("stringData")) || d.private() {
		out.From, out.To = hidden(d.From), hidden(d.To)
	}
	return out
}

// private: cloud-init's texts may hold passwords, whoever wrote them.
func (d Difference) private() bool {
	return slices.ContainsFunc(d.Path, isPrivate) || holdsPrivate(d.From) || holdsPrivate(d.To)
}

func isPrivate(key string) bool {
	return key == "cloudInitNoCloud" || key == "cloudInitConfigDrive" || key == "sysprep"
}

func holdsPrivate(value any) bool {
	switch value := value.(type) {
	case map[string]any:
		for key, member := range value {
			if isPrivate(key) || holdsPrivate(member) {
				return true
			}
		}
	case []any:
		return slices.ContainsFunc(value, holdsPrivate)
	}
	return false
}

func hidden(value any) string {
	if value == nil {
		return ""
	}
	if text, isText := value.(string); isText {
		return "(" + strconv.Itoa(len(text)) + " bytes)"
	}
	return "(not shown)"
}

// maxShown is how many characters of a value are shown.
const maxShown = 60

// Short is a value as it is shown to people: on one line, at most 60 characters. Nil is empty.
func Short(value any) string {
	text, isText := value.(string)
	switch {
	case value == nil:
		return ""
	case !isText:
		data, err := json.Marshal(value)
		if err != nil {
			return "(not shown)"
		}
		text = string(data)
	case text == "":
		return `""`
	}
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if utf8.RuneCountInString(text) > maxShown {
		text = string([]rune(text)[:maxShown-1]) + "…"
	}
	return text
}
