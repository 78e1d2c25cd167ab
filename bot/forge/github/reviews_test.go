package github

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
)

func TestReviewsLeaveOutDrafts(t *testing.T) {
	t.Parallel()
	states := []string{"APPROVED", "PENDING", "CHANGES_REQUESTED", "COMMENTED", "DISMISSED", "SOMETHING_NEW"}
	w := newWire(t, routes{"GET /repos/acme/vms/pulls/1/reviews": paged(len(states), func(i int) any {
		return fields{"id": i + 1, "state": states[i], "user": nil}
	})})
	reviews, err := w.client(t).Reviews(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	var got []forge.ReviewState
	for _, r := range reviews {
		got = append(got, r.State)
		if r.Author.Known() || !r.SubmittedAt.IsZero() {
			t.Errorf("made up: %+v", r)
		}
	}
	want := []forge.ReviewState{forge.Approved, forge.ChangesRequested, forge.Commented, forge.Dismissed, "something_new"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDismissals(t *testing.T) {
	t.Parallel()
	const call = "GET /repos/acme/vms/issues/1/events"
	events := []any{
		fields{"id": 1, "event": "closed", "actor": nil},
		fields{"id": 2, "event": "review_dismissed", "actor": fields{"id": 8, "login": "bob", "type": "User"}, "created_at": "2026-01-23T12:00:00Z",
			"dismissed_review": fields{"review_id": 90, "state": "changes_requested", "dismissal_message": "no"}},
		fields{"id": 3, "event": "review_dismissed", "actor": nil, "created_at": "2026-01-23T12:00:00Z",
			"dismissed_review": fields{"review_id": 91, "state": "APPROVED", "dismissal_message": nil, "dismissal_commit_id": headSHA}},
	}
	w := newWire(t, routes{call: paged(len(events)+100, func(i int) any { return events[max(0, i-100)] })})
	got, err := w.client(t).Dismissals(t.Context(), 1)
	want := []forge.Dismissal{
		{ReviewID: 90, By: bob, State: forge.ChangesRequested, At: noon, Message: "no"},
		{ReviewID: 91, State: forge.Approved, At: noon, ByCommit: headSHA},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil || len(w.seen()) != 2 {
		t.Errorf("after %v, %v (-want +got):\n%s", w.seen(), err, diff)
	}
	for name, answered := range map[string]http.HandlerFunc{
		"of nothing":    answer(200, []any{fields{"event": "review_dismissed", "dismissed_review": fields{"state": "approved"}}}),
		"of no content": answer(200, []any{fields{"event": "review_dismissed"}}),
	} {
		if got, err := newWire(t, routes{call: answered}).client(t).Dismissals(t.Context(), 1); !errors.Is(err, errMisfit) || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestRestarted(t *testing.T) {
	t.Parallel()
	const call = "GET /repos/acme/vms/issues/1/events"
	event := func(kind, at string) any { return fields{"id": 1, "event": kind, "actor": nil, "created_at": at} }
	never := []any{event("closed", "2026-01-23T13:00:00Z"), event("renamed", "2026-01-23T13:00:00Z"), event("merged", "2026-01-23T13:00:00Z")}
	const noonThen = "2026-01-23T12:00:00Z"
	for name, tc := range map[string]struct {
		events []any
		at     time.Time
		err    error
	}{
		"nothing":                   {[]any{}, time.Time{}, nil},
		"nothing of that kind":      {never, time.Time{}, nil},
		"reopened":                  {append(never, event("reopened", noonThen)), noon, nil},
		"another branch":            {append(never, event("base_ref_changed", noonThen)), noon, nil},
		"another branch, by itself": {append(never, event("automatic_base_change_succeeded", noonThen)), noon, nil},
		"several":                   {append(never, event("base_ref_changed", noonThen), event("reopened", "2026-01-22T12:00:00Z")), noon, nil},
		"at no time":                {[]any{fields{"event": "reopened"}}, time.Time{}, errMisfit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, routes{call: answer(200, tc.events)})
			if at, err := w.client(t).Restarted(t.Context(), 1); !at.Equal(tc.at) || !errors.Is(err, tc.err) {
				t.Errorf("got %s, %v", at, err)
			}
		})
	}
}

// asks answers as GitHub does: one who may not be asked spoils it for all.
func TestRequestReviewersLeavesOutTheIneligible(t *testing.T) {
	t.Parallel()
	const call = "POST /repos/acme/vms/pulls/1/requested_reviewers"
	no, yes := answer(422, fields{"message": "Unprocessable Entity", "errors": []string{"Reviews may only be requested from collaborators."}}), answer(201, pullJSON(1))
	for name, tc := range map[string]struct {
		logins, teams []string
		answers       []http.HandlerFunc
		refused       []string
		calls         int
		err           error
	}{
		"nobody to ask": {},
		"all may":       {[]string{"bob", "carol"}, []string{"platform"}, []http.HandlerFunc{yes}, nil, 1, nil},
		"one may not":   {[]string{"bob", "alice"}, []string{"platform"}, []http.HandlerFunc{no, yes, no, yes}, []string{"alice"}, 4, nil},
		"none may":      {[]string{"alice"}, []string{"elsewhere"}, []http.HandlerFunc{no}, []string{"alice", "elsewhere"}, 3, nil},
		"only one":      {nil, []string{"elsewhere"}, []http.HandlerFunc{no}, []string{"elsewhere"}, 1, nil},
		"no permission": {[]string{"bob"}, nil, []http.HandlerFunc{answer(403, fields{"message": "Resource not accessible by integration"})}, nil, 1, forge.ErrRefused},
		"later failure": {[]string{"bob", "carol"}, nil, []http.HandlerFunc{no, yes, answer(500, fields{"message": "x"})}, nil, 3, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, routes{call: inTurn(append(tc.answers, yes)[:max(1, len(tc.answers))]...)})
			refused, err := w.client(t).RequestReviewers(t.Context(), 1, tc.logins, tc.teams)
			if name == "later failure" != (err != nil && !errors.Is(err, forge.ErrRefused)) || tc.err != nil && !errors.Is(err, tc.err) {
				t.Errorf("got %v", err)
			}
			if diff := cmp.Diff(tc.refused, refused); diff != "" || len(w.seen()) != tc.calls {
				t.Errorf("after %v refused (-want +got):\n%s", w.seen(), diff)
			}
			if name != "all may" {
				return
			}
			if diff := cmp.Diff(fields{"reviewers": []any{"bob", "carol"}, "team_reviewers": []any{"platform"}}, w.body(t, 0)); diff != "" {
				t.Errorf("sent (-want +got):\n%s", diff)
			}
		})
	}
}
