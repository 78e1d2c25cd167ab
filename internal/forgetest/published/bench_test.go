package published_test

import (
	"net/http"
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest/published"
)

// What a test pays for an answer, and for an answer that was seen before.
func BenchmarkAnswered(b *testing.B) {
	x := exchange(func(*published.Exchange) {})
	published.CheckAnswer(x) // reads the descriptions
	b.Run("new", func(b *testing.B) {
		for b.Loop() {
			published.CheckAnswer(x)
		}
	})
	b.Run("seen", func(b *testing.B) {
		w := published.Watch(b)
		for b.Loop() {
			w.Answered(x.Route, x.Request, nil, x.Status, x.Header, x.Body)
		}
	})
}

// The biggest payload of the examples.
func BenchmarkDelivered(b *testing.B) {
	var biggest published.Event
	for _, e := range published.Events() {
		if e.Name == "pull_request" && len(e.Body) > len(biggest.Body) {
			biggest = e
		}
	}
	header := http.Header{"X-Github-Event": {biggest.Name}}
	b.SetBytes(int64(len(biggest.Body)))
	published.CheckWebhook(header, biggest.Body)
	for b.Loop() {
		published.CheckWebhook(header, biggest.Body)
	}
}
