package github

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
)

const whereItIs = "GET /repositories/4711"

func TestFollowsARename(t *testing.T) {
	t.Parallel()
	elsewhere := pullJSON(1, func(p fields) {
		p["base"].(fields)["repo"].(fields)["id"] = 9999
	})
	for name, old := range map[string]routes{
		"redirected":       {onePull: answer(301, fields{"message": "Moved Permanently"}, "Location", "https://evil.test/x")},
		"gone":             {onePull: answer(404, fields{"message": "Not Found"})},
		"temporary":        {onePull: answer(307, fields{"message": "Moved"}, "Location", "/api/v3/repositories/4711/pulls/1")},
		"the name is used": {onePull: answer(200, elsewhere)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			old[whereItIs] = answer(200, repoJSON("acme", "machines"))
			old["GET /repos/acme/machines/pulls/1"] = answer(200, pullJSON(1))
			w := newWire(t, old)
			var logged bytes.Buffer
			c := w.client(t, func(cfg *Config) { cfg.Logger = logTo(&logged) })
			for range 2 { // the second time it is known
				pr, err := c.PullRequest(t.Context(), 1)
				if err != nil || pr.HeadSHA != headSHA {
					t.Fatalf("got %+v, %v", pr, err)
				}
			}
			want := []string{onePull, whereItIs, "GET /repos/acme/machines/pulls/1", "GET /repos/acme/machines/pulls/1"}
			if diff := cmp.Diff(want, w.seen()); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			if !strings.Contains(logged.String(), "to=acme/machines") {
				t.Errorf("logged %q", logged.String())
			}
			if got, want := c.CloneURL(), w.URL+"/acme/machines.git"; got != want {
				t.Errorf("clone from %s, want %s", got, want)
			}
		})
	}
}

func TestNotFoundIsLookedUpOnce(t *testing.T) {
	t.Parallel()
	w := newWire(t, routes{whereItIs: answer(200, repoJSON("acme", "vms"))})
	if _, err := w.client(t).PullRequest(t.Context(), 1); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]string{onePull, whereItIs}, w.seen()); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// A comment that we may not see any more is not a deleted comment: the bot would write another one.
func TestLostAccessIsNotAnAbsence(t *testing.T) {
	t.Parallel()
	w := newWire(t, nil)
	_, err := w.client(t).EditComment(t.Context(), 5, "x")
	if !errors.Is(err, forge.ErrRefused) || errors.Is(err, forge.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestAStrangersAnswerIsNoPlace(t *testing.T) {
	t.Parallel()
	stranger := repoJSON("acme", "vms")
	stranger["id"] = 1
	path := repoJSON("acme", "../../user")
	for name, r := range map[string]any{"another id": stranger, "a path": path, "nothing": fields{}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, routes{whereItIs: answer(200, r)})
			_, err := New(t.Context(), Config{BaseURL: w.URL, RepositoryID: testRepoID, Token: testToken})
			if !errors.Is(err, errMisfit) {
				t.Errorf("got %v", err)
			}
		})
	}
}
