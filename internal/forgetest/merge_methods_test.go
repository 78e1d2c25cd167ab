package forgetest_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

func TestMergeMethodsCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo.AllowMerging("squash")
	p := w.pull("redis")
	for method, text := range map[string]string{
		"merge": "Merge commits are not allowed", "": "Merge commits are not allowed", "rebase": "Rebase merges are not allowed",
	} {
		_, err := w.bob.Merge(p, method)
		wantRefusal(t, err, 405, text)
	}
	_, err := w.bob.Merge(p, "octopus")
	wantRefusal(t, err, 422, "merge_method")
	r := got[*github.Repository](t)(w.as(w.bob).Repositories.Get(t.Context(), "acme", "vms"))
	if r.GetAllowMergeCommit() || !r.GetAllowSquashMerge() || r.GetAllowRebaseMerge() {
		t.Errorf("repository is %v", r)
	}
	do(t, second(w.bob.Merge(p, "squash")))
}

func TestEventsOfAPullRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.repo.Protect("main", forgetest.Protection{DismissStale: true})
	_, bot := w.app("")
	p := w.pull("redis")
	do(t, w.alice.RequestReview(p, w.bob), w.alice.EditPull(p, "add redis again", ""))
	stale := must[forgetest.Review](t)(w.bob.Approve(p))
	pushed := w.commit(w.alice, "redis", "redis.yaml", "changed\n")
	veto := must[forgetest.Review](t)(w.root.RequestChanges(p, "no"))
	do(t, w.bob.DismissReview(p, veto.ID, "I know better"))
	got[*github.PullRequest](t)(bot.PullRequests.RequestReviewers(t.Context(), "acme", "vms", 1, github.ReviewersRequest{Reviewers: []string{"bob"}}))
	do(t, second(bot.PullRequests.RemoveReviewers(t.Context(), "acme", "vms", 1, github.ReviewersRequest{Reviewers: []string{"bob"}})))
	events := got[[]*github.IssueEvent](t)(bot.Issues.ListIssueEvents(t.Context(), "acme", "vms", 1, nil))
	type entry struct {
		Event, By, State, Message, Commit string
		Review                            int64
	}
	var all []entry
	for _, e := range events {
		d := e.GetDismissedReview()
		all = append(all, entry{e.GetEvent(), e.GetActor().GetLogin(), d.GetState(), d.GetDismissalMessage(), d.GetDismissalCommitID(), d.GetReviewID()})
		if e.GetCreatedAt().IsZero() {
			t.Errorf("no time: %v", e)
		}
	}
	want := []entry{
		{Event: "review_requested", By: "alice"},
		{Event: "renamed", By: "alice"},
		{Event: "review_dismissed", By: "alice", State: "approved", Commit: pushed, Review: stale.ID},
		{Event: "review_dismissed", By: "bob", State: "changes_requested", Message: "I know better", Review: veto.ID},
		{Event: "review_requested", By: "shepherd[bot]"},
		{Event: "review_request_removed", By: "shepherd[bot]"},
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}
