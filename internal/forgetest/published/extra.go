package published

import (
	"maps"
	"slices"
	"strings"
)

// described is a schema of an edition, as it stands in its document.
type described struct {
	edition *edition
	schema  map[string]any
}

// undescribedFields finds what GitHub does not send: fields of an answer that no edition describes at their place. A
// schema allows them, but a client that used one would find it here alone.
func undescribedFields(v any, schemas []described, at string) []string {
	switch v := v.(type) {
	case []any:
		var out []string
		for _, item := range v {
			out = append(out, undescribedFields(item, within(schemas, "items"), at+"/*")...)
		}
		return out
	case map[string]any:
		return undescribedIn(v, flat(schemas), at)
	}
	return nil
}

func undescribedIn(v map[string]any, schemas []described, at string) []string {
	properties := map[string][]described{}
	for _, d := range schemas {
		named, _ := d.schema["properties"].(map[string]any)
		if open := d.schema["additionalProperties"]; len(named) == 0 || open != nil && open != false {
			return nil // anything goes
		}
		for name, s := range named {
			if s, isObject := s.(map[string]any); isObject {
				properties[name] = append(properties[name], described{d.edition, s})
			}
		}
	}
	if len(properties) == 0 {
		return nil
	}
	var out []string
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if properties[name] == nil {
			out = append(out, at+"/"+name)
			continue
		}
		out = append(out, undescribedFields(v[name], properties[name], at+"/"+name)...)
	}
	return out
}

// flat follows references and choices down to the schemas that speak of objects.
func flat(schemas []described) []described {
	var out []described
	for _, d := range schemas {
		if ref, isRef := d.schema["$ref"].(string); isRef {
			out = append(out, flat([]described{d.edition.named(ref)})...)
			continue
		}
		var parts []described
		for _, key := range []string{"allOf", "anyOf", "oneOf"} {
			parts = append(parts, flat(within([]described{d}, key))...)
		}
		out = append(out, parts...)
		if d.schema["properties"] != nil || len(parts) == 0 && speaksOfObjects(d.schema) {
			out = append(out, d)
		}
	}
	return out
}

func speaksOfObjects(schema map[string]any) bool {
	kinds, isList := schema["type"].([]any)
	return schema["type"] == "object" || schema["type"] == nil || isList && slices.Contains(kinds, any("object"))
}

// within are the schemas under a keyword of any of several.
func within(schemas []described, key string) []described {
	var out []described
	if key == "items" {
		schemas = flatLists(schemas)
	}
	for _, d := range schemas {
		switch part := d.schema[key].(type) {
		case map[string]any:
			out = append(out, described{d.edition, part})
		case []any:
			for _, p := range part {
				if p, isObject := p.(map[string]any); isObject {
					out = append(out, described{d.edition, p})
				}
			}
		}
	}
	return out
}

// flatLists follows references and choices down to the schemas that speak of lists.
func flatLists(schemas []described) []described {
	var out []described
	for _, d := range schemas {
		if ref, isRef := d.schema["$ref"].(string); isRef {
			out = append(out, flatLists([]described{d.edition.named(ref)})...)
			continue
		}
		for _, key := range []string{"allOf", "anyOf", "oneOf"} {
			out = append(out, flatLists(within([]described{d}, key))...)
		}
		if d.schema["items"] != nil {
			out = append(out, d)
		}
	}
	return out
}

func (e *edition) named(ref string) described {
	s, _ := e.schemas[strings.TrimPrefix(ref, "#/schemas/")].(map[string]any)
	return described{e, s}
}
