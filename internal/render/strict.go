package render

import (
	"encoding/json"
	"reflect"
	"strings"

	kubevirtv1 "kubevirt.io/api/core/v1"
	kjson "sigs.k8s.io/json"
)

// unknownFieldError is the path of a member that the Go types do not have.
type unknownFieldError string

func (e unknownFieldError) Error() string { return "unknown field " + string(e) }

// decodeStrict decodes as the API server does with strict field validation: an unknown or repeated
// field is an error, and so is one whose case is wrong.
//
// A strict decoder alone is not enough: VirtualMachineInstanceSpec and two more of KubeVirt's types
// decode themselves, tolerantly, and everything below them would pass. So the members are also
// compared with the types' own.
func decodeStrict(data []byte, into any) error {
	strict, err := kjson.UnmarshalStrict(data, into)
	if err != nil {
		return err
	}
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return err
	}
	if path := unknownField(reflect.TypeOf(into), value, ""); path != "" {
		return unknownFieldError(path)
	}
	if len(strict) > 0 {
		return strict[0]
	}
	return nil
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

// unknownField returns the path of the first member of value that type t has no field for.
func unknownField(t reflect.Type, value any, path string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch value := value.(type) {
	case map[string]any:
		if opaque(t) {
			return ""
		}
		for key, member := range sorted(value) {
			name := key
			if path != "" {
				name = path + "." + key
			}
			field, found := memberType(t, key)
			if !found {
				return name
			}
			if unknown := unknownField(field, member, name); unknown != "" {
				return unknown
			}
		}
	case []any:
		if t.Kind() != reflect.Slice && t.Kind() != reflect.Array {
			return ""
		}
		for i, element := range value {
			if unknown := unknownField(t.Elem(), element, indexed(path, i)); unknown != "" {
				return unknown
			}
		}
	}
	return ""
}

// opaque: a quantity or a time reads its own text. KubeVirt's types that decode themselves read
// their own fields and nothing else.
func opaque(t reflect.Type) bool {
	own := t.PkgPath() == reflect.TypeFor[kubevirtv1.VirtualMachine]().PkgPath()
	return t.Kind() != reflect.Struct && t.Kind() != reflect.Map || reflect.PointerTo(t).Implements(unmarshaler) && !own
}

// memberType is the type of the member of that very name; inlined structs are looked through.
func memberType(t reflect.Type, name string) (reflect.Type, bool) {
	if t.Kind() == reflect.Map {
		return t.Elem(), true
	}
	for field := range t.Fields() {
		tag, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if tag == name && tag != "-" {
			return field.Type, true
		}
		if tag == "" && (field.Anonymous || strings.Contains(options, "inline")) {
			inner := field.Type
			if inner.Kind() == reflect.Pointer {
				inner = inner.Elem()
			}
			if found, ok := memberType(inner, name); ok {
				return found, true
			}
		}
	}
	return nil, false
}
