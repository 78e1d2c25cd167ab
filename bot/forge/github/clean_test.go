package github

import (
	"errors"
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/internal/forgetest/published"
)

// What people wrote is kept without what a database does not take.
func TestTextsAreKeptWithoutNUL(t *testing.T) {
	t.Parallel()
	for event, body := range map[string]string{
		"pull_request_review": strings.Replace(bodies["pull_request_review"], `"body":"ok"`, `"body":"a\u0000b"`, 1),
		"issue_comment":       strings.NewReplacer(`"/hold"`, `"a\u0000b"`, "created", "edited", `"/unhold"`, `"c\u0000d"`).Replace(bodies["issue_comment"]),
	} {
		e, err := Parse(event, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
		switch e.Kind {
		case forge.ReviewChanged:
			if e.Review.Body != "a\ufffdb" {
				t.Errorf("a review says %q", e.Review.Body)
			}
		case forge.CommentChanged:
			if e.Comment.Body != "a\ufffdb" || e.Comment.Before != "c\ufffdd" {
				t.Errorf("a comment says %q, and said %q", e.Comment.Body, e.Comment.Before)
			}
		}
	}
	// Somebody may well write the six signs.
	e, err := Parse("issue_comment", []byte(strings.Replace(bodies["issue_comment"], "/hold", `\\u0000`, 1)))
	if err != nil || e.Comment.Body != `\u0000` {
		t.Errorf("a comment says %q (%v)", e.Comment.Body, err)
	}
}

// Names and times that no database could keep are refused at once, not tried for ever.
func TestParseRefusesWhatCannotBeKept(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		event, old, new string
		want            error
	}{
		"action":               {"pull_request", `"opened"`, `"op\u0000ened"`, errNoText},
		"login":                {"pull_request", `"alice"`, `"al\u0000ice"`, errNoText},
		"long login":           {"pull_request", `"alice"`, `"` + strings.Repeat("a", maxRef+1) + `"`, errNoText},
		"branch":               {"push", "refs/heads/main", `refs/heads/\u0000`, errNoText},
		"state":                {"pull_request_review", `"approved"`, `"\u0000"`, errNoText},
		"reviewer":             {"pull_request_review", `"bob"`, `"\u0000"`, errNoText},
		"group":                {"merge_group", "refs/heads/main", `refs/heads/\u0000`, errNoText},
		"time before time":     {"pull_request", "2026-01-23T12:00:00Z", "1969-12-31T23:59:59Z", errNoTime},
		"time after time":      {"push", "1769170000", "9223372036854775807", errNoTime},
		"time of nobody":       {"push", "1769170000", "-86400", errNoTime},
		"review before time":   {"pull_request_review", "2026-01-23T12:30:00Z", "0001-01-02T00:00:00Z", errNoTime},
		"comment of the ghost": {"issue_comment", "2026-01-23T12:10:00Z", "0000-01-01T00:00:00Z", errNoTime},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			body := strings.Replace(bodies[c.event], c.old, c.new, 1)
			if body == bodies[c.event] {
				t.Fatal("nothing was changed")
			}
			if e, err := Parse(c.event, []byte(body)); !errors.Is(err, c.want) || !errors.Is(err, ErrMalformed) {
				t.Errorf("%+v, %v", e, err)
			}
		})
	}
}

// A time that is not told is none.
func TestParseTakesNoTimeForNone(t *testing.T) {
	t.Parallel()
	e, err := Parse("push", []byte(strings.Replace(bodies["push"], "1769170000", "null", 1)))
	if err != nil || !e.At.IsZero() {
		t.Errorf("%v, %v", e.At, err)
	}
}

// The number of the repository is at one place under one name, however bodies are written.
func TestParseReadsTheNumberByItsName(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		repository string
		want       int64
	}{
		"beside another name": {`{"id":4711,"ID":12}`, 4711},
		"only another name":   {`{"Id":4711}`, 0},
		"twice":               {`{"id":12,"id":4711}`, 4711},
		"null":                {`null`, 0},
		"negative":            {`{"id":-4711}`, 0},
	} {
		body := strings.Replace(bodies["push"], repoBody, `"repository":`+c.repository, 1)
		if e, err := Parse("push", []byte(body)); err != nil || e.RepositoryID != c.want {
			t.Errorf("%s: %d, %v", name, e.RepositoryID, err)
		}
	}
	for _, body := range []string{`{"repository":{"id":"4711"}}`, `{"repository":4711}`, `{"repository":{"id":4711.5}}`, `{"repository":{"id":1e19}}`} {
		if e, err := Parse("star", []byte(body)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %+v, %v", body, e, err)
		}
	}
}

// Every example that GitHub publishes is read, and none is taken for another event's. The few whose times are the
// word "text" were made up.
func TestParseReadsWhatIsPublished(t *testing.T) {
	t.Parallel()
	kinds := map[string]bool{}
	for i, example := range published.Events() {
		e, err := Parse(example.Name, example.Body)
		if err != nil {
			if !strings.Contains(string(example.Body), `_at":"text"`) {
				t.Errorf("example %d of %s %s: %v", i, example.Name, example.Action, err)
			}
			continue
		}
		checkEvent(t, e)
		if e.Kind != forge.Ignored {
			kinds[example.Name] = true
		}
		for other := range parsers {
			if other != example.Name {
				if _, err := Parse(other, example.Body); !errors.Is(err, ErrMismatch) {
					t.Errorf("example %d of %s %s is taken for %s: %v", i, example.Name, example.Action, other, err)
				}
			}
		}
	}
	for event := range parsers {
		if !kinds[event] && event != "issue_comment" { // those are on issues
			t.Errorf("no example of %s meant anything", event)
		}
	}
}
