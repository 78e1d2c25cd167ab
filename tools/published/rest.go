package main

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// editions are the descriptions that the stand-in is held against, by the name under which they are kept.
var editions = map[string]string{
	"github.com":        "generated/api.github.com.json",
	"enterprise-server": "generated/ghes-3.19.json",
}

// restData has, for each edition, the operations by the stand-in's route, and the schemas that they refer to.
type restData map[string]struct {
	Operations map[string]operation `json:"operations"`
	Schemas    object               `json:"schemas"`
}

type operation struct {
	ID        string              `json:"id"`
	Params    []parameter         `json:"params"`
	Body      any                 `json:"body,omitempty"`
	BodyNeeds bool                `json:"bodyNeeds,omitempty"`
	Answers   map[string]response `json:"answers"`
}

type parameter struct {
	Name   string `json:"name"`
	In     string `json:"in"`
	Needs  bool   `json:"needs,omitempty"`
	Schema any    `json:"schema"`
}

type response struct {
	Type    string         `json:"type,omitempty"` // of the content; empty for an answer without
	Schema  any            `json:"schema,omitempty"`
	Headers map[string]any `json:"headers,omitempty"` // schemas
}

// described are addresses that GitHub serves without describing them, with those that it describes as answering alike.
var described = map[string]string{
	"/repositories/{}":                         "/repos/{}/{}",
	"/organizations/{}":                        "/orgs/{}",
	"/organizations/{}/team/{}":                "/orgs/{}/teams/{}",
	"/organizations/{}/team/{}/members":        "/orgs/{}/teams/{}/members",
	"/organizations/{}/team/{}/memberships/{}": "/orgs/{}/teams/{}/memberships/{}",
}

var wildcard = regexp.MustCompile(`\{[^}]*\}`)

func collectREST(ctx context.Context) (restData, error) {
	out := restData{}
	for edition, file := range editions {
		var d document
		if err := restSource.read(ctx, file, &d); err != nil {
			return nil, err
		}
		part := out[edition]
		t := newTranslator(&d)
		part.Operations, part.Schemas = map[string]operation{}, t.schemas
		paths := map[string]map[string]any{}
		for path, methods := range d.Paths {
			paths[wildcard.ReplaceAllString(path, "{}")] = methods
		}
		for _, route := range forgetest.Routes() {
			op, err := t.route(paths, route)
			if err != nil {
				return nil, fmt.Errorf("%s of %s: %w", route, edition, err)
			}
			part.Operations[route] = op
		}
		out[edition] = part
	}
	return out, nil
}

func (t *translator) route(paths map[string]map[string]any, route string) (operation, error) {
	method, path, _ := strings.Cut(route, " ")
	path = wildcard.ReplaceAllString(path, "{}")
	if as, is := described[path]; is {
		path = as
	}
	in, _ := paths[path][strings.ToLower(method)].(object)
	if in == nil {
		return operation{}, fmt.Errorf("GitHub does not describe it")
	}
	op := operation{ID: in["operationId"].(string), Answers: map[string]response{}}
	for _, p := range list(in["parameters"]) {
		param, err := t.parameter(p)
		if err != nil {
			return operation{}, err
		}
		op.Params = append(op.Params, param)
	}
	if body := find(in, "requestBody"); body != nil {
		schema := find(body, "content", "application/json", "schema")
		var err error
		if op.Body, err = t.schema(schema); err != nil {
			return operation{}, fmt.Errorf("request body: %w", err)
		}
		op.BodyNeeds = body["required"] == true
	}
	for status, r := range find(in, "responses") {
		answer, err := t.response(r)
		if err != nil {
			return operation{}, fmt.Errorf("answer %s: %w", status, err)
		}
		op.Answers[status] = answer
	}
	return op, nil
}

func (t *translator) parameter(v any) (parameter, error) {
	in, err := t.deref(v)
	if err != nil {
		return parameter{}, err
	}
	schema, err := t.schema(in["schema"])
	if err != nil {
		return parameter{}, fmt.Errorf("parameter %v: %w", in["name"], err)
	}
	return parameter{in["name"].(string), in["in"].(string), in["required"] == true, schema}, nil
}

func (t *translator) response(v any) (response, error) {
	in, err := t.deref(v)
	if err != nil {
		return response{}, err
	}
	var out response
	for name, h := range find(in, "headers") {
		header, err := t.deref(h)
		if err != nil {
			return response{}, err
		}
		if out.Headers == nil {
			out.Headers = object{}
		}
		if out.Headers[name], err = t.schema(header["schema"]); err != nil {
			return response{}, fmt.Errorf("header %s: %w", name, err)
		}
	}
	content := find(in, "content")
	if content == nil {
		return out, nil
	}
	types := make([]string, 0, len(content))
	for kind := range content {
		types = append(types, kind)
	}
	slices.Sort(types)
	// Of the media types the plain one is what a client gets that asks for none.
	out.Type = types[0]
	if slices.Contains(types, "application/json") {
		out.Type = "application/json"
	}
	out.Schema, err = t.schema(find(content, out.Type, "schema"))
	return out, err
}
