package bot

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
)

// Whatever the forge sends about others is taken, read and let be, with a reason.
func TestExamplesOfOthersAreLetBe(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	tried := map[string]bool{}
	for _, e := range examples(t) {
		answer, c := d.through(e.event, e.body)
		if answer != http.StatusAccepted {
			t.Errorf("%s: answered %d", e.name, answer)
			continue
		}
		innocent(t, e.event, e.body, c)
		if !c.none() || c.status == "routed" && !aboutPeople[e.event] {
			t.Errorf("%s: %+v", e.name, c)
		}
		if c.status == "ignored" && !strings.Contains("another repository, nothing that is acted on", c.outcome) && !unreal(e.body) {
			t.Errorf("%s is ignored as %q", e.name, c.outcome)
		}
		tried[e.event] = true
		d.forgetAll()
	}
	if len(tried) < 60 {
		t.Errorf("only %d events were tried", len(tried))
	}
}

// The same about our repository are routed without an error, and only the events that mean something lead to
// anything.
func TestExamplesOfOursAreRouted(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	led := map[string]bool{}
	for _, e := range examples(t) {
		body := e.about(t, repo.ID)
		answer, c := d.through(e.event, body)
		if answer != http.StatusAccepted {
			t.Errorf("%s: answered %d", e.name, answer)
			continue
		}
		innocent(t, e.event, body, c)
		if strings.HasPrefix(c.outcome, "unreadable") && !unreal(e.body) {
			t.Errorf("%s: %s", e.name, c.outcome)
		}
		if !c.none() {
			led[e.event] = true
		}
		d.forgetAll()
	}
	for _, event := range []string{"pull_request", "pull_request_review", "issue_comment", "push"} {
		if !led[event] {
			t.Errorf("no %s led to anything", event)
		}
	}
}

// unreal are the few published bodies that were made up: their times are the word "text".
func unreal(body []byte) bool { return bytes.Contains(body, []byte(`_at":"text"`)) }
