package approval

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/internal/domain"
)

// The people of the tests: alice, bob and carol may approve, dave may not, eve is a bot that is bound
// as an approver, ada wrote the pull request, root is a platform administrator.
var (
	alice = Reviewer{ID: 1, Login: "alice"}
	bob   = Reviewer{ID: 2, Login: "bob"}
	carol = Reviewer{ID: 3, Login: "carol"}
	dave  = Reviewer{ID: 4, Login: "dave"}
	eve   = Reviewer{ID: 5, Login: "eve[bot]", Bot: true}
	ada   = Reviewer{ID: 9, Login: "ada"}
	root  = Reviewer{ID: 6, Login: "root"}
)

var (
	published = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	planNow   = uuid.MustParse("00000000-0000-7000-8000-000000000002")
	planOld   = uuid.MustParse("00000000-0000-7000-8000-000000000001")
)

func eligible(r Reviewer) bool { return slices.Contains([]int64{1, 2, 3, 5, 9}, r.ID) }

// onePlan is a ticket whose plan has been on show since published at two heads with the same digests.
func onePlan() Case {
	return Case{
		Required: 1, Plan: planNow, PublishedAt: published, Heads: []string{"head1", "head2"},
		Plans: []PublishedPlan{{planNow, published}},
		MayApprove: func(r Reviewer) (bool, string) {
			return eligible(r), "it needs somebody else"
		},
		MayVeto: func(r Review) bool { return eligible(r.Reviewer) && !r.Reviewer.Bot },
		MayLift: func(r Reviewer) bool { return r.ID == root.ID },
		Grace:   10 * time.Second,
		Opened:  published.Add(-time.Minute),
	}
}

// review is one of the current head, a minute after publication; edits change that.
func review(id int64, who Reviewer, state State, edits ...func(*Review)) Review {
	r := Review{ID: id, Reviewer: who, State: state, SubmittedAt: published.Add(time.Minute + time.Duration(id)*time.Second), CommitSHA: "head1"}
	for _, e := range edits {
		e(&r)
	}
	return r
}

func approves(id int64, who Reviewer, edits ...func(*Review)) Review {
	return review(id, who, StateApproved, edits...)
}

func refuses(id int64, who Reviewer, edits ...func(*Review)) Review {
	return review(id, who, StateChangesRequested, edits...)
}

func at(d time.Duration) func(*Review) {
	return func(r *Review) { r.SubmittedAt = published.Add(d) }
}
func on(sha string) func(*Review)      { return func(r *Review) { r.CommitSHA = sha } }
func saying(text string) func(*Review) { return func(r *Review) { r.Text = text } }
func withdrawn(r *Review)              { r.Withdrawn = true }
func carrying(r *Review)               { r.CarriesPlan = true }
func dismissedBy(who Reviewer) func(*Review) {
	return func(r *Review) { r.Withdrawn, r.WithdrawnBy = true, who }
}

