package bot

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/internal/governance/approval"
)

func after(d time.Duration) time.Time { return clock.Add(d) }

func move(at time.Duration, before, to string) *ent.Push {
	return &ent.Push{At: after(at), Before: before, After: to}
}

// What was first seen is trusted for what the forge may rewrite, the forge for whether it still stands.
func TestAsSeen(t *testing.T) {
	t.Parallel()
	listed := forge.Review{ID: 11, Author: bob, State: forge.Approved, CommitSHA: commit2, Body: "as it is now", SubmittedAt: after(time.Minute)}
	row := func(change ...func(*ent.Review)) *ent.Review {
		r := &ent.Review{ID: 11, State: "approved", CommitSha: commit1, Body: "as it was", SubmittedAt: clock}
		for _, c := range change {
			c(r)
		}
		return r
	}
	dismissed := func(r forge.Review) forge.Review { r.State = forge.Dismissed; return r }
	reviewer := approval.Reviewer{ID: bob.ID, Login: bob.Login}
	seen := approval.Review{ID: 11, Reviewer: reviewer, State: approval.StateApproved, SubmittedAt: clock, CommitSHA: commit1, Text: "as it was"}
	unseen := approval.Review{ID: 11, Reviewer: reviewer, State: approval.StateApproved, SubmittedAt: after(time.Minute), Text: "as it is now"}
	with := func(r approval.Review, change func(*approval.Review)) approval.Review { change(&r); return r }
	for _, c := range []struct {
		name   string
		listed forge.Review
		row    *ent.Review
		moves  []*ent.Push
		head   string
		want   approval.Review
	}{
		{"seen, and re-pointed by the forge since", listed, row(), nil, commit2, seen},
		{"seen without its commit", listed, row(func(r *ent.Review) { r.CommitSha = "" }), []*ent.Push{move(-time.Minute, commit3, commit1), move(2*time.Minute, commit1, commit2)}, commit2, seen},
		{"withdrawn by a person", dismissed(listed), row(func(r *ent.Review) { r.DismissedBy, r.DismissedByLogin = 103, "carol" }), nil, commit2,
			with(seen, func(r *approval.Review) {
				r.Withdrawn, r.WithdrawnBy = true, approval.Reviewer{ID: 103, Login: "carol"}
			})},
		{"withdrawn, and the webhook was lost", dismissed(listed), row(), nil, commit2,
			with(seen, func(r *approval.Review) { r.Withdrawn = true })},
		{"dismissed by the forge, or so it looked: that is asked of it", dismissed(listed), row(func(r *ent.Review) { r.DismissedBy, r.DismissedByForge = 101, true }), nil, commit2,
			with(seen, func(r *approval.Review) { r.Withdrawn = true })},
		{"never seen, of the head", listed, nil, nil, commit2, with(unseen, func(r *approval.Review) { r.CommitSHA = commit2 })},
		{"never seen, of an older head", listed, nil, nil, commit3, unseen},
		{"never seen and dismissed: the last word takes back what went before", dismissed(listed), nil, nil, commit2,
			with(unseen, func(r *approval.Review) {
				r.State, r.CommitSHA, r.Withdrawn = approval.StateChangesRequested, commit2, true
			})},
		{"never seen, re-pointed: the log knows better", listed, nil, []*ent.Push{move(2*time.Minute, commit1, commit2)}, commit2,
			with(unseen, func(r *approval.Review) { r.CommitSHA = commit1 })},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(c.want, asSeen(c.listed, c.row, c.moves, c.head)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A lost veto that was withdrawn does not bring its author's earlier approval back.
func TestAsSeenLostVeto(t *testing.T) {
	t.Parallel()
	approved := &ent.Review{ID: 11, State: "approved", CommitSha: commit1, SubmittedAt: clock}
	reviews := []approval.Review{
		asSeen(forge.Review{ID: 11, Author: bob, State: forge.Approved}, approved, nil, commit1),
		asSeen(forge.Review{ID: 12, Author: bob, State: forge.Dismissed, SubmittedAt: after(time.Minute)}, nil, nil, commit1),
	}
	got := approval.Latest(reviews, time.Time{})
	if len(got) != 1 || got[0].State != approval.StateChangesRequested || (approval.Case{}).Lifted(got[0]) {
		t.Errorf("counts: %+v; want a veto that nobody is known to have lifted", got)
	}
}

func TestHeadAt(t *testing.T) {
	t.Parallel()
	moves := []*ent.Push{move(time.Minute, commit1, commit2), move(3*time.Minute, commit2, commit3)}
	for _, c := range []struct {
		name      string
		submitted time.Duration
		says      string // the forge
		moves     []*ent.Push
		want      string
	}{
		{"before the first push", 0, commit3, moves, commit1},
		{"at the moment of a push", time.Minute, commit1, moves, commit2},
		{"between", 2 * time.Minute, commit3, moves, commit2},
		{"after the last", time.Hour, commit1, moves, commit3},
		{"no push was seen, and the forge names the head", 0, commit3, nil, commit3},
		{"no push was seen, and the forge names another", 0, commit2, nil, ""},
		{"no push was seen, and the forge names none", 0, "", nil, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := headAt(forge.Review{CommitSHA: c.says, SubmittedAt: after(c.submitted)}, c.moves, commit3); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}
