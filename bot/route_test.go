package bot

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/bot/forge/github"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
)

func (d *database) router() *Router {
	return NewRouter(d.db, d.queue, github.Parse, repo, self, now)
}

// deliver stores a webhook as the intake does, without its job.
func (d *database) deliver(id int, event string, sender forge.Person, more map[string]any) {
	d.Helper()
	d.deliverAt(clock, id, event, sender, more)
}

func (d *database) deliverAt(at time.Time, id int, event string, sender forge.Person, more map[string]any) {
	d.Helper()
	d.exec(`insert into deliveries (id, event, body, received_at) values ($1, $2, $3, $4)`, guid(id), event, encode(d, body(sender, more)), at)
}

func (d *database) route(id int) error {
	return d.router().Route(d.Context(), jobs.RouteDelivery{DeliveryID: guid(id)})
}

// routed delivers and routes.
func (d *database) routed(id int, event string, sender forge.Person, more map[string]any) {
	d.Helper()
	d.deliver(id, event, sender, more)
	d.ok(d.route(id))
}

func (d *database) outcomes() []string {
	d.Helper()
	return d.lines(`select status || ': ' || outcome from deliveries order by id`)
}

func (d *database) pushes() []string {
	d.Helper()
	return d.lines(`select format('#%s %s %s..%s forced=%s by %s/%s', pull_request, ref, left(before, 4), left(after, 4), forced, pusher_id, pusher_login) from pushes order by delivery_id`)
}

func (d *database) reviews() []string {
	d.Helper()
	return d.lines(`select format('%s #%s %s/%s bot=%s %s %s %s dismissed %s forge=%s', id, pull_request, reviewer_id, reviewer_login, reviewer_bot, state, left(commit_sha, 4), body, dismissed_by, dismissed_by_forge) from reviews order by id`)
}

