package github_test

import (
	"context"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/internal/forgetest"
)

// listen gathers what the App hears from now on.
func (w *world) listen(t *testing.T) *hearing {
	t.Helper()
	h := &hearing{secret: []byte("hush"), bodies: map[string][]byte{}}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	w.app.SetHook(srv.URL, "hush")
	return h
}

// heard lists the events of a kind once all deliveries are made.
func (w *world) heard(t *testing.T, h *hearing, kind forge.EventKind) []forge.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := w.srv.WaitIdle(ctx); err != nil {
		t.Fatal(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, err := range h.errs {
		t.Error(err)
	}
	return slices.DeleteFunc(slices.Clone(h.events), func(e forge.Event) bool { return e.Kind != kind })
}

func TestForgeMergeQueue(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	h := w.listen(t)
	w.repo.Protect("main", forgetest.Protection{Checks: []forgetest.RequiredCheck{{Context: "shepherd/approval", AppID: w.app.ID()}}, MergeQueue: "squash"})
	green := func(sha string) {
		t.Helper()
		if _, err := w.client.CreateCheck(t.Context(), forge.Check{Name: "shepherd/approval", HeadSHA: sha, Conclusion: forge.Success, Title: "t"}); err != nil {
			t.Fatal(err)
		}
	}
	var groups []*forgetest.MergeGroup
	for _, branch := range []string{"one", "two"} {
		p := w.pull(t, branch)
		green(p.HeadSHA())
		g, err := w.bob.Enqueue(p)
		if err != nil {
			t.Fatal(err)
		}
		groups = append(groups, g)
	}
	want := []forge.MergeGroup{}
	for _, g := range groups {
		want = append(want, forge.MergeGroup{HeadSHA: g.HeadSHA(), BaseSHA: g.BaseSHA(), HeadRef: g.HeadRef(), BaseRef: "refs/heads/main"})
		green(g.HeadSHA())
	}
	if did, err := w.repo.RunMergeQueue("main"); err != nil || !cmp.Equal(did.Merged, []int{1, 2}) {
		t.Fatalf("the queue did %+v, %v", did, err)
	}
	var got []forge.MergeGroup
	for _, e := range w.heard(t, h, forge.MergeGroupRequested) {
		if e.RepositoryID != w.repo.ID() || e.HeadSHA != e.Group.HeadSHA {
			t.Errorf("event %+v", e)
		}
		got = append(got, *e.Group)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
	for i, g := range groups {
		if n, err := w.client.MergedPullRequest(t.Context(), g.HeadSHA(), "main"); n != i+1 || err != nil {
			t.Errorf("%s came by %d, %v", g.HeadSHA(), n, err)
		}
	}
}

func TestForgeMemberships(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	org := w.srv.Organization("acme")
	team := org.Team("platform")
	team.Add(w.alice, w.bob)
	h := w.listen(t)
	team.Remove(w.bob)
	team.Delete()
	org.SetMember(w.alice, "")
	w.repo.SetPermission(w.bob, "none")
	var got []forge.Event
	for _, e := range w.heard(t, h, forge.MembershipChanged) {
		e.Sender = forge.Person{}
		got = append(got, e)
	}
	event := func(action string, repo int64, m forge.Membership) forge.Event {
		return forge.Event{Kind: forge.MembershipChanged, Action: action, RepositoryID: repo, Membership: &m}
	}
	want := []forge.Event{
		event("removed", 0, forge.Membership{PersonID: w.bob.ID(), OrgID: org.ID(), TeamID: team.ID()}),
		event("deleted", 0, forge.Membership{OrgID: org.ID(), TeamID: team.ID()}),
		event("member_removed", 0, forge.Membership{PersonID: w.alice.ID(), OrgID: org.ID()}),
		event("removed", w.repo.ID(), forge.Membership{PersonID: w.bob.ID(), OrgID: org.ID()}),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// Every event that may count says when it happened by the forge's clock, also when that is not ours.
func TestForgeEventTimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull(t, "add")
	h := w.listen(t)
	at := time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	step := func() { at = at.Add(time.Minute); now := at; w.srv.SetClock(func() time.Time { return now }) }
	step()
	must(w.alice.Commit(w.repo, "add", "", forgetest.Files{"b": []byte("b")}, "b"))
	step()
	rv, err := w.bob.RequestChanges(p, "no")
	must(rv, err)
	step()
	must(nil, w.alice.DismissReview(p, rv.ID, "yes"))
	step()
	c, err := w.bob.Comment(p, "/hold")
	must(c, err)
	step()
	must(nil, w.bob.EditComment(p, c.ID, "/unhold"))
	step()
	must(w.alice.Commit(w.repo, "next", "main", forgetest.Files{"n": []byte("n")}, "n"))
	must(nil, w.alice.Retarget(p, "next"))
	minute := func(n int) time.Time { return time.Date(2031, 5, 6, 7, 8+n, 9, 0, time.UTC) }
	check := func(e forge.Event, action string, n int) {
		t.Helper()
		if e.Action != action || !e.At.Equal(minute(n)) {
			t.Errorf("%s %s at %v, want %s at %v", e.Kind, e.Action, e.At, action, minute(n))
		}
	}
	pulls := w.heard(t, h, forge.PullRequestChanged)
	check(pulls[0], "synchronize", 1)
	check(pulls[len(pulls)-1], "edited", 6)
	if !pulls[len(pulls)-1].Retargeted || pulls[0].Retargeted {
		t.Error("which of them was retargeted?")
	}
	reviews := w.heard(t, h, forge.ReviewChanged)
	check(reviews[0], "submitted", 2)
	check(reviews[1], "dismissed", 3)
	comments := w.heard(t, h, forge.CommentChanged)
	check(comments[0], "created", 4)
	check(comments[1], "edited", 5)
	if edit := comments[1].Comment; !edit.Edited || edit.Before != "/hold" || !edit.CreatedAt.Equal(minute(4)) || comments[0].Comment.Edited {
		t.Errorf("edit %+v", edit)
	}
}
