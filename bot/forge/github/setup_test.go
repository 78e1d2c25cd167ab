package github_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/bot/forge/github"
	"kv-shepherd.io/shepherd/internal/forgetest"
)

// inspect looks at the App without knowing where the repository is.
func (w *world) inspect(t *testing.T) (forge.App, error) {
	t.Helper()
	creds := w.srv.AppCredentials()
	return github.Inspect(t.Context(), github.Config{
		BaseURL: w.srv.URL(), RepositoryID: w.repo.ID(),
		App: &github.AppConfig{ID: creds.AppID, InstallationID: creds.InstallationID, PrivateKeyPEM: creds.PrivateKey},
	})
}

// The App is seen as it is even when no token can be minted for the bot.
func TestInspect(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	receiver := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusTeapot) }))
	defer receiver.Close()
	w.app.SetHook(receiver.URL+"/webhooks/github", "a secret")
	if err := w.srv.WaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.app.Installations()[0].SetPermissions(map[string]string{"metadata": "read"})
	got, err := w.inspect(t)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Events) < 10 || len(got.Attempts) == 0 || got.Attempts[0].OK() || got.Attempts[0].GUID == "" {
		t.Errorf("%+v", got)
	}
	last := got.Attempts[0]
	if last.Event != "ping" || last.Code != http.StatusTeapot {
		t.Errorf("the last attempt: %+v", last)
	}
	got.Events, got.Attempts = nil, nil
	want := forge.App{
		ID: w.app.ID(), Slug: "shepherd", Permissions: map[string]string{"metadata": "read"},
		Hook: forge.Hook{URL: receiver.URL + "/webhooks/github", ContentType: "json", Secret: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	w.app.Installations()[0].Suspend(true)
	if got, err := w.inspect(t); err != nil || !got.Suspended {
		t.Errorf("suspended: %+v, %v", got, err)
	}
	w.srv.Fail(forgetest.Fault{Route: "GET /app/hook/config", Kind: forgetest.ServerError})
	if _, err := w.inspect(t); err == nil {
		t.Error("no error")
	}
	_, err = github.Inspect(t.Context(), github.Config{BaseURL: w.srv.URL(), RepositoryID: w.repo.ID(), Token: "t"})
	if !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("a token: %v", err)
	}
}

func TestBranchAndItsProtection(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for branch, want := range map[string]bool{"main": true, "feature/none": false} {
		if got, err := w.client.HasBranch(t.Context(), branch); got != want || err != nil {
			t.Errorf("%s: %v, %v", branch, got, err)
		}
	}
	ours := []forge.RequiredCheck{{Name: "a", App: w.app.ID()}, {Name: "b"}}
	required := []forgetest.RequiredCheck{{Context: "a", AppID: w.app.ID()}, {Context: "b"}}
	for _, c := range []struct {
		name   string
		given  *forgetest.Protection
		hidden bool // the App may not read administration
		want   forge.Protection
	}{
		{"none", nil, false, forge.Protection{Detailed: true, ForcePushes: true, Deletions: true}},
		{"none, hidden", nil, true, forge.Protection{Detailed: true, ForcePushes: true, Deletions: true}},
		{"checks", &forgetest.Protection{Checks: required, EnforceAdmins: true}, false, forge.Protection{Detailed: true, Checks: ours}},
		{"open", &forgetest.Protection{Checks: required, DismissStale: true, AllowForcePushes: true, AllowDeletions: true}, false,
			forge.Protection{Detailed: true, Checks: ours, DismissesStale: true, ForcePushes: true, Deletions: true, AdministratorsExempt: true}},
		{"a ruleset", &forgetest.Protection{Checks: required, DismissStale: true, Ruleset: true}, false,
			forge.Protection{Detailed: true, Checks: ours, DismissesStale: true, Rulesets: []int64{77}}},
		{"an open ruleset", &forgetest.Protection{Checks: required, AllowForcePushes: true, Ruleset: true}, false,
			forge.Protection{Detailed: true, Checks: ours, ForcePushes: true, Rulesets: []int64{77}}},
		{"hidden", &forgetest.Protection{Checks: required, EnforceAdmins: true}, true, forge.Protection{Checks: ours, ForcePushes: true, Deletions: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if c.given != nil {
				w.repo.Protect("main", *c.given)
			}
			if c.hidden {
				permissions := forgetest.BotPermissions()
				delete(permissions, "administration")
				w.app.Installations()[0].SetPermissions(permissions)
			}
			got, err := w.connect(t).Protection(t.Context(), "main")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The clock is told also to somebody whom the forge would refuse.
func TestClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ahead := time.Now().Add(time.Hour).Truncate(time.Second)
	w.srv.SetClock(func() time.Time { return ahead })
	if got, err := github.Clock(t.Context(), w.srv.URL()); err != nil || !got.Equal(ahead) {
		t.Errorf("%v, %v, want %v", got, err, ahead)
	}
	for _, address := range []string{"http://127.0.0.1:1", "ftp://forge.example.com"} {
		if _, err := github.Clock(t.Context(), address); err == nil {
			t.Errorf("%s has a clock", address)
		}
	}
}