func (d *database) same(what string, want, got []string) {
	d.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		d.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

const (
	judge7 = `judge_pull_request {"number": 7}`
	tell7  = `tell_pull_request {"number": 7}`
	walk   = `walk_branch {"repository_id": 42}`
)

// Every kind of event becomes what it should, and nothing else.
func TestRoute(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		event   string
		sender  forge.Person
		body    map[string]any
		given   func(*database)
		outcome string
		jobs    []string
		pushes  []string
		reviews []string
	}{
		{name: "opened", event: "pull_request", sender: alice, body: pullEvent("opened", 7, nil), outcome: "routed: pull_request opened", jobs: []string{judge7}},
		{name: "edited", event: "pull_request", sender: alice, body: pullEvent("edited", 7, nil), outcome: "routed: pull_request edited", jobs: []string{judge7}},
		{name: "closed unmerged", event: "pull_request", sender: alice, body: pullEvent("closed", 7, nil), outcome: "routed: pull_request closed", jobs: []string{judge7}},
		{name: "merged", event: "pull_request", sender: alice, body: pullEvent("closed", 7, map[string]any{"merged": true}),
			outcome: "routed: pull_request closed", jobs: []string{walk, judge7}},
		{name: "pushed to", event: "pull_request", sender: bob, body: synchronize(7, commit1, commit2), outcome: "routed: pull_request synchronize",
			jobs: []string{judge7}, pushes: []string{"#7 refs/pull/7/head 1111..2222 forced=f by 102/bob"}},
		{name: "push to the governed branch", event: "push", sender: bob, body: pushEvent("refs/heads/main", commit1, commit2), outcome: "routed: push ",
			jobs: []string{walk}, pushes: []string{"#0 refs/heads/main 1111..2222 forced=f by 102/bob"}},
		{name: "push to another branch", event: "push", sender: bob, body: pushEvent("refs/heads/topic", noCommit, commit2), outcome: "routed: push ",
			pushes: []string{"#0 refs/heads/topic 0000..2222 forced=f by 102/bob"}},
		{name: "push to a branch of a longer name", event: "push", sender: bob, body: pushEvent("refs/heads/main2", commit1, commit2), outcome: "routed: push ",
			pushes: []string{"#0 refs/heads/main2 1111..2222 forced=f by 102/bob"}},
		{name: "tag", event: "push", sender: bob, body: pushEvent("refs/tags/main", commit1, commit2), outcome: "ignored: nothing that is acted on"},
		{name: "approved", event: "pull_request_review", sender: bob, body: reviewEvent("submitted", 7, 11, bob, "approved", commit2, "fine"),
			outcome: "routed: review submitted", jobs: []string{judge7}, reviews: []string{"11 #7 102/bob bot=f approved 2222 fine dismissed 0 forge=f"}},
		{name: "changes requested", event: "pull_request_review", sender: bob, body: reviewEvent("submitted", 7, 11, bob, "changes_requested", commit2, "no"),
			outcome: "routed: review submitted", jobs: []string{judge7}, reviews: []string{"11 #7 102/bob bot=f changes_requested 2222 no dismissed 0 forge=f"}},
		{name: "approved by an app", event: "pull_request_review", sender: self, body: reviewEvent("submitted", 7, 11, forge.Person{ID: 7, Login: "x[bot]", Bot: true}, "approved", commit2, ""),
			outcome: "routed: review submitted", jobs: []string{judge7}, reviews: []string{"11 #7 7/x[bot] bot=t approved 2222  dismissed 0 forge=f"}},
		{name: "dismissal of a review never seen", event: "pull_request_review", sender: carol, body: reviewEvent("dismissed", 7, 11, bob, "dismissed", commit2, ""),
			outcome: "routed: review dismissed", jobs: []string{judge7}},
		{name: "somebody's comment", event: "issue_comment", sender: alice, body: commentEvent("created", 7, 5, alice), outcome: "ignored: a comment"},
		{name: "somebody's comment deleted", event: "issue_comment", sender: bob, body: commentEvent("deleted", 7, 5, alice), outcome: "ignored: a comment"},
		{name: "comment on an issue", event: "issue_comment", sender: alice, body: map[string]any{
			"action": "created", "issue": map[string]any{"number": 3}, "comment": map[string]any{"id": 5, "user": user(alice)},
		}, outcome: "ignored: nothing that is acted on"},
		{name: "check asked for again", event: "check_run", sender: alice, given: headOf7, body: map[string]any{
			"action": "rerequested", "check_run": map[string]any{"head_sha": commit2, "pull_requests": []any{}},
		}, outcome: "routed: check rerequested", jobs: []string{judge7}},
		{name: "checks of a commit that is nobody's head", event: "check_suite", sender: alice, given: headOf7, body: map[string]any{
			"action": "rerequested", "check_suite": map[string]any{"head_sha": commit3, "pull_requests": []any{}},
		}, outcome: "routed: check rerequested"},
		{name: "check completed", event: "check_run", sender: self, body: map[string]any{
			"action": "completed", "check_run": map[string]any{"head_sha": commit2},
		}, outcome: "ignored: nothing that is acted on"},
		{name: "an event without meaning", event: "star", sender: alice, body: map[string]any{"action": "created"}, outcome: "ignored: nothing that is acted on"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			if c.given != nil {
				c.given(d)
			}
			d.deliver(1, c.event, c.sender, c.body)
			for range 2 { // a second time changes nothing
				d.ok(d.route(1))
				d.same("outcome", []string{c.outcome}, d.outcomes())
				d.same("jobs", orEmpty(c.jobs), d.jobs())
				d.same("pushes", orEmpty(c.pushes), d.pushes())
				d.same("reviews", orEmpty(c.reviews), d.reviews())
			}
		})
	}
}

func orEmpty(s []string) []string { return append([]string{}, s...) }

func headOf7(d *database) {
	d.ok(d.db.PullRequest.Create().SetID(7).SetHeadSha(commit2).SetValidateHash("said").SetApprovalHash("said").SetCommentID(5).SetCommentHash("said").Exec(d.Context()))
}