func TestWeigh(t *testing.T) {
	t.Parallel()
	const (
		pending  = domain.TicketPending
		approved = domain.TicketApproved
		rejected = domain.TicketRejected
	)
	list := func(rs ...Review) []Review { return rs }
	contributors := func(id int64, how string) func(*Case) {
		return func(c *Case) { c.Contributors = map[int64]string{id: how} }
	}
	for _, tt := range []struct {
		name    string
		change  func(*Case)
		reviews []Review
		want    domain.TicketStatus
		why     string // of the first vote that does not count
	}{
		{"no reviews", nil, nil, pending, ""},
		{"one approval", nil, list(approves(1, alice)), approved, ""},

		{"before publication", nil, list(approves(1, alice, at(-time.Second))), pending, "before the plan was published"},
		{"never published", func(c *Case) { c.PublishedAt, c.Plans = time.Time{}, nil }, list(approves(1, alice)), pending, "before the plan was published"},
		{"at publication", nil, list(approves(1, alice, at(0))), pending, "within 10s"},
		{"within grace", nil, list(approves(1, alice, at(10*time.Second-1))), pending, "within 10s"},
		{"after grace", nil, list(approves(1, alice, at(10*time.Second))), approved, ""},
		{"no grace configured", func(c *Case) { c.Grace = 0 }, list(approves(1, alice, at(0))), approved, ""},

		{"another head, same digests", nil, list(approves(1, alice, on("head2"))), approved, ""},
		{"another head", nil, list(approves(1, alice, on("0123456789abcdef"))), pending, "it was sent on 01234567, which asks for something else"},
		{"unknown commit", nil, list(approves(1, alice, on(""))), pending, "not known which commit"},
		{"unknown commit, no heads", func(c *Case) { c.Heads = nil }, list(approves(1, alice, on(""))), pending, "not known which commit"},

		{"the plan changed since", func(c *Case) {
			c.PublishedAt = published.Add(5 * time.Minute)
			c.Plans = []PublishedPlan{{planOld, published}, {planNow, c.PublishedAt}}
		}, list(approves(1, alice)), pending, "plan that has changed since"},
		{"an earlier plan of the path", func(c *Case) {
			c.Plans = []PublishedPlan{{planNow, published}, {planOld, published.Add(-time.Hour)}}
		}, list(approves(1, alice)), approved, ""},
		{"another plan was on show when it was sent", func(c *Case) {
			c.Plans = []PublishedPlan{{planOld, published.Add(30 * time.Second)}, {planNow, published}}
		}, list(approves(1, alice)), pending, "plan that has changed since"},
		{"another plan published in the same second", func(c *Case) {
			c.Plans = []PublishedPlan{{planOld, published}, {planNow, published}}
		}, list(approves(1, alice)), approved, ""},

		{"a bot that is bound as approver", nil, list(approves(1, eve)), pending, "bots do not approve"},
		{"nobody known", nil, list(approves(1, Reviewer{Login: "ghost"})), pending, "does not say who"},
		{"not eligible", nil, list(approves(1, dave)), pending, "it needs somebody else"},

		{"the author", contributors(ada.ID, "author"), list(approves(1, ada)), pending, "contributed to: author"},
		{"a pusher", contributors(alice.ID, "pusher"), list(approves(1, alice)), pending, "contributed to: pusher"},
		{"a committer", contributors(alice.ID, "committer"), list(approves(1, alice)), pending, "contributed to: committer"},
		{"a co-author", contributors(alice.ID, "co-author"), list(approves(1, alice)), pending, "contributed to: co-author"},
		{"somebody else contributed", contributors(bob.ID, "pusher"), list(approves(1, alice)), approved, ""},
		{"a commit nobody can be named for", func(c *Case) { c.Unattributed = "commit abc has no account" }, list(approves(1, alice)), pending, "commit abc has no account"},

		{"approved, then refused", nil, list(approves(1, alice), refuses(2, alice)), rejected, ""},
		{"refused, then approved", nil, list(refuses(1, alice), approves(2, alice)), approved, ""},
		{"a comment in between", nil, list(approves(1, alice), review(2, alice, "commented")), approved, ""},
		{"a comment after a refusal", nil, list(refuses(1, alice), review(2, alice, "commented")), rejected, ""},
		{"only a comment", nil, list(review(1, alice, "commented")), pending, ""},
		{"an unknown state", nil, list(review(1, alice, "pending")), pending, ""},
		{"a later approval that does not count", nil, list(approves(1, alice), approves(2, alice, on("other"))), pending, "asks for something else"},

		{"withdrawn", nil, list(approves(1, alice, withdrawn)), pending, ""},
		{"withdrawn, an earlier one does not come back", nil, list(approves(1, alice), approves(2, alice, withdrawn)), pending, ""},
		{"a refusal withdrawn", nil, list(refuses(1, alice, dismissedBy(alice)), approves(2, bob)), approved, ""},
		{"a refusal withdrawn, an approval from before does not come back", nil, list(approves(1, alice), refuses(2, alice, dismissedBy(alice))), pending, ""},
		{"a refusal withdrawn by nobody knows whom", nil, list(refuses(1, alice, withdrawn), approves(2, bob)), rejected, ""},
		{"a refusal dismissed by an administrator", nil, list(refuses(1, alice, dismissedBy(root)), approves(2, bob)), approved, ""},
		{"a refusal dismissed by somebody who may not", nil, list(refuses(1, alice, dismissedBy(bob)), approves(2, bob)), rejected, ""},
		{"a refusal dismissed by an administrator who contributed", contributors(root.ID, "pusher"), list(refuses(1, alice, dismissedBy(root)), approves(2, bob)), rejected, ""},
		{"a refusal dismissed by an administrator who may have contributed", func(c *Case) { c.Unattributed = "commit abc has no account" },
			list(refuses(1, alice, dismissedBy(root)), approves(2, bob)), rejected, "commit abc has no account"},
		{"a refusal withdrawn by a contributor who sent it", contributors(alice.ID, "pusher"), list(refuses(1, alice, dismissedBy(alice)), approves(2, bob)), approved, ""},
		{"a refusal from before the ticket dismissed by somebody who may not", nil, list(refuses(1, alice, on("old"), at(-2*time.Minute), dismissedBy(bob)), approves(2, bob)), pending, ""},
		{"dismissed by the forge on a push", nil, list(approves(1, alice)), approved, ""},

		{"before the epoch", func(c *Case) { c.Epoch = published.Add(2 * time.Minute) }, list(approves(1, alice)), pending, ""},
		{"after the epoch", func(c *Case) { c.Epoch = published.Add(30 * time.Second) }, list(approves(1, alice)), approved, ""},
		{"a refusal from before the epoch", func(c *Case) { c.Epoch = published.Add(2 * time.Minute) },
			list(refuses(1, bob), approves(2, alice, at(3*time.Minute))), rejected, ""},
		{"a refusal from before the epoch and before the ticket", func(c *Case) { c.Epoch, c.Opened = published.Add(2*time.Minute), published.Add(2*time.Minute) },
			list(refuses(1, bob, on("old")), approves(2, alice, at(3*time.Minute))), pending, ""},
		{"a refusal from before the epoch, approved after it by the same person", func(c *Case) { c.Epoch = published.Add(2 * time.Minute) },
			list(refuses(1, bob), approves(2, bob, at(3*time.Minute))), approved, ""},
		{"a refusal and an approval of one person, both from before the epoch", func(c *Case) { c.Epoch = published.Add(2 * time.Minute) },
			list(refuses(1, bob), approves(2, bob), approves(3, alice, at(3*time.Minute))), approved, ""},
		{"a refusal from before the epoch, lifted", func(c *Case) { c.Epoch = published.Add(2 * time.Minute) },
			list(refuses(1, bob, dismissedBy(root)), approves(2, alice, at(3*time.Minute))), approved, ""},

		{"a veto", nil, list(approves(1, alice), refuses(2, bob)), rejected, ""},
		{"a veto by somebody who may not", nil, list(approves(1, alice), refuses(2, dave)), approved, ""},
		{"a veto by a bot", nil, list(approves(1, alice), refuses(2, eve)), approved, ""},
		{"a veto on old content holds", nil, list(approves(1, alice), refuses(2, bob, on("old"), at(-2*time.Minute))), pending, ""},
		{"a veto on old content, sent after the ticket was opened", nil, list(refuses(2, bob, on("old"))), rejected, ""},
		{"a veto within grace", nil, list(refuses(2, bob, at(0))), rejected, ""},
		{"a contributor's veto", contributors(bob.ID, "pusher"), list(approves(1, alice), refuses(2, bob)), rejected, ""},

		{"two needed, one given", func(c *Case) { c.Required = 2 }, list(approves(1, alice)), pending, ""},
		{"two needed, two given", func(c *Case) { c.Required = 2 }, list(approves(1, alice), approves(2, bob)), approved, ""},
		{"two needed, one person twice", func(c *Case) { c.Required = 2 }, list(approves(1, alice), approves(2, alice)), pending, ""},
		{"two needed, one person under two logins", func(c *Case) { c.Required = 2 },
			list(approves(1, alice), approves(2, Reviewer{ID: alice.ID, Login: "alice-renamed"})), pending, ""},

		{"it carries a plan", nil, list(approves(1, alice, carrying)), pending, "it carries a plan"},
		{"it carries a plan, and an earlier one did not", nil, list(approves(1, alice), approves(2, alice, carrying)), pending, "it carries a plan"},
		{"a refusal that carries a plan", nil, list(refuses(1, alice, carrying)), rejected, ""},
		{"its text is not looked at", nil, list(approves(1, alice, saying("ok\n```shepherd\ncluster: b\n```"))), approved, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := onePlan()
			if tt.change != nil {
				tt.change(&c)
			}
			got := Weigh(c, tt.reviews)
			if got.Status != tt.want {
				t.Errorf("got %s, want %s: %+v", got.Status, tt.want, got)
			}
			var why string
			for _, v := range got.Votes {
				if v.Counts != (v.Why == "") {
					t.Errorf("vote %+v: counts and why disagree", v)
				}
				if why == "" {
					why = v.Why
				}
			}
			if (tt.why == "") != (why == "") || !strings.Contains(why, tt.why) {
				t.Errorf("the reason is %q, want %q", why, tt.why)
			}
			if tt.want == rejected && got.Veto == nil {
				t.Error("rejected without a veto")
			}
		})
	}
}

