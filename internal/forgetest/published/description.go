package published

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

//go:embed rest.json.gz
var packedREST []byte

//go:embed webhooks.json.gz
var packedWebhooks []byte

// operation is one operation of the REST interface as an edition describes it. Schemas stay in the edition's document
// and are compiled when they are first needed.
type operation struct {
	ID      string              `json:"id"`
	Params  []parameter         `json:"params"`
	Body    json.RawMessage     `json:"body"`
	Needs   bool                `json:"bodyNeeds"`
	Answers map[string]response `json:"answers"`
}

type parameter struct {
	Name   string          `json:"name"`
	In     string          `json:"in"`
	Needs  bool            `json:"needs"`
	Schema json.RawMessage `json:"schema"`
}

type response struct {
	Type    string                     `json:"type"`
	Schema  json.RawMessage            `json:"schema"`
	Headers map[string]json.RawMessage `json:"headers"`
}

// edition is what one source says: GitHub.com, Enterprise Server, or Octokit's contributors.
type edition struct {
	name       string
	Operations map[string]operation       `json:"operations"`
	Payloads   map[string]json.RawMessage `json:"payloads"`
	Headers    []parameter                `json:"headers"` // of a delivery
	schemas    map[string]any             // by name

	mu       sync.Mutex // guards the compiler, which is not safe for concurrent use
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
}

var (
	restEditions = sync.OnceValue(func() []*edition { return load(packedREST) })
	hookEditions = sync.OnceValue(func() []*edition { return load(packedWebhooks) })
)

func load(packed []byte) []*edition {
	var raw map[string]json.RawMessage
	unpack(packed, &raw)
	var all []*edition
	for _, name := range slices.Sorted(maps.Keys(raw)) {
		e := &edition{name: name, compiler: jsonschema.NewCompiler(), compiled: map[string]*jsonschema.Schema{}}
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(string(raw[name])))
		if err == nil {
			err = json.Unmarshal(raw[name], e)
		}
		if err == nil {
			e.compiler.AssertFormat()
			for _, f := range formats {
				e.compiler.RegisterFormat(f)
			}
			e.schemas, _ = doc.(map[string]any)["schemas"].(map[string]any)
			err = e.compiler.AddResource(e.address(""), doc)
		}
		if err != nil {
			panic(fmt.Sprintf("read the published description of %s: %v", name, err))
		}
		all = append(all, e)
	}
	return all
}

func (e *edition) address(pointer string) string { return "published:///" + e.name + pointer }

// pointer addresses a part of an edition's document.
func pointer(keys ...string) string {
	var out strings.Builder
	out.WriteString("#")
	for _, k := range keys {
		k = strings.NewReplacer("~", "~0", "/", "~1").Replace(k)
		out.WriteString("/" + strings.NewReplacer("%", "%25", " ", "%20", "{", "%7B", "}", "%7D").Replace(k))
	}
	return out.String()
}

// schema compiles the schema at a pointer. The data were made from valid schemas: one that is not is a mistake of
// whoever wrote them.
func (e *edition) schema(at string) *jsonschema.Schema {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.compiled[at]
	if s == nil {
		s = e.compiler.MustCompile(e.address(at))
		e.compiled[at] = s
	}
	return s
}

// Operations returns the routes that are described by every edition.
func Operations() []string {
	var routes []string
	for route := range restEditions()[0].Operations {
		if !slices.ContainsFunc(restEditions(), func(e *edition) bool { _, has := e.Operations[route]; return !has }) {
			routes = append(routes, route)
		}
	}
	slices.Sort(routes)
	return routes
}
