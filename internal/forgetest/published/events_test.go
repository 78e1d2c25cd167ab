package published_test

import (
	"encoding/json"
	"slices"
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest/published"
)

func TestEvents(t *testing.T) {
	t.Parallel()
	names, seen := published.EventNames(), map[string]bool{}
	for i, e := range published.Events() {
		seen[e.Name] = true
		var payload struct {
			Action string `json:"action"`
		}
		if err := json.Unmarshal(e.Body, &payload); err != nil || payload.Action != e.Action {
			t.Errorf("example %d of %s: action %q is told as %q (%v)", i, e.Name, payload.Action, e.Action, err)
		}
	}
	for _, name := range names {
		if !seen[name] {
			t.Errorf("%s has no example", name)
		}
		delete(seen, name)
	}
	if len(seen) > 0 || !slices.IsSorted(names) {
		t.Errorf("the names %v are not sorted or lack %v", names, seen)
	}
	for _, want := range []string{"merge_group", "ping", "pull_request", "pull_request_review", "push", "sub_issues"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is missing", want)
		}
	}
}
