package github_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/bot/forge/github"
	"kv-shepherd.io/shepherd/internal/forgetest"
)

func TestForgeChecks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull(t, "add")
	w.srv.ResetCalls()
	check := forge.Check{
		Name: "shepherd/validate", HeadSHA: p.HeadSHA(), Conclusion: forge.Failure, Title: "1 problem", Summary: "**why**", ExternalID: "x1",
		Annotations: []forge.Annotation{{Path: "add.yaml", Line: 1, Level: forge.LevelFailure, Title: "T", Message: "M"}},
	}
	first, err := w.client.CreateCheck(t.Context(), check)
	if err != nil || first.ID == 0 || first.URL == "" {
		t.Fatalf("posted %+v, %v", first, err)
	}
	check.Conclusion, check.Annotations = forge.ActionRequired, nil
	second, err := w.client.CreateCheck(t.Context(), check)
	if err != nil || second.ID == first.ID {
		t.Errorf("the second check is %d after %d, %v", second.ID, first.ID, err)
	}
	w.wantCalls(t, "POST /check-runs", "POST /check-runs")
	got, ok := p.Check("shepherd/validate")
	if !ok || got.App != "shepherd" || got.Status != "completed" || got.Conclusion != "action_required" || got.ExternalID != "x1" || len(got.Annotations) != 0 {
		t.Errorf("check %+v", got)
	}
	// The time is the forge's, not ours.
	ahead := time.Now().Add(10 * time.Minute).UTC().Truncate(time.Second)
	w.srv.SetClock(func() time.Time { return ahead })
	if third, err := w.client.CreateCheck(t.Context(), check); err != nil || !third.At.Equal(ahead) {
		t.Errorf("posted at %v, %v, want %v", third.At, err, ahead)
	}
}

func TestForgeComments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	start := time.Now().UTC().Truncate(time.Second)
	w.srv.SetClock(func() time.Time { return start })
	p := w.pull(t, "add")
	say := func(body string) forgetest.Comment {
		t.Helper()
		c, err := w.bob.Comment(p, body)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	say("before")
	rewritten := say("/hold")
	w.srv.SetClock(func() time.Time { return start.Add(time.Minute) })
	said := say("/retry")
	if err := w.bob.EditComment(p, rewritten.ID, "/unhold"); err != nil {
		t.Fatal(err)
	}
	w.srv.ResetCalls()
	got, err := w.client.Comments(t.Context(), start.Add(time.Second))
	want := []forge.PullComment{
		{PullRequest: p.Number(), Comment: forge.Comment{ID: rewritten.ID, Author: person(w.bob), Body: "/unhold", CreatedAt: start, Edited: true}},
		{PullRequest: p.Number(), Comment: forge.Comment{ID: said.ID, Author: person(w.bob), Body: "/retry", CreatedAt: start.Add(time.Minute)}},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(forge.Comment{}, "URL")); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	w.wantCalls(t, "GET /issues/comments")
}

func TestForgeStatusWithAToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull(t, "add")
	c := w.connect(t, func(cfg *github.Config) { cfg.App, cfg.Token = nil, w.bob.Token() })
	w.srv.ResetCalls()
	got, err := c.CreateCheck(t.Context(), forge.Check{
		Name: "shepherd/approval", HeadSHA: p.HeadSHA(), Conclusion: forge.ActionRequired, Title: "waits for bob", DetailsURL: "https://shepherd.test/",
	})
	if err != nil || got.ID == 0 {
		t.Errorf("posted %+v, %v", got, err)
	}
	w.wantCalls(t, "POST /statuses/{sha}")
	want := []forgetest.Status{{Context: "shepherd/approval", State: "pending", Description: "waits for bob", TargetURL: "https://shepherd.test/", Creator: "bob"}}
	if diff := cmp.Diff(want, p.Statuses()); diff != "" {
		t.Errorf("statuses (-want +got):\n%s", diff)
	}
	if self, err := c.Self(t.Context()); self != person(w.bob) || err != nil {
		t.Errorf("self %+v, %v", self, err)
	}
}

func TestForgeCommentsOfAll(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, marker := t.Context(), "<!-- shepherd -->"
	p := w.pull(t, "add")
	if _, err := w.bob.Comment(p, "mine now "+marker); err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.client.FindComment(ctx, p.Number(), marker); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("somebody else's comment: %v", err)
	}
	posted, err := w.client.CreateComment(ctx, p.Number(), "one "+marker)
	if err != nil || posted.ID == 0 || posted.At.IsZero() {
		t.Fatalf("posted %+v, %v", posted, err)
	}
	w.srv.ResetCalls()
	id, body, err := w.client.FindComment(ctx, p.Number(), marker)
	if id != posted.ID || body != "one "+marker || err != nil {
		t.Errorf("found %d %q %v", id, body, err)
	}
	if edited, err := w.client.EditComment(ctx, id, "two "+marker); edited.ID != id || err != nil {
		t.Errorf("edited %+v, %v", edited, err)
	}
	if err := w.client.React(ctx, id, "confused"); err != nil {
		t.Error(err)
	}
	w.wantCalls(t, "GET /issues/{number}/comments", "PATCH /issues/comments/{id}", "POST /issues/comments/{id}/reactions")
	if got := p.CommentsBy("shepherd[bot]"); len(got) != 1 || got[0].Body != "two "+marker {
		t.Errorf("comments %+v", got)
	}
	if err := w.bob.DeleteComment(p, id); err != nil {
		t.Fatal(err)
	}
	w.srv.ResetCalls()
	if _, err := w.client.EditComment(ctx, id, "three"); !errors.Is(err, forge.ErrNotFound) {
		t.Errorf("deleted: %v", err)
	}
	w.wantCalls(t, "PATCH /issues/comments/{id}", "GET /repositories/{id}")
}
