package published

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// checkRequest holds a request that was accepted against the description: GitHub has to accept it as well, and has to
// know all of what it asks for.
func (e *edition) checkRequest(op operation, x Exchange, doc document) []Violation {
	where := x.Route + " ←"
	query := x.Request.URL.Query()
	var out []Violation
	for i, p := range op.Params {
		if p.In != "query" {
			continue
		}
		values, given := query[p.Name]
		delete(query, p.Name)
		switch {
		case given:
			at := pointer("operations", x.Route, "params", strconv.Itoa(i), "schema")
			for _, v := range e.validateValue(where, at, typed(p.Schema, values[0])) {
				v.Pointer = "?" + p.Name
				out = append(out, v)
			}
		case p.Needs:
			out = append(out, Violation{where, "?" + p.Name, "is missing", e.name})
		}
	}
	for name := range query {
		out = append(out, Violation{where, "?" + name, "is no parameter of it", e.name})
	}
	return append(out, e.checkSent(op, x, where, doc)...)
}

func (e *edition) checkSent(op operation, x Exchange, where string, doc document) []Violation {
	sent := bytes.TrimSpace(x.Sent)
	if string(sent) == "null" {
		sent = nil // as go-github writes that there is none
	}
	switch {
	case len(sent) == 0 && op.Needs:
		return []Violation{{where, "", "has no body", e.name}}
	case len(sent) == 0:
		return nil
	case op.Body == nil:
		return []Violation{{where, "", "has a body, none is described", e.name}}
	}
	out := e.validate(where, pointer("operations", x.Route, "body"), doc)
	return append(out, e.unknownProperties(op, sent, where)...)
}

// unknownProperties finds what GitHub would silently ignore at the top of a body.
func (e *edition) unknownProperties(op operation, sent []byte, where string) []Violation {
	var schema struct {
		Properties map[string]any `json:"properties"`
		AnyOf      []any          `json:"anyOf"`
		OneOf      []any          `json:"oneOf"`
	}
	var body map[string]any
	if json.Unmarshal(op.Body, &schema) != nil || json.Unmarshal(sent, &body) != nil || len(schema.Properties) == 0 {
		return nil // a reference or a choice of schemas, or no object
	}
	var out []Violation
	for _, name := range slices.Sorted(maps.Keys(body)) {
		if _, known := schema.Properties[name]; !known {
			if v := (Violation{where, "/" + name, "is no property of it", e.name}); !v.explained() {
				out = append(out, v)
			}
		}
	}
	return out
}

// typed reads a parameter or header as the type that its schema has.
func typed(schema json.RawMessage, text string) any {
	var s struct {
		Type any `json:"type"`
	}
	if err := json.Unmarshal(schema, &s); err != nil {
		return text
	}
	switch s.Type {
	case "integer", "number":
		if _, err := strconv.ParseFloat(text, 64); err == nil {
			return json.Number(text)
		}
	case "boolean":
		if b, err := strconv.ParseBool(text); err == nil {
			return b
		}
	}
	return text
}
