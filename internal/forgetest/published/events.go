package published

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
)

//go:embed events.json.gz
var packedEvents []byte

// Event is an example of a webhook: one that GitHub sent once, or the least that its schema allows.
type Event struct {
	Name   string // the value of X-GitHub-Event
	Action string // the payload's action, empty where it has none
	Body   json.RawMessage
}

type eventData struct {
	Names    []string // sorted
	Examples []Event  // by name
}

var loadEvents = sync.OnceValue(func() eventData {
	var d eventData
	unpack(packedEvents, &d)
	return d
})

// Events returns examples of every action of every webhook, ordered by name. The bodies are shared: do not change them.
func Events() []Event { return slices.Clone(loadEvents().Examples) }

// EventNames returns the names of all events.
func EventNames() []string { return slices.Clone(loadEvents().Names) }

// unpack reads data that is part of the program, which can be broken only by whoever writes it.
func unpack(packed []byte, into any) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		panic(fmt.Sprintf("open published data: %v", err))
	}
	if err := json.NewDecoder(z).Decode(into); err != nil {
		panic(fmt.Sprintf("read published data: %v", err))
	}
}
