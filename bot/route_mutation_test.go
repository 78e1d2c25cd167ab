package bot

import (
	"bytes"
	"encoding/json"
	"net/http"
	"slices"
	"testing"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/bot/forge/github"
)

// Whatever is missing in a body, or is something else than it should be, is routed or ignored with a reason. What
// is ignored by its reading alone goes through the database only now and then.
func TestBodiesWithHoles(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	tried, n := 0, 0
	for _, e := range usual() {
		for _, instead := range strange {
			for _, body := range mutations(t, e.body, instead, 3) {
				read, err := github.Parse(e.event, body)
				if n++; (err != nil || read.Kind == forge.Ignored) && n%20 != 0 {
					continue
				}
				tried++
				answer, c := d.through(e.event, body)
				if answer != http.StatusAccepted {
					t.Errorf("%s: answered %d", e.event, answer)
				}
				innocent(t, e.event, body, c)
				d.forgetAll()
			}
		}
	}
	if tried < 200 {
		t.Errorf("only %d of %d bodies were tried", tried, n)
	}
}

// Bodies that no mutation of parts gives.
func TestBodiesOfNoForm(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	e := usual()[0]
	wide := bytes.Repeat([]byte("x"), 1<<20)
	cut := e.body[:len(e.body)-1]
	with := func(more string) []byte { return slices.Concat(cut, []byte(more), []byte("}")) }
	for name, body := range map[string][]byte{
		"empty":                    nil,
		"not JSON":                 []byte("payload=%7B%7D"),
		"null":                     []byte("null"),
		"a list":                   []byte("[]"),
		"a number":                 []byte("42"),
		"two objects":              slices.Concat(e.body, e.body),
		"cut":                      cut,
		"a byte order mark":        slices.Concat([]byte("\xef\xbb\xbf"), e.body),
		"UTF-16":                   []byte("{\x00\"\x00a\x00\"\x00:\x001\x00}\x00"),
		"invalid UTF-8":            with(`,"a":"` + "\xff\xfe\xed\xa0\x80" + `"`),
		"half a character":         with(`,"a":"\ud800"`),
		"deep":                     with(`,"a":` + string(bytes.Repeat([]byte("["), 9000)) + string(bytes.Repeat([]byte("]"), 9000))),
		"too deep":                 with(`,"a":` + string(bytes.Repeat([]byte("["), 20000)) + string(bytes.Repeat([]byte("]"), 20000))),
		"a long text":              with(`,"a":"` + string(wide) + `"`),
		"a long key":               with(`,"` + string(wide) + `":1`),
		"a long action":            with(`,"action":"` + string(wide) + `"`),
		"a long login":             with(`,"sender":{"id":101,"type":"User","login":"` + string(wide) + `"}`),
		"many keys":                with(string(bytes.Repeat([]byte(`,"a":1`), 10000))),
		"ours, and then another":   with(`,"repository":{"id":1}`),
		"ours under another name":  with(`,"repository":{"id":1,"ID":42}`),
		"another, and then ours":   bytes.Replace(e.body, []byte(`{`), []byte(`{"repository":{"id":1},`), 1),
		"ours, of another's name":  with(`,"repository":{"id":42,"full_name":"other/thing"}`),
		"another installation":     with(`,"installation":{"id":123456789}`),
		"no sender":                with(`,"sender":null`),
		"a sender without a name":  with(`,"sender":{"id":101}`),
		"a name without a number":  with(`,"repository":{"full_name":"acme/vms"}`),
		"a number beyond numbers":  with(`,"number":1e400`),
		"the number of another PR": with(`,"number":8`),
	} {
		for _, event := range []string{e.event, "push", "star", "nonsense"} {
			answer, c := d.through(event, body)
			if answer != http.StatusAccepted {
				t.Errorf("%s as %s: answered %d", name, event, answer)
			}
			innocent(t, event, body, c)
			if event != e.event && !c.none() {
				t.Errorf("%s as %s led to %+v", name, event, c)
			}
			d.forgetAll()
		}
	}
}

// usual are the events that the router tests play with.
func usual() []example {
	encoded := func(event string, v map[string]any) example {
		data, err := json.Marshal(v)
		if err != nil {
			panic(err)
		}
		return example{event: event, name: event, body: data}
	}
	comment := body(alice, commentEvent("created", 7, 5, alice))
	comment["comment"].(map[string]any)["body"] = "/hold\n/plan\n```shepherd\ncluster: prod-east\n```\n/nonsense"
	return []example{
		encoded("pull_request", body(alice, pullEvent("opened", 7, nil))),
		encoded("pull_request", body(alice, pullEvent("closed", 7, map[string]any{"merged": true}))),
		encoded("pull_request", body(bob, synchronize(7, commit1, commit2))),
		encoded("push", body(bob, pushEvent("refs/heads/main", commit1, commit2))),
		encoded("pull_request_review", body(bob, reviewEvent("submitted", 7, 11, bob, "approved", commit2, "fine\n/hold"))),
		encoded("pull_request_review", body(bob, reviewEvent("dismissed", 7, 11, bob, "dismissed", commit2, ""))),
		encoded("issue_comment", comment),
		encoded("check_run", body(alice, map[string]any{"action": "rerequested", "check_run": map[string]any{
			"head_sha": commit2, "pull_requests": []any{map[string]any{"number": 7, "base": map[string]any{"repo": map[string]any{"id": repo.ID}}}},
		}})),
		encoded("merge_group", body(alice, map[string]any{"action": "checks_requested", "merge_group": map[string]any{
			"head_sha": commit2, "head_ref": "refs/heads/gh-readonly-queue/main/pr-7-" + commit1, "base_sha": commit1, "base_ref": "refs/heads/main",
		}})),
		encoded("membership", body(alice, map[string]any{"action": "removed", "scope": "team", "member": user(bob), "team": map[string]any{"id": 6}, "organization": map[string]any{"id": 5}})),
	}
}

// strange is what is put in the place of what a body should have.
var strange = []any{
	nil, "x", "", "\x00", -1, 0, 1.5, json.Number("1e400"), json.Number("9223372036854775807"), json.Number("9223372036854775808"),
	json.Number("-9223372036854775808"), true, []any{}, []any{nil}, map[string]any{}, "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
	"0000-01-01T00:00:00+23:59", "\xff\xfe", "refs/heads/main", commit1,
}

// mutations are copies of a body in which one part, not deeper than so, is something else or missing.
func mutations(t testing.TB, body []byte, instead any, depth int) (out [][]byte) {
	t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var whole any
	if err := decoder.Decode(&whole); err != nil {
		t.Fatal(err)
	}
	for _, v := range replaced(whole, instead, depth) {
		out = append(out, encode(t, v))
	}
	return out
}

// gone marks what is left out.
type gone struct{}

func replaced(v, instead any, depth int) []any {
	out := []any{instead}
	whole, ok := v.(map[string]any)
	if !ok || depth == 0 {
		if instead == (gone{}) {
			return nil
		}
		return out
	}
	if instead == (gone{}) {
		out = nil
	}
	for key, part := range whole {
		without := make(map[string]any, len(whole))
		for k, v := range whole {
			if k != key {
				without[k] = v
			}
		}
		if instead == (gone{}) {
			out = append(out, without)
		}
		for _, changed := range replaced(part, instead, depth-1) {
			with := make(map[string]any, len(whole))
			for k, v := range without {
				with[k] = v
			}
			with[key] = changed
			out = append(out, with)
		}
	}
	return out
}
