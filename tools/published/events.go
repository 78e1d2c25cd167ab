package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

type object = map[string]any

// document is what is read of an OpenAPI description.
type document struct {
	Paths      map[string]map[string]any `json:"paths"`
	Webhooks   map[string]object         `json:"webhooks"`
	Components map[string]map[string]any `json:"components"`
}

type event struct {
	Name, Action string
	Body         json.RawMessage
}

type eventData struct {
	Names    []string
	Examples []event
}

// collectEvents takes the examples that people contributed, and makes one from the description for each event and
// action of which there is none.
func collectEvents(ctx context.Context, hooks *document) (eventData, error) {
	var published []struct {
		Name     string            `json:"name"`
		Examples []json.RawMessage `json:"examples"`
	}
	if err := examplesSource.read(ctx, "api.github.com/index.json", &published); err != nil {
		return eventData{}, err
	}
	var d eventData
	seen := map[string]bool{}
	for _, p := range published {
		for _, raw := range p.Examples {
			e, err := readExample(p.Name, raw)
			if err != nil {
				return eventData{}, err
			}
			d.Examples = append(d.Examples, e)
			seen[e.Name+" "+e.Action] = true
		}
	}
	made, err := makeExamples(hooks, seen)
	if err != nil {
		return eventData{}, err
	}
	d.Examples = append(d.Examples, made...)
	slices.SortStableFunc(d.Examples, func(a, b event) int { return cmp.Compare(a.Name, b.Name) })
	for _, e := range d.Examples {
		d.Names = append(d.Names, e.Name)
	}
	d.Names = slices.Compact(d.Names)
	return d, nil
}

func readExample(name string, raw json.RawMessage) (event, error) {
	var payload struct {
		Action string `json:"action"`
	}
	if err := json.Unmarshal(raw, &payload); err != nil {
		return event{}, fmt.Errorf("read an example of %s: %w", name, err)
	}
	var body bytes.Buffer
	if err := json.Compact(&body, raw); err != nil {
		return event{}, err
	}
	return event{name, payload.Action, body.Bytes()}, nil
}

func makeExamples(hooks *document, seen map[string]bool) ([]event, error) {
	var made []event
	for _, key := range slices.Sorted(maps.Keys(hooks.Webhooks)) {
		post, _ := hooks.Webhooks[key]["post"].(object)
		id, _ := post["operationId"].(string)
		name, _, _ := strings.Cut(strings.ReplaceAll(id, "-", "_"), "/")
		schema := find(post, "requestBody", "content", "application/json", "schema")
		if name == "" || schema == nil {
			return nil, fmt.Errorf("the webhook %s has no name or no schema", key)
		}
		raw, err := json.Marshal(sampler{hooks.Components}.sample(schema, 0))
		if err != nil {
			return nil, fmt.Errorf("make an example of %s: %w", key, err)
		}
		e, err := readExample(name, raw)
		if err != nil {
			return nil, err
		}
		if !seen[e.Name+" "+e.Action] {
			made = append(made, e)
		}
	}
	return made, nil
}

// find walks down nested objects.
func find(in object, keys ...string) object {
	for _, key := range keys {
		in, _ = in[key].(object)
	}
	return in
}
