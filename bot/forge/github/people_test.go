package github

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
)

func TestSelfOfAToken(t *testing.T) {
	t.Parallel()
	w := newWire(t, routes{"GET /user": answer(200, fields{"id": 3, "login": "shepherd-bot", "type": "User"})})
	c := w.client(t)
	for range 2 {
		got, err := c.Self(t.Context())
		if want := (forge.Person{ID: 3, Login: "shepherd-bot"}); got != want || err != nil {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	if got := w.seen(); len(got) != 1 {
		t.Errorf("calls %v, want one", got)
	}
}

func TestSelfMustBeTheApp(t *testing.T) {
	t.Parallel()
	_, pem := newKey(t)
	for name, tc := range map[string]struct{ app, user any }{
		"another login": {fields{"slug": "shep"}, fields{"id": 3, "login": "mallory", "type": "User"}},
		"no id":         {fields{"slug": "shep"}, fields{"login": "shep[bot]"}},
		"no slug":       {fields{}, fields{"id": 3, "login": "[bot]"}},
		"a path":        {fields{"slug": "../x"}, fields{"id": 3, "login": "../x[bot]"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, routes{
				minting: mints("ghs_x", 1e12), "GET /app": answer(200, tc.app), "GET /users/shep%5Bbot%5D": answer(200, tc.user),
			})
			c := w.client(t, appConfig(pem), func(cfg *Config) { cfg.App.InstallationID = 77 })
			if got, err := c.Self(t.Context()); !errors.Is(err, errMisfit) || got.Known() {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestUserMustBeTheOneAskedFor(t *testing.T) {
	t.Parallel()
	w := newWire(t, routes{
		"GET /user/7": answer(200, fields{"id": 7, "login": "alice", "type": "User"}),
		"GET /user/8": answer(200, fields{"id": 7, "login": "alice", "type": "User"}),
	})
	c := w.client(t)
	if got, err := c.User(t.Context(), 7); got != alice || err != nil {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := c.User(t.Context(), 8); !errors.Is(err, errMisfit) {
		t.Errorf("another's answer: %v", err)
	}
	for _, id := range []int64{0, -1, 9} {
		if _, err := c.User(t.Context(), id); !errors.Is(err, forge.ErrNotFound) {
			t.Errorf("user %d: %v", id, err)
		}
	}
	if got := w.seen(); len(got) != 3 {
		t.Errorf("calls %v, want three", got)
	}
}

func TestTeamMember(t *testing.T) {
	t.Parallel()
	const call = "GET /organizations/5/team/6/memberships/alice"
	member := func(url, state string) http.HandlerFunc {
		return answer(200, fields{"url": url, "state": state, "role": "member"})
	}
	const good = "https://api.forge.test/organizations/5/team/6/memberships/alice"
	for name, tc := range map[string]struct {
		login   string
		handler http.HandlerFunc
		in      bool
		fails   bool
		calls   int
	}{
		"active":               {"alice", member(good, "active"), true, false, 1},
		"older address":        {"alice", member("https://api.forge.test/teams/6/memberships/Alice", "active"), true, false, 1},
		"invited":              {"alice", member(good, "pending"), false, false, 1},
		"no state":             {"alice", member(good, ""), false, false, 1},
		"none":                 {"alice", answer(404, fields{"message": "Not Found"}), false, false, 1},
		"no permission":        {"alice", answer(403, fields{"message": "Resource not accessible"}), false, true, 1},
		"another person":       {"alice", member(strings.Replace(good, "alice", "bob", 1), "active"), false, true, 1},
		"another team":         {"alice", member(strings.Replace(good, "team/6", "team/66", 1), "active"), false, true, 1},
		"another organisation": {"alice", member(strings.Replace(good, "ions/5", "ions/55", 1), "active"), false, true, 1},
		"another older team":   {"alice", member("https://api.forge.test/teams/66/memberships/alice", "active"), false, true, 1},
		"no address":           {"alice", member("", "active"), false, true, 1},
		"a path as login":      {"../../6/memberships/bob", nil, false, false, 0},
		"empty login":          {"", nil, false, false, 0},
		"query as login":       {"alice?x=1", nil, false, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, routes{call: tc.handler})
			in, err := w.client(t).TeamMember(t.Context(), 5, 6, tc.login)
			if in != tc.in || (err != nil) != tc.fails {
				t.Errorf("got %v, %v", in, err)
			}
			if got := w.seen(); len(got) != tc.calls {
				t.Errorf("calls %v, want %d", got, tc.calls)
			}
		})
	}
}

func TestPerson(t *testing.T) {
	t.Parallel()
	u := func(id int64, login, kind string) forge.Person {
		w := newWire(t, routes{"GET /user": answer(200, fields{"id": id, "login": login, "type": kind})})
		p, err := w.client(t).Self(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, tc := range []struct {
		got forge.Person
		bot bool
	}{
		{u(1, "alice", "User"), false},
		{u(2, "shep[bot]", "Bot"), true},
		{u(3, "acme", "Organization"), true},
		{u(4, "imported", "Mannequin"), true},
		{u(5, "sly[bot]", "User"), true},
		{u(6, "untold", ""), true},
	} {
		if tc.got.Bot != tc.bot {
			t.Errorf("%+v: want bot %v", tc.got, tc.bot)
		}
	}
	if diff := cmp.Diff(forge.Person{}, person(nil)); diff != "" {
		t.Errorf("nobody (-want +got):\n%s", diff)
	}
}