// What is not about the governed repository, or is not what it says it is, moves nothing.
func TestRouteIgnores(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, event, why string
		body             map[string]any
	}{
		{"another repository", "pull_request", "another repository", func() map[string]any {
			b := pullEvent("closed", 7, map[string]any{"merged": true})
			b["repository"] = map[string]any{"id": repo.ID + 1}
			return b
		}()},
		{"a push to another repository", "push", "another repository", func() map[string]any {
			b := pushEvent("refs/heads/main", commit1, commit2)
			b["repository"] = map[string]any{"id": 1}
			return b
		}()},
		{"a push under a review's name", "pull_request_review", "does not fit the body", pushEvent("refs/heads/main", commit1, commit2)},
		{"a comment under a push's name", "push", "does not fit the body", commentEvent("created", 7, 1, alice)},
		{"a review under a name without meaning", "ping", "does not fit the body", reviewEvent("submitted", 7, 11, bob, "approved", commit2, "")},
		{"no number", "pull_request", "no pull request's number", pullEvent("opened", 0, nil)},
		{"a commit that is none", "pull_request", "no commit", synchronize(7, "main", commit2)},
		{"a repository that is none", "pull_request", "repository", func() map[string]any {
			b := pullEvent("opened", 7, nil)
			b["repository"] = "acme/vms"
			return b
		}()},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			d.routed(1, c.event, alice, c.body)
			if got := d.outcomes()[0]; !strings.HasPrefix(got, "ignored: ") || !strings.Contains(got, c.why) {
				t.Errorf("%s: want the reason %q", got, c.why)
			}
			if n := d.count("river_job") + d.count("pushes") + d.count("reviews") + d.count("pull_requests"); n != 0 {
				t.Errorf("%d rows were written", n)
			}
		})
	}
}

func TestRouteWithoutDelivery(t *testing.T) {
	t.Parallel()
	if err := newDatabase(t).route(1); !jobs.IsTerminal(err) {
		t.Errorf("%v: want no retry", err)
	}
}

func TestRouteBodyThatIsNoJSON(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.exec(`insert into deliveries (id, event, body, received_at) values ($1, 'push', '\x00ff', now())`, guid(1))
	d.ok(d.route(1))
	if got := d.outcomes()[0]; !strings.HasPrefix(got, "ignored: unreadable: ") {
		t.Error(got)
	}
}

// The forge may rewrite a review: what was first seen stays.
func TestRouteFirstReviewWins(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.routed(1, "pull_request_review", bob, reviewEvent("submitted", 7, 11, bob, "approved", commit1, "first"))
	d.routed(2, "pull_request_review", bob, reviewEvent("edited", 7, 11, bob, "approved", commit2, "second"))
	d.same("reviews", []string{"11 #7 102/bob bot=f approved 1111 first dismissed 0 forge=f"}, d.reviews())
	d.same("jobs", []string{judge7}, d.jobs())
}

func TestRouteChecksAskedForAgain(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	headOf7(d)
	d.ok(d.db.PullRequest.Create().SetID(8).SetHeadSha(commit2).SetValidateHash("said").SetApprovalHash("said").Exec(t.Context()))
	d.ok(d.db.PullRequest.Create().SetID(9).SetHeadSha(commit3).SetValidateHash("said").SetApprovalHash("said").Exec(t.Context()))
	d.routed(1, "check_run", alice, map[string]any{"action": "rerequested", "check_run": map[string]any{
		"head_sha": commit2, "pull_requests": []any{map[string]any{"number": 7, "base": map[string]any{"repo": map[string]any{"id": repo.ID}}}},
	}})
	d.same("what the checks said", []string{"7:  comment said", "8:  comment ", "9: saidsaid comment "},
		d.lines(`select id || ': ' || validate_hash || approval_hash || ' comment ' || comment_hash from pull_requests order by id`))
	got := d.jobs()
	slices.Sort(got)
	d.same("jobs", []string{judge7, `judge_pull_request {"number": 8}`}, got)
}

func TestRouteRestoresOurComment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, action   string
		comment        int64
		author, sender forge.Person
		row, outcome   string
		jobs, trail    []string
	}{
		{"edited", "edited", 5, self, bob, "5 ", "routed: our comment was edited", []string{tell7}, []string{`COMMENT_RESTORED bob 102 #7 {"action": "edited", "comment": 5}`}},
		{"deleted", "deleted", 5, self, bob, "0 ", "routed: our comment was deleted", []string{tell7}, []string{`COMMENT_RESTORED bob 102 #7 {"action": "deleted", "comment": 5}`}},
		{"edited by ourselves", "edited", 5, self, self, "5 said", "ignored: a comment", nil, nil},
		{"written by ourselves", "created", 5, self, self, "5 said", "ignored: a comment", nil, nil},
		{"another of ours", "deleted", 6, self, bob, "5 said", "ignored: another comment of ours", nil, nil},
		{"one that only claims to be ours", "edited", 5, forge.Person{ID: 1, Login: self.Login}, bob, "5 said", "ignored: a comment", nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			headOf7(d)
			d.deliver(1, "issue_comment", c.sender, commentEvent(c.action, 7, c.comment, c.author))
			for range 2 {
				d.ok(d.route(1))
				d.same("outcome", []string{c.outcome}, d.outcomes())
				d.same("the row", []string{c.row}, d.lines(`select comment_id || ' ' || comment_hash from pull_requests`))
				d.same("jobs", orEmpty(c.jobs), d.jobs())
				d.same("trail", orEmpty(c.trail), d.lines(`select format('%s %s %s #%s %s', action_code, performed_by, actor_id, pull_request, params) from audit_log`))
			}
		})
	}
}

