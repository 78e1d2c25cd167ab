package main

import (
	"maps"
	"slices"
	"strings"
)

// sampler makes the smallest value that fits a schema: required properties only, described examples where there are.
type sampler struct {
	components map[string]map[string]any
}

const deepest = 12 // schemas may contain themselves

func (s sampler) sample(schema object, depth int) any {
	if ref, isRef := schema["$ref"].(string); isRef {
		return s.sample(s.resolve(ref), depth)
	}
	if values, _ := schema["enum"].([]any); len(values) > 0 {
		return values[0]
	}
	for _, key := range []string{"const", "example", "default"} {
		if v, has := schema[key]; has && fits(schema, v) {
			return v
		}
	}
	for _, key := range []string{"oneOf", "anyOf"} {
		if choice, _ := schema[key].([]any); len(choice) > 0 && schema["properties"] == nil {
			return s.sample(choice[0].(object), depth)
		}
	}
	switch kind(schema) {
	case "object":
		return s.object(schema, depth)
	case "array":
		return []any{}
	case "string":
		return text(schema)
	case "integer", "number":
		return 1
	case "boolean":
		return false
	}
	return nil
}

func (s sampler) resolve(ref string) object {
	parts := strings.Split(strings.TrimPrefix(ref, "#/components/"), "/")
	schema, _ := s.components[parts[0]][parts[1]].(object)
	return schema
}

func (s sampler) object(schema object, depth int) object {
	out := object{}
	if depth > deepest {
		return out
	}
	for _, part := range list(schema["allOf"]) {
		if v, isObject := s.sample(part.(object), depth+1).(object); isObject {
			maps.Copy(out, v)
		}
	}
	properties, _ := schema["properties"].(object)
	for _, name := range list(schema["required"]) {
		if property, described := properties[name.(string)].(object); described {
			out[name.(string)] = s.sample(property, depth+1)
		}
	}
	return out
}

// kind is the type that a sample gets: of several, the first that says something.
func kind(schema object) string {
	switch t := schema["type"].(type) {
	case string:
		return t
	case []any:
		for _, one := range t {
			if one != "null" {
				return one.(string)
			}
		}
	}
	if schema["properties"] != nil || schema["allOf"] != nil {
		return "object"
	}
	return ""
}

func fits(schema object, v any) bool {
	switch v.(type) {
	case string:
		return slices.Contains([]string{"string", ""}, kind(schema))
	case bool:
		return kind(schema) == "boolean"
	case float64:
		return kind(schema) == "integer" || kind(schema) == "number"
	}
	return false
}

func text(schema object) string {
	switch schema["format"] {
	case "date-time":
		return "2026-01-02T03:04:05Z"
	case "date":
		return "2026-01-02"
	case "uri":
		return "https://example.com/"
	case "email":
		return "octocat@example.com"
	}
	return "text"
}

func list(v any) []any {
	all, _ := v.([]any)
	return all
}
