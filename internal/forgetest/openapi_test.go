package forgetest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// The description is GitHub's own, cut down to the operations of this server and to what a checker needs:
// testdata/github-openapi.json.gz. Every answer to the client and every webhook in these tests is held against it.

type shape struct {
	Ref        string            `json:"$ref"`
	Type       any               `json:"type"` // a word or a list of words
	Nullable   bool              `json:"nullable"`
	Required   []string          `json:"required"`
	Properties map[string]*shape `json:"properties"`
	Values     *shape            `json:"additionalProperties"`
	Items      *shape            `json:"items"`
	Enum       []any             `json:"enum"`
	AnyOf      []*shape          `json:"anyOf"`
	OneOf      []*shape          `json:"oneOf"`
	AllOf      []*shape          `json:"allOf"`
}

type description struct {
	Operations     map[string]map[string]*shape `json:"operations"` // route → status → answer
	Schemas        map[string]*shape            `json:"schemas"`
	Webhooks       map[string]*shape            `json:"webhooks"` // event-action → payload
	WebhookSchemas map[string]*shape            `json:"webhookSchemas"`

	patterns map[string]*regexp.Regexp
}

var wildcard = regexp.MustCompile(`\{[^}]+\}`)

var loadDescription = sync.OnceValues(func() (*description, error) {
	f, err := os.Open("testdata/github-openapi.json.gz")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	d := &description{patterns: map[string]*regexp.Regexp{}}
	if err := json.NewDecoder(z).Decode(d); err != nil {
		return nil, err
	}
	for op := range d.Operations {
		pattern := wildcard.ReplaceAllStringFunc(op, func(w string) string {
			if w == "{path...}" {
				return `.*`
			}
			if strings.Contains(w, "...") || w == "{ref}" || w == "{branch}" || w == "{basehead}" {
				return `.+`
			}
			return `[^/ ]+`
		})
		d.patterns[op] = regexp.MustCompile("^" + pattern + "$")
	}
	return d, nil
})

// numbered are addresses that GitHub serves without describing them, with the described ones that answer alike.
var numbered = map[string]string{
	`/repositories/\d+$`:                   "/repos/acme/vms",
	`/organizations/\d+/team/\d+(/.*)?$`:   "/orgs/acme/teams/x$1",
	`/organizations/\d+$`:                  "/orgs/acme",
	`/repos/(.*)/issues/comments/(\d+)/?$`: "/repos/$1/issues/comments/$2",
}

func (d *description) operation(method, path string) string {
	for re, as := range numbered {
		path = regexp.MustCompile(re).ReplaceAllString(path, as)
	}
	best := ""
	for op, re := range d.patterns {
		if re.MatchString(method+" "+path) && literal(op) > literal(best) {
			best = op
		}
	}
	return best
}

// literal measures how much of a pattern is fixed text: the most exact pattern wins.
func literal(op string) int { return len(wildcard.ReplaceAllString(op, "")) }

// check lists the ways in which a value differs from a shape.
func check(s *shape, named map[string]*shape, v any, at string) []string {
	if s.Ref != "" {
		return check(named[s.Ref], named, v, at)
	}
	if v == nil && (s.Nullable || s.Type == nil && s.AnyOf == nil && s.OneOf == nil && s.AllOf == nil) {
		return nil
	}
	var out []string
	for _, part := range s.AllOf {
		out = append(out, check(part, named, v, at)...)
	}
	for _, choice := range [][]*shape{s.AnyOf, s.OneOf} {
		out = append(out, checkChoice(choice, named, v, at)...)
	}
	if s.Type != nil && !isType(s.Type, v) {
		return append(out, fmt.Sprintf("%s is %T, want %v", at, v, s.Type))
	}
	if len(s.Enum) > 0 && !slices.Contains(s.Enum, v) && v != "merge_group" { // newer than the list of an App's events
		out = append(out, fmt.Sprintf("%s is %v, want one of %v", at, v, s.Enum))
	}
	switch v := v.(type) {
	case map[string]any:
		out = append(out, checkObject(s, named, v, at)...)
	case []any:
		for i, item := range v {
			if s.Items != nil {
				out = append(out, check(s.Items, named, item, at+"["+strconv.Itoa(i)+"]")...)
			}
		}
	}
	return out
}