// What rejects is told, not what merely holds, whichever came later.
func TestWeighNamesTheVetoThatRejects(t *testing.T) {
	t.Parallel()
	now := refuses(1, alice, at(time.Minute))
	old := refuses(2, bob, on("old"), at(-2*time.Minute))
	c := onePlan()
	for _, reviews := range [][]Review{{now, old}, {old, now}} {
		if got := Weigh(c, reviews); got.Status != domain.TicketRejected || got.Veto.ID != now.ID {
			t.Errorf("got %s by %+v", got.Status, got.Veto)
		}
	}
	c.Opened = published.Add(time.Hour) // the ticket is newer than both; head1 is its content
	held := refuses(3, bob, on("old"), at(2*time.Minute))
	if got := Weigh(c, []Review{now, held}); got.Status != domain.TicketRejected || got.Veto.ID != now.ID {
		t.Errorf("got %s by %+v", got.Status, got.Veto)
	}
}

func TestLatest(t *testing.T) {
	t.Parallel()
	same := at(time.Minute)
	for _, tt := range []struct {
		name  string
		given []Review
		want  []int64
	}{
		{"by time, not by place", []Review{approves(2, bob), approves(1, alice)}, []int64{1, 2}},
		{"at one time the later id", []Review{refuses(8, alice, same), approves(7, alice, same)}, []int64{8}},
		{"comments decide nothing", []Review{approves(1, alice), review(2, alice, "commented")}, []int64{1}},
		{"a withdrawn one hides what came before", []Review{refuses(1, alice), approves(2, alice, withdrawn)}, nil},
		{"whether a refusal still stands is asked later", []Review{approves(1, alice), refuses(2, alice, withdrawn)}, []int64{2}},
		{"a withdrawn one hides nothing that came after", []Review{approves(1, alice, withdrawn), approves(2, alice)}, []int64{2}},
	} {
		var got []int64
		before := slices.Clone(tt.given)
		for _, r := range Latest(tt.given, time.Time{}) {
			got = append(got, r.ID)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
		if diff := cmp.Diff(before, tt.given); diff != "" {
			t.Errorf("%s: the argument was changed: %s", tt.name, diff)
		}
	}
}