// Routing is one transaction, whatever the event.
func TestRouteIsOneTransaction(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		event string
		body  map[string]any
	}{
		"push":              {"push", pushEvent("refs/heads/main", commit1, commit2)},
		"synchronize":       {"pull_request", synchronize(7, commit1, commit2)},
		"merge":             {"pull_request", pullEvent("closed", 7, map[string]any{"merged": true})},
		"review":            {"pull_request_review", reviewEvent("submitted", 7, 12, bob, "approved", commit2, "")},
		"dismissal":         {"pull_request_review", reviewEvent("dismissed", 7, 11, bob, "dismissed", commit2, "")},
		"our comment":       {"issue_comment", commentEvent("deleted", 7, 5, self)},
		"check rerequested": {"check_run", map[string]any{"action": "rerequested", "check_run": map[string]any{"head_sha": commit2, "pull_requests": []any{}}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			headOf7(d)
			d.exec(`insert into reviews (id, pull_request, reviewer_id, reviewer_login, state, submitted_at) values (11, 7, 102, 'bob', 'approved', now())`)
			d.deliver(1, c.event, alice, c.body)
			if n := d.breakEverywhere(func(d *database) error { return d.route(1) }); n < 4 {
				t.Errorf("only %d statements were broken", n)
			}
			if got := d.outcomes()[0]; !strings.HasPrefix(got, "routed: ") {
				t.Error(got)
			}
			if len(d.jobs()) == 0 {
				t.Error("nothing was queued")
			}
		})
	}
}

// Want is what a step calls inside its transaction.
func (d *database) want(number int) error {
	return d.db.InTx(d.Context(), func(ctx context.Context, tx *store.Tx) error { return approval.Want(ctx, tx, d.queue, number) })
}

// A burst of wishes is one judging; a wish while it runs is another.
func TestWantCoalesces(t *testing.T) {
	t.Parallel()
	const wishes = 100
	d := newDatabase(t)
	var wg sync.WaitGroup
	for range wishes {
		wg.Go(func() {
			if err := d.want(7); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	state := func() []string {
		return d.lines(`select format('wanted %s judged %s queued %s', wanted, judged, queued) from pull_requests`)
	}
	d.same("jobs", []string{judge7}, d.jobs())
	d.same("row", []string{fmt.Sprintf("wanted %d judged 0 queued t", wishes)}, state())

	j := &Judge{db: d.db}
	d.exec(`update river_job set state = 'running'`)
	wanted, err := j.begin(t.Context(), 7)
	if err != nil || wanted != wishes {
		t.Fatalf("begin: %d, %v", wanted, err)
	}
	d.same("row while judging", []string{fmt.Sprintf("wanted %d judged 0 queued f", wishes)}, state())
	for range 3 {
		d.ok(d.want(7))
	}
	d.same("jobs while judging", []string{judge7}, d.jobs())

	d.exec(`update pull_requests set judged = $1`, wanted)
	if again, err := j.begin(t.Context(), 7); err != nil || again != wishes+3 {
		t.Errorf("the second judging: %d, %v", again, err)
	}
	d.exec(`update pull_requests set judged = wanted`)
	if done, err := j.begin(t.Context(), 7); err != nil || done != 0 {
		t.Errorf("when all is judged: %d, %v", done, err)
	}
	if none, err := j.begin(t.Context(), 8); err != nil || none != 0 {
		t.Errorf("of a pull request that is not known: %d, %v", none, err)
	}
}

func TestWantNothing(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	for _, number := range []int{0, -1} {
		d.ok(d.want(number))
	}
	if n := d.count("pull_requests") + d.count("river_job"); n != 0 {
		t.Errorf("%d rows", n)
	}
}