func checkObject(s *shape, named map[string]*shape, v map[string]any, at string) []string {
	var out []string
	for _, name := range s.Required {
		if _, has := v[name]; !has {
			out = append(out, at+"."+name+" is missing")
		}
	}
	for name, val := range v {
		if p := s.Properties[name]; p != nil {
			out = append(out, check(p, named, val, at+"."+name)...)
		} else if s.Values != nil {
			out = append(out, check(s.Values, named, val, at+"."+name)...)
		}
	}
	return out
}

// checkChoice wants one of several shapes to fit, and otherwise tells what is wrong with the nearest.
func checkChoice(choice []*shape, named map[string]*shape, v any, at string) []string {
	var nearest []string
	for i, s := range choice {
		wrong := check(s, named, v, at)
		if len(wrong) == 0 {
			return nil
		}
		if i == 0 || len(wrong) < len(nearest) {
			nearest = wrong
		}
	}
	return nearest
}

func isType(want, v any) bool {
	if list, isList := want.([]any); isList {
		return slices.ContainsFunc(list, func(w any) bool { return isType(w, v) })
	}
	switch v := v.(type) {
	case nil:
		return want == "null"
	case bool:
		return want == "boolean"
	case string:
		return want == "string"
	case float64:
		return want == "number" || want == "integer" && v == float64(int64(v))
	case []any:
		return want == "array"
	}
	return want == "object"
}

// checkedTransport holds every successful answer against the description.
type checkedTransport struct{ t *testing.T }

func (c checkedTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || resp.StatusCode >= 300 {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	for _, wrong := range checkAnswer(r.Method, strings.TrimPrefix(r.URL.Path, "/api/v3"), resp.StatusCode, body) {
		c.t.Errorf("%s %s: %s", r.Method, r.URL.Path, wrong)
	}
	return resp, nil
}

func checkAnswer(method, path string, status int, body []byte) []string {
	d, err := loadDescription()
	if err != nil {
		return []string{err.Error()}
	}
	op := d.operation(method, path)
	answers, known := d.Operations[op]
	if !known {
		return []string{"GitHub does not describe this operation"}
	}
	s, known := answers[strconv.Itoa(status)]
	switch {
	case !known:
		return []string{fmt.Sprintf("GitHub does not answer %d to %s", status, op)}
	case s == nil && len(body) > 0:
		return []string{"GitHub sends no body"}
	case s == nil:
		return nil
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return []string{err.Error()}
	}
	return firstFew(check(s, d.Schemas, v, ""))
}

// checkPayload holds a webhook against the description. Events that the description leaves out are taken as right.
func checkPayload(event string, body []byte) []string {
	d, err := loadDescription()
	if err != nil {
		return []string{err.Error()}
	}
	var v map[string]any
	if err := json.Unmarshal(body, &v); err != nil {
		return []string{err.Error()}
	}
	name := strings.ReplaceAll(event, "_", "-")
	if action, has := v["action"].(string); has {
		name += "-" + strings.ReplaceAll(action, "_", "-")
	}
	if s := d.Webhooks[name]; s != nil {
		return firstFew(check(s, d.WebhookSchemas, v, name))
	}
	return nil
}

func firstFew(all []string) []string {
	slices.Sort(all)
	all = slices.Compact(all)
	return all[:min(len(all), 12)]
}

func TestDescriptionSeesMistakes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		method, path, body string
		status             int
		want               string
	}{
		"missing field":     {"GET", "/users/alice", `{"login":"alice"}`, 200, ".avatar_url is missing"},
		"wrong type":        {"GET", "/repos/a/b/issues/comments/1", `{"id":"x"}`, 200, ".id is string"},
		"wrong status":      {"POST", "/repos/a/b/pulls", `{}`, 200, "does not answer 200"},
		"unknown operation": {"GET", "/nowhere", `{}`, 200, "does not describe"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := strings.Join(checkAnswer(tc.method, tc.path, tc.status, []byte(tc.body)), "\n")
			if !strings.Contains(got, tc.want) {
				t.Errorf("found %q, want %q", got, tc.want)
			}
		})
	}
}
