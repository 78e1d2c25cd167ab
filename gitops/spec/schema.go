package spec

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/docs/schema"
)

//go:generate go test -run ^TestSchemasAreCurrent$ -update .

// Schema is the JSON Schema (2020-12) of a kind's documents, or nil for a kind without documents.
// It knows all rules that a schema can hold; Parse knows more.
func Schema(kind Kind) []byte {
	data, err := schema.Files.ReadFile(string(kind) + ".json")
	if err != nil {
		return nil
	}
	return data
}

// SchemaFor is Schema with the platform's own names, so that editors complete them: active templates,
// sizes and networks as enumerations, and the namespaces, which are folders, in the description.
func SchemaFor(kind Kind, p *Platform) []byte {
	data := Schema(kind)
	if data == nil || kind != KindVirtualMachine && kind != KindNamespace {
		return data
	}
	var s map[string]any
	if json.Unmarshal(data, &s) != nil {
		return data
	}
	networks := slices.Sorted(maps.Keys(p.Networks))
	if kind == KindNamespace {
		setEnum(s, networks, "spec", "network")
	} else {
		setEnum(s, p.ActiveTemplates(), "spec", "template")
		setEnum(s, slices.Sorted(maps.Keys(p.Sizes)), "spec", "size")
		setEnum(s, networks, "spec", "networks", "name")
		if names := slices.Sorted(maps.Keys(p.Namespaces)); len(names) > 0 {
			text, _ := s["description"].(string)
			s["description"] = strings.TrimSpace(text + "\nThe file lies in the folder of its namespace, one of " + strings.Join(names, ", ") + ".")
		}
	}
	out, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return data
	}
	return append(out, '\n')
}

// setEnum closes the field at path to the names. Without names it leaves the field open: a schema
// that accepts nothing would say so in the wrong place.
func setEnum(s map[string]any, names []string, path ...string) {
	for _, step := range path {
		if items, ok := s["items"].(map[string]any); ok {
			s = items
		}
		properties, _ := s["properties"].(map[string]any)
		next, ok := properties[step].(map[string]any)
		if !ok {
			return
		}
		s = next
	}
	if len(names) > 0 {
		delete(s, "pattern")
		s["enum"] = names
	}
}
