package main

import (
	"fmt"
	"slices"
	"strings"
)

// translator turns the schemas of an OpenAPI description into JSON Schemas of the 2020-12 draft and remembers which
// named schemas they need. What only people read is left out; a keyword that it does not know is an error, so that
// nothing that constrains is lost.
type translator struct {
	components map[string]map[string]any
	schemas    object // the named schemas that are needed, translated
}

func newTranslator(d *document) *translator {
	return &translator{components: d.Components, schemas: object{}}
}

const (
	prose = iota // for people
	value        // taken over as it is
	one          // a schema
	several
	named // schemas by property
)

var keywords = map[string]int{
	"description": prose, "title": prose, "example": prose, "examples": prose, "default": prose, "externalDocs": prose,
	"deprecated": prose, "readOnly": prose, "writeOnly": prose, "discriminator": prose, "nullable": prose,
	"x-github-breaking-changes": prose, "x-multi-segment": prose, "x-github": prose, "$comment": prose, "$schema": prose, "tsAdditionalProperties": prose,
	"type": value, "enum": value, "const": value, "format": value, "pattern": value, "required": value,
	"minimum": value, "maximum": value, "exclusiveMinimum": value, "exclusiveMaximum": value, "multipleOf": value,
	"minLength": value, "maxLength": value, "minItems": value, "maxItems": value, "uniqueItems": value,
	"minProperties": value, "maxProperties": value,
	"items": one, "additionalProperties": one, "not": one,
	"allOf": several, "anyOf": several, "oneOf": several,
	"properties": named, "patternProperties": named,
}

func (t *translator) schema(v any) (any, error) {
	in, isObject := v.(object)
	if !isObject {
		return v, nil // additionalProperties may be true or false
	}
	if ref, isRef := in["$ref"].(string); isRef {
		return t.reference(ref)
	}
	out := object{}
	for keyword, v := range in {
		kind, known := keywords[keyword]
		if !known {
			return nil, fmt.Errorf("unknown keyword %s", keyword)
		}
		if kind == prose {
			continue
		}
		translated, err := t.keyword(kind, v)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", keyword, err)
		}
		out[keyword] = translated
	}
	if out["format"] == "uri" && in["default"] == "" {
		delete(out, "format") // GitHub's own default is none
	}
	if in["nullable"] == true {
		return orNull(out), nil
	}
	return out, nil
}

func (t *translator) keyword(kind int, v any) (any, error) {
	switch kind {
	case one:
		return t.schema(v)
	case several:
		var out []any
		for _, part := range list(v) {
			s, err := t.schema(part)
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
		return out, nil
	case named:
		out := object{}
		for name, part := range v.(object) {
			s, err := t.schema(part)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			out[name] = s
		}
		return out, nil
	}
	return v, nil
}

func (t *translator) reference(ref string) (any, error) {
	name := strings.TrimPrefix(strings.TrimPrefix(ref, "#/components/schemas/"), "#/definitions/")
	if strings.Contains(name, "/") {
		return nil, fmt.Errorf("%s is no schema", ref)
	}
	if _, done := t.schemas[name]; !done {
		t.schemas[name] = nil // schemas may contain themselves
		s, err := t.schema(t.components["schemas"][name])
		if err != nil {
			return nil, fmt.Errorf("schema %s: %w", name, err)
		}
		if s == nil {
			return nil, fmt.Errorf("schema %s is missing", name)
		}
		t.schemas[name] = s
	}
	return object{"$ref": "#/schemas/" + name}, nil
}

// orNull lets a schema allow null, as the word nullable of OpenAPI 3.0 does.
func orNull(s object) object {
	for _, part := range []string{"allOf", "anyOf", "oneOf", "not", "const"} {
		if s[part] != nil {
			return object{"anyOf": []any{s, object{"type": "null"}}}
		}
	}
	if kind, isOne := s["type"].(string); isOne {
		s["type"] = []any{kind, "null"}
	}
	if values := list(s["enum"]); values != nil && !slices.Contains(values, nil) {
		s["enum"] = append(slices.Clone(values), nil)
	}
	return s
}

// deref follows a reference to a parameter, header or response of the description.
func (t *translator) deref(v any) (object, error) {
	in, _ := v.(object)
	ref, isRef := in["$ref"].(string)
	if !isRef {
		return in, nil
	}
	parts := strings.Split(strings.TrimPrefix(ref, "#/components/"), "/")
	if len(parts) != 2 {
		return nil, fmt.Errorf("cannot follow %s", ref)
	}
	found, _ := t.components[parts[0]][parts[1]].(object)
	if found == nil {
		return nil, fmt.Errorf("%s is missing", ref)
	}
	return found, nil
}
