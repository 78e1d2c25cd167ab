package published

import (
	"encoding/json"
	"net/http"
	"strings"
)

// signature is described as needed, and sent for hooks with a secret only.
const signature = "X-Hub-Signature-256"

// CheckWebhook tells what of a webhook GitHub does not send.
func CheckWebhook(header http.Header, body []byte) []Violation {
	var payload struct {
		Action string `json:"action"`
	}
	event := header.Get("X-GitHub-Event")
	if err := json.Unmarshal(body, &payload); err != nil {
		return []Violation{wrongf("webhook "+event, "", "is no JSON object: %v", err)}
	}
	name := strings.TrimSpace(event + " " + payload.Action)
	where := "webhook " + name
	var out []Violation
	doc := documentOf(body)
	for _, e := range hookEditions() {
		for _, h := range e.Headers {
			if h.Needs && header.Get(h.Name) == "" && !strings.EqualFold(h.Name, signature) {
				out = append(out, Violation{where, h.Name, "header is missing", e.name})
			}
		}
		if _, described := e.Payloads[name]; described {
			out = append(out, e.validate(where, pointer("payloads", name), doc)...)
		} else if !e.lacks(name) {
			out = append(out, Violation{where, "", "is not described", e.name})
		}
	}
	return out
}

// lacks reports whether an edition is known not to have a webhook that another describes.
func (e *edition) lacks(name string) bool {
	for _, other := range hookEditions() {
		if _, described := other.Payloads[name]; described && other != e {
			return true
		}
	}
	return false
}
