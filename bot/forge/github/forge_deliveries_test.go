package github_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/bot/forge/github"
	"kv-shepherd.io/shepherd/internal/forgetest"
)

// What was sent and did not come is listed, and holds what was sent: for an App, and for a token that may see the
// repository's webhooks.
func TestForgeDeliveries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull(t, "add")
	const nowhere = "http://127.0.0.1:1" + github.HookPath
	w.app.SetHook(nowhere, "hush")
	hook := w.repo.AddHook(nowhere, "hush", "issue_comment")
	began := time.Now().Add(-time.Minute)
	for range 120 { // more than a page
		if _, err := w.bob.Comment(p, "/hold"); err != nil {
			t.Fatal(err)
		}
	}
	w.repo.SetPermission(w.alice, "admin")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := w.srv.WaitIdle(ctx); err != nil {
		t.Fatal(err)
	}
	byToken := func(u *forgetest.User) *github.Client {
		return w.connect(t, func(c *github.Config) { c.App, c.Token = nil, u.Token() })
	}
	if _, err := byToken(w.bob).Deliveries(t.Context(), began); !errors.Is(err, forge.ErrNotFound) && !errors.Is(err, forge.ErrRefused) {
		t.Errorf("somebody who may not see webhooks: %v", err)
	}
	checkSent(t, w.client, began, w.app.Deliveries())
	checkSent(t, byToken(w.alice), began, w.repo.Deliveries(hook))
	if got, err := w.client.Deliveries(t.Context(), time.Now().Add(time.Hour)); len(got) != 0 || err != nil {
		t.Errorf("of the future: %d, %v", len(got), err)
	}
}

func checkSent(t *testing.T, c *github.Client, since time.Time, want []forgetest.Delivery) {
	t.Helper()
	got, err := c.Deliveries(t.Context(), since)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < 120 || len(got) != len(want) {
		t.Fatalf("%d deliveries, want %d", len(got), len(want))
	}
	for i, d := range []forge.SentDelivery{got[0], got[len(got)-1]} {
		sent := want[len(want)-1]
		if i == 1 {
			sent = want[0]
		}
		body, err := c.DeliveryBody(t.Context(), d)
		if err != nil || d.GUID != sent.GUID || d.Event != sent.Event {
			t.Errorf("%+v, %v, want %s", d, err, sent.GUID)
			continue
		}
		var a, b any
		if err := errors.Join(json.Unmarshal(body, &a), json.Unmarshal(sent.Payload, &b)); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(b, a); diff != "" {
			t.Errorf("%s (-want +got):\n%s", d.GUID, diff)
		}
	}
}
