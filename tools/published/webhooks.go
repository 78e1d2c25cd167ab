package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// hookData has, for each edition, the schema of each payload by event and action ("check_run completed", "push"), the
// headers of a delivery, and the schemas that they refer to.
type hookData map[string]*hookEdition

type hookEdition struct {
	Payloads object      `json:"payloads"`
	Headers  []parameter `json:"headers"`
	Schemas  object      `json:"schemas"`
}

// community is the name under which the schemas are kept that Octokit's contributors write.
const community = "octokit"

func collectWebhooks(ctx context.Context) (hookData, error) {
	out := hookData{}
	for edition, file := range editions {
		var d document
		if err := webhookSource.read(ctx, file, &d); err != nil {
			return nil, err
		}
		t := newTranslator(&d)
		part := &hookEdition{Payloads: object{}, Schemas: t.schemas}
		for _, key := range slices.Sorted(maps.Keys(d.Webhooks)) { // in order, so that the same data comes out each time
			if err := t.webhook(part, d.Webhooks[key]); err != nil {
				return nil, fmt.Errorf("webhook %s of %s: %w", key, edition, err)
			}
		}
		out[edition] = part
	}
	var err error
	out[community], err = collectCommunity(ctx)
	return out, err
}

func (t *translator) webhook(into *hookEdition, hook object) error {
	post := find(hook, "post")
	id, _ := post["operationId"].(string)
	content := find(post, "requestBody", "content", "application/json")
	name := strings.ReplaceAll(strings.Replace(id, "/", " ", 1), "-", "_")
	if id == "" || content == nil {
		return fmt.Errorf("it has no name or no payload")
	}
	var err error
	if into.Payloads[name], err = t.schema(content["schema"]); err != nil {
		return err
	}
	for _, p := range list(post["parameters"]) { // all are sent alike, but not all descriptions say everything
		param, err := t.parameter(p)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(into.Headers, func(h parameter) bool { return h.Name == param.Name }) {
			into.Headers = append(into.Headers, param)
		}
	}
	return nil
}

// collectCommunity takes over Octokit's schemas, which are JSON Schemas of an older draft whose words mean the same.
func collectCommunity(ctx context.Context) (*hookEdition, error) {
	var d struct {
		Definitions object `json:"definitions"`
	}
	if err := schemasSource.read(ctx, "schema.json", &d); err != nil {
		return nil, err
	}
	t := &translator{components: map[string]map[string]any{"schemas": d.Definitions}, schemas: object{}}
	part := &hookEdition{Payloads: object{}, Schemas: t.schemas}
	for definition := range d.Definitions {
		event, action, isPayload := strings.Cut(definition, "$")
		if !isPayload {
			continue
		}
		name := event
		if action != "event" {
			name += " " + action
		}
		var err error
		if part.Payloads[name], err = t.reference("#/definitions/" + definition); err != nil {
			return nil, err
		}
	}
	return part, nil
}
