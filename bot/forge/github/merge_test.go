package github

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/bot/forge"
)

func TestMerge(t *testing.T) {
	t.Parallel()
	const call, look = "PUT /repos/acme/vms/pulls/1/merge", "GET /repos/acme/vms/pulls/1"
	no := func(status int, text string) http.HandlerFunc { return answer(status, fields{"message": text}) }
	closed := set("state", "closed")
	moved := set("head", fields{"ref": "add", "sha": baseSHA, "repo": repoJSON("acme", "vms")})
	by := func(id int) []func(fields) {
		return []func(fields){closed, set("merged", true), set("merge_commit_sha", baseSHA), set("merged_by", fields{"id": id, "login": "x"})}
	}
	me := answer(200, fields{"id": 3, "login": "shepherd-bot", "type": "User"})
	for name, tc := range map[string]struct {
		merge  http.HandlerFunc
		change []func(fields)
		sha    string
		err    error
		calls  int
	}{
		"merged":             {answer(200, fields{"sha": baseSHA, "merged": true}), nil, baseSHA, nil, 1},
		"merged before":      {no(405, "Pull Request is not mergeable"), by(3), baseSHA, nil, 4},
		"merged by another":  {no(405, "Pull Request is not mergeable"), by(4), "", forge.ErrConflict, 4},
		"other head before":  {no(405, "Pull Request is not mergeable"), append(by(3), moved), "", forge.ErrConflict, 2},
		"head moved":         {no(409, "Head branch was modified. Review and try the merge again."), []func(fields){moved}, "", forge.ErrConflict, 2},
		"head moved back":    {no(409, "Head branch was modified. Review and try the merge again."), nil, "", forge.ErrConflict, 2},
		"base moved":         {no(405, "Base branch was modified. Review and try the merge again."), nil, "", forge.ErrConflict, 2},
		"not mergeable":      {no(405, "Pull Request is not mergeable"), nil, "", forge.ErrConflict, 2},
		"no rebase":          {no(405, "This branch can't be rebased"), nil, "", forge.ErrConflict, 2},
		"closed":             {no(405, "Pull Request is closed"), []func(fields){closed}, "", forge.ErrConflict, 2},
		"a check is missing": {no(405, `Required status check "shepherd/approval" is expected.`), nil, "", forge.ErrRefused, 2},
		"a merge queue":      {no(405, "Changes must be made through the merge queue"), nil, "", forge.ErrRefused, 2},
		"method not allowed": {no(405, "Squash merges are not allowed on this repository."), nil, "", forge.ErrRefused, 2},
		"draft":              {no(405, "Pull Request is still a draft"), []func(fields){set("draft", true)}, "", forge.ErrRefused, 2},
		"no permission":      {no(403, "Resource not accessible by integration"), nil, "", forge.ErrRefused, 1},
		"says no":            {answer(200, fields{"sha": baseSHA, "merged": false}), nil, "", errMisfit, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, routes{call: tc.merge, look: answer(200, pullJSON(1, tc.change...)), "GET /user": me})
			sha, err := w.client(t).Merge(t.Context(), 1, headSHA, "squash")
			if sha != tc.sha || !errors.Is(err, tc.err) || len(w.seen()) != tc.calls {
				t.Errorf("got %q, %v after %v", sha, err, w.seen())
			}
			if !strings.Contains(w.bodies[0], `"sha":"`+headSHA+`"`) || !strings.Contains(w.bodies[0], `"merge_method":"squash"`) {
				t.Errorf("sent %s", w.bodies[0])
			}
		})
	}
	if _, err := newWire(t, nil).client(t).Merge(t.Context(), 1, "", "squash"); !errors.Is(err, forge.ErrRefused) {
		t.Errorf("without a guard: %v", err)
	}
}

func TestMergeSaysWhyItWasRefused(t *testing.T) {
	t.Parallel()
	const why = `Required status check "x" is failing; token ` + testToken
	w := newWire(t, routes{
		"PUT /repos/acme/vms/pulls/1/merge": answer(405, fields{"message": why}), "GET /repos/acme/vms/pulls/1": answer(200, pullJSON(1)),
	})
	_, err := w.client(t).Merge(t.Context(), 1, headSHA, "merge")
	if err == nil || !strings.Contains(err.Error(), `Required status check "x" is failing`) || strings.Contains(err.Error(), testToken) {
		t.Errorf("got %v", err)
	}
	lost := newWire(t, routes{"PUT /repos/acme/vms/pulls/1/merge": answer(405, fields{"message": why}), "GET /repos/acme/vms/pulls/1": answer(500, nil)})
	if _, err := lost.client(t).Merge(t.Context(), 1, headSHA, "merge"); err == nil || errors.Is(err, forge.ErrRefused) || errors.Is(err, forge.ErrConflict) {
		t.Errorf("unknown why: %v", err)
	}
}

func TestMergeByTheFirstMethodAllowed(t *testing.T) {
	t.Parallel()
	const call = "PUT /repos/acme/vms/pulls/1/merge"
	for want, change := range map[string]func(fields){
		`"merge_method":"rebase"`: set("allow_rebase_merge", true),
		`"sha":"` + headSHA:       set("has_issues", true), // nothing is known: GitHub's own default
	} {
		repo := repoJSON("acme", "vms")
		change(repo)
		w := newWire(t, routes{whereItIs: answer(200, repo), call: answer(200, fields{"sha": baseSHA, "merged": true})})
		if _, err := w.client(t).Merge(t.Context(), 1, headSHA, ""); err != nil || !strings.Contains(w.bodies[1], want) {
			t.Errorf("sent %v, %v, want %s", w.bodies, err, want)
		}
	}
}
