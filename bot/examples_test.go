package bot

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	gh "github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/internal/forgetest/published"
)

// example is a webhook of some event.
type example struct {
	event, name string
	body        []byte
}

// about is the example's body as if it were about a repository: every object that stands for one has its number.
func (e example) about(t testing.TB, repository int64) []byte {
	t.Helper()
	var whole map[string]any
	if err := json.Unmarshal(e.body, &whole); err != nil {
		t.Fatalf("%s: %v", e.name, err)
	}
	if e.event != "organization" { // which never has one
		whole["repository"] = ours(whole["repository"], repository)
	}
	if whole["installation"] != nil {
		whole["installation"] = map[string]any{"id": 77}
	}
	for _, key := range []string{"pull_request", "check_run", "check_suite"} {
		renumber(whole[key], repository)
	}
	return encode(t, whole)
}

// ours puts the number and the name of our repository in the place of another's.
func ours(v any, repository int64) map[string]any {
	out, _ := v.(map[string]any)
	if out == nil {
		out = map[string]any{}
	}
	out["id"], out["name"], out["full_name"] = repository, "vms", "acme/vms"
	return out
}

// renumber does so for the bases of pull requests inside.
func renumber(v any, repository int64) {
	part, _ := v.(map[string]any)
	for key, value := range part {
		if base, _ := value.(map[string]any); key == "base" && base != nil {
			base["repo"] = ours(base["repo"], repository)
		}
		list, _ := value.([]any)
		for _, item := range list {
			renumber(item, repository)
		}
	}
}

// examples are webhooks of every event there is, none of our repository: those that GitHub publishes, and all that
// go-github knows, with all the fields that it knows.
func examples(t testing.TB) (out []example) {
	t.Helper()
	for i, e := range published.Events() {
		out = append(out, example{event: e.Name, name: fmt.Sprintf("example %d of %s %s", i, e.Name, e.Action), body: e.Body})
	}
	for _, event := range gh.MessageTypes() {
		if event == "pull_request_target" { // of workflows, never sent
			continue
		}
		v := reflect.ValueOf(gh.EventForType(event))
		fill(v.Elem(), "", 4)
		whole := map[string]any{}
		if err := json.Unmarshal(encode(t, v.Interface()), &whole); err != nil {
			t.Fatal(err)
		}
		if action, ok := acting[event]; !ok {
			whole["action"] = "created"
		} else if action != "" {
			whole["action"] = action
		} else {
			delete(whole, "action")
		}
		out = append(out, example{event: event, name: event + " with every field", body: encode(t, whole)})
	}
	return out
}

// acting are the actions that mean something, where "created" does not; some events have none.
var acting = map[string]string{
	"pull_request": "opened", "pull_request_review": "submitted", "check_run": "rerequested", "check_suite": "rerequested", "merge_group": "checks_requested",
	"push": "", "team_add": "",
}

var timestamp = reflect.TypeFor[gh.Timestamp]()

// fill puts something into every field, down to a depth.
func fill(v reflect.Value, name string, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		if v.Type().Elem().Kind() == reflect.Struct && depth == 0 {
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), name, depth)
	case reflect.Struct:
		switch v.Type() {
		case timestamp:
			v.Set(reflect.ValueOf(gh.Timestamp{Time: clock}))
			return
		case reflect.TypeFor[time.Time]():
			v.Set(reflect.ValueOf(clock))
			return
		}
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Tag.Get("json") != "-" {
				fill(v.Field(i), f.Name, depth-1)
			}
		}
	case reflect.Slice:
		if v.Type() == reflect.TypeFor[json.RawMessage]() {
			v.SetBytes([]byte("{}"))
			return
		}
		if depth > 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
			fill(v.Index(0), name, depth)
		}
	case reflect.String:
		v.SetString(word(name))
	case reflect.Int, reflect.Int64:
		v.SetInt(7)
	case reflect.Bool:
		v.SetBool(true)
	}
}

func word(name string) string {
	switch {
	case strings.HasSuffix(name, "SHA"), name == "Before", name == "After", name == "CommitID":
		return commit1
	case name == "Ref", name == "BaseRef", name == "HeadRef":
		return "refs/heads/main"
	case name == "Body":
		return "/hold"
	case name == "Type":
		return "User"
	}
	return "x"
}
