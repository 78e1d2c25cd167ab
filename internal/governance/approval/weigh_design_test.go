package approval

import (
	"slices"
	"strings"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/domain"
)

// sentence is one sentence of the design's section on approval, with a case that it decides and, next to it,
// one that differs in just what the sentence speaks of.
type sentence struct {
	name    string
	change  func(*Case)
	reviews []Review
	want    domain.TicketStatus
	why     string // why the first approval that does not count does not
	// unless turns the case into its counterpart, which ends as otherwise says.
	unless    func(*Case, []Review)
	otherwise domain.TicketStatus
}

func made(who Reviewer, how string) func(*Case) {
	return func(c *Case) { c.Contributors = map[int64]string{who.ID: how} }
}

func reviewsOf(rs ...Review) []Review { return rs }

const (
	isPending  = domain.TicketPending
	isApproved = domain.TicketApproved
	isRejected = domain.TicketRejected
)

// twoPlans has an earlier plan on show until the one in force was published.
func twoPlans(c *Case) {
	c.PublishedAt = published.Add(30 * time.Minute)
	c.Plans = []PublishedPlan{{planOld, published}, {planNow, c.PublishedAt}}
}

// sentences are those of "Reviews become decisions" and of "An approval counts only if", in their order.
var sentences = []sentence{
	{
		name:    "an approving review accepts the plan last published before it",
		change:  twoPlans,
		reviews: reviewsOf(approves(1, alice, at(time.Hour))), want: isApproved,
		unless: func(_ *Case, rs []Review) { rs[0].SubmittedAt = published.Add(20 * time.Minute) }, otherwise: isPending,
	},
	{
		name:    "APPROVED when enough accept the same plan",
		change:  func(c *Case) { c.Required = 2; twoPlans(c) },
		reviews: reviewsOf(approves(1, alice, at(time.Hour)), approves(2, bob, at(time.Hour))), want: isApproved,
		unless: func(_ *Case, rs []Review) { rs[0].SubmittedAt = published.Add(20 * time.Minute) }, otherwise: isPending,
	},
	{
		name:    "request changes by anyone with the approve permission: REJECTED with the review's text",
		reviews: reviewsOf(approves(1, alice), refuses(2, bob, saying("too big"))), want: isRejected,
		unless: func(c *Case, _ []Review) { c.MayVeto = func(Reviewer) bool { return false } }, otherwise: isApproved,
	},
	{
		name:    "it stays a veto on those VMs in this pull request",
		change:  func(c *Case) { c.Opened = published.Add(time.Hour) },
		reviews: reviewsOf(refuses(1, bob, on("old")), approves(2, alice, at(2*time.Hour))), want: isPending,
		unless: func(c *Case, _ []Review) { c.MayVeto = func(Reviewer) bool { return false } }, otherwise: isApproved,
	},
	{
		name:    "until that person approves",
		reviews: reviewsOf(refuses(1, bob), approves(2, bob)), want: isApproved,
		unless: func(_ *Case, rs []Review) { rs[1].Reviewer = alice }, otherwise: isRejected,
	},
	{
		name:    "or withdraws",
		reviews: reviewsOf(refuses(1, bob, dismissedBy(bob)), approves(2, alice)), want: isApproved,
		unless: func(_ *Case, rs []Review) { rs[0].WithdrawnBy = alice }, otherwise: isRejected,
	},
	{
		name:    "or a platform administrator dismisses it",
		reviews: reviewsOf(refuses(1, bob, dismissedBy(root)), approves(2, alice)), want: isApproved,
		unless: func(c *Case, _ []Review) { c.MayLift = func(Reviewer) bool { return false } }, otherwise: isRejected,
	},
	{
		name:    "who is no contributor",
		change:  made(ada, "author"),
		reviews: reviewsOf(refuses(1, bob, dismissedBy(root)), approves(2, alice)), want: isApproved,
		unless: func(c *Case, _ []Review) { made(root, "committer")(c) }, otherwise: isRejected,
	},
	{
		name:    "review withdrawn: back to PENDING_APPROVAL",
		reviews: reviewsOf(approves(1, alice, dismissedBy(alice))), want: isPending,
		unless: func(_ *Case, rs []Review) { rs[0].Withdrawn = false }, otherwise: isApproved,
	},
	{
		name:    "or dismissed by a person: back to PENDING_APPROVAL",
		reviews: reviewsOf(approves(1, alice, dismissedBy(dave))), want: isPending,
		unless: func(_ *Case, rs []Review) { rs[0].Withdrawn = false }, otherwise: isApproved,
	},
	{
		name:    "dismissed by the forge itself on a push: no decision, content decides",
		change:  func(c *Case) { c.Heads = []string{"head1", "head2"} },
		reviews: reviewsOf(approves(1, alice)), want: isApproved, // the caller does not set Withdrawn
		unless: func(c *Case, _ []Review) { c.Heads = []string{"head2"} }, otherwise: isPending,
	},
	{
		name:    "a push that does not move the digest (rebase, update of the branch, other files): approvals stand",
		change:  func(c *Case) { c.Heads = []string{"head1", "head2", "head3"} },
		reviews: reviewsOf(approves(1, alice, on("head1"))), want: isApproved,
		unless: func(c *Case, _ []Review) { c.Plan = planOld; c.Heads = []string{"head3"} }, otherwise: isPending,
	},
	{
		name:    "policy asks for more: back to PENDING_APPROVAL",
		change:  func(c *Case) { c.Required = 2 },
		reviews: reviewsOf(approves(1, alice)), want: isPending,
		unless: func(c *Case, _ []Review) { c.Required = 1 }, otherwise: isApproved,
	},
	{
		name:    "role or environment lost: back to PENDING_APPROVAL",
		change:  func(c *Case) { c.MayApprove = func(Reviewer) (bool, string) { return false, "not in prod any more" } },
		reviews: reviewsOf(approves(1, alice)), want: isPending, why: "not in prod any more",
		unless: func(c *Case, _ []Review) { c.MayApprove = func(Reviewer) (bool, string) { return true, "" } }, otherwise: isApproved,
	},
	{
		name:    "reopened or retargeted: decisions from before do not count",
		change:  func(c *Case) { c.Epoch = published.Add(time.Hour) },
		reviews: reviewsOf(approves(1, alice)), want: isPending,
		unless: func(_ *Case, rs []Review) { rs[0].SubmittedAt = published.Add(time.Hour) }, otherwise: isApproved,
	},
	{
		name:    "closing and reopening does not wash a veto away",
		change:  func(c *Case) { c.Epoch, c.Opened = published.Add(time.Hour), published.Add(time.Hour) },
		reviews: reviewsOf(refuses(1, bob, on("old")), approves(2, alice, at(2*time.Hour))), want: isPending,
		unless: func(_ *Case, rs []Review) { rs[0].State = StateApproved }, otherwise: isApproved,
	},
	{
		name:    "it was submitted after the plan was published, by the forge's own clock",
		reviews: reviewsOf(approves(1, alice, at(-time.Second))), want: isPending, why: "before the plan was published",
		unless: func(_ *Case, rs []Review) { rs[0].SubmittedAt = published.Add(10 * time.Second) }, otherwise: isApproved,
	},
	{
		name:    "plus a configurable grace, 10 s by default",
		reviews: reviewsOf(approves(1, alice, at(9*time.Second))), want: isPending, why: "within 10s",
		unless: func(c *Case, _ []Review) { c.Grace = 9 * time.Second }, otherwise: isApproved,
	},
	{
		name:    "on the head that the plan describes",
		reviews: reviewsOf(approves(1, alice, on("head9"))), want: isPending, why: "asks for something else",
		unless: func(_ *Case, rs []Review) { rs[0].CommitSHA = "head1" }, otherwise: isApproved,
	},
	{
		name:    "or one with the same digests",
		reviews: reviewsOf(approves(1, alice, on("head2"))), want: isApproved,
		unless: func(c *Case, _ []Review) { c.Heads = []string{"head1"} }, otherwise: isPending,
	},
	{
		name:    "the commit as delivered in the signed webhook, or as our push log shows for that moment",
		reviews: reviewsOf(approves(1, alice, on(""))), want: isPending, why: "not known which commit",
		unless: func(_ *Case, rs []Review) { rs[0].CommitSHA = "head1" }, otherwise: isApproved,
	},
	{
		name:    "the reviewer is a person",
		reviews: reviewsOf(approves(1, eve)), want: isPending, why: "bots do not approve",
		unless: func(_ *Case, rs []Review) { rs[0].Reviewer.Bot = false }, otherwise: isApproved,
	},
	{
		name:    "who is known",
		reviews: reviewsOf(approves(1, Reviewer{Login: "alice"})), want: isPending, why: "does not say who",
		unless: func(_ *Case, rs []Review) { rs[0].Reviewer = alice }, otherwise: isApproved,
	},
	{
		name:    "who may approve this operation in this environment now",
		reviews: reviewsOf(approves(1, dave)), want: isPending, why: "it needs somebody else",
		unless: func(c *Case, _ []Review) { c.MayApprove = func(Reviewer) (bool, string) { return true, "" } }, otherwise: isApproved,
	},
	{
		name:    "and it is their latest decision",
		reviews: reviewsOf(approves(1, alice), refuses(2, alice)), want: isRejected,
		unless: func(_ *Case, rs []Review) { rs[1].State = "commented" }, otherwise: isApproved,
	},
	{
		name:    "not the pull request's author",
		change:  made(alice, "author"),
		reviews: reviewsOf(approves(1, alice)), want: isPending, why: "contributed to: author",
		unless: func(c *Case, _ []Review) { made(ada, "author")(c) }, otherwise: isApproved,
	},
	{
		name:    "nor a pusher of a generation in which its digest moved",
		change:  made(alice, "pusher"),
		reviews: reviewsOf(approves(1, alice)), want: isPending, why: "contributed to: pusher",
		unless: func(c *Case, _ []Review) { c.Contributors = nil }, otherwise: isApproved,
	},
	{
		name:    "nor the author or committer of a commit that did",
		change:  made(alice, "committer"),
		reviews: reviewsOf(approves(1, alice)), want: isPending, why: "contributed to: committer",
		unless: func(c *Case, _ []Review) { made(bob, "committer")(c) }, otherwise: isApproved,
	},
	{
		name:    "a co-author trailer disqualifies",
		change:  made(alice, "co-author"),
		reviews: reviewsOf(approves(1, alice)), want: isPending, why: "contributed to: co-author",
		unless: func(c *Case, _ []Review) { c.Contributors = nil }, otherwise: isApproved,
	},
	{
		name:    "with an unknown pusher nothing counts",
		change:  func(c *Case) { c.Unattributed = "nobody knows who pushed abc" },
		reviews: reviewsOf(approves(1, alice)), want: isPending, why: "nobody knows who pushed abc",
		unless: func(c *Case, _ []Review) { c.Unattributed = "" }, otherwise: isApproved,
	},
	{
		name:    "reviews of a mixed pull request count for the environments the reviewer may decide",
		change:  func(c *Case) { c.MayApprove = only(bob) },
		reviews: reviewsOf(approves(1, alice), approves(2, bob)), want: isApproved, why: "elsewhere",
		unless: func(c *Case, _ []Review) { c.MayApprove = only(carol) }, otherwise: isPending,
	},
	{
		name:    "a block in an approving review is taken as /plan and counts as no approval",
		reviews: reviewsOf(approves(1, alice, carrying)), want: isPending, why: "a plan is not an approval",
		unless: func(_ *Case, rs []Review) { rs[0].CarriesPlan = false }, otherwise: isApproved,
	},
	{
		name:    "a plan that was never published accepts nothing",
		change:  func(c *Case) { c.PublishedAt, c.Plans = time.Time{}, nil },
		reviews: reviewsOf(approves(1, alice, at(24*time.Hour))), want: isPending, why: "before the plan was published",
		unless: func(c *Case, _ []Review) { c.PublishedAt = published }, otherwise: isApproved,
	},
	{
		name:    "of two plans that were published in one second the one in force is the later",
		change:  func(c *Case) { c.Plans = append(c.Plans, PublishedPlan{planOld, published}) },
		reviews: reviewsOf(approves(1, alice)), want: isApproved,
		unless: func(c *Case, _ []Review) { c.Plans[1].At = published.Add(time.Second) }, otherwise: isPending,
	},
}

// only lets one person approve.
func only(who Reviewer) func(Reviewer) (bool, string) {
	return func(r Reviewer) (bool, string) { return r.ID == who.ID, "they decide elsewhere" }
}

func TestSentences(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, s := range sentences {
		if seen[s.name] {
			t.Errorf("%s: twice", s.name)
		}
		seen[s.name] = true
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			c, reviews := onePlan(), slices.Clone(s.reviews)
			if s.change != nil {
				s.change(&c)
			}
			got := Weigh(c, reviews)
			if got.Status != s.want {
				t.Errorf("it is %s, want %s: %+v", got.Status, s.want, got)
			}
			why := ""
			for _, v := range got.Votes {
				if !v.Counts && why == "" {
					why = v.Why
				}
			}
			if !strings.Contains(why, s.why) {
				t.Errorf("the reason is %q, want %q", why, s.why)
			}
			if s.want == isRejected && got.Veto.Text != reviews[len(reviews)-1].Text {
				t.Errorf("the text is %q", got.Veto.Text)
			}
			s.unless(&c, reviews)
			if got := Weigh(c, reviews); got.Status != s.otherwise || s.otherwise == s.want {
				t.Errorf("otherwise it is %s, want %s: %+v", got.Status, s.otherwise, got)
			}
		})
	}
}

// Who lifts a veto is asked only about a veto that somebody known took back.
func TestLifted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*Case)
		review Review
		want   bool
	}{
		{"it stands", nil, refuses(1, bob), false},
		{"said to be dismissed by somebody, but not withdrawn", nil, refuses(1, bob, func(r *Review) { r.WithdrawnBy = root }), false},
		{"withdrawn by nobody known", nil, refuses(1, bob, withdrawn), false},
		{"withdrawn by a login without an id", nil, refuses(1, bob, dismissedBy(Reviewer{Login: "bob"})), false},
		{"withdrawn by its author", nil, refuses(1, bob, dismissedBy(bob)), true},
		{"withdrawn by its author under another login", nil, refuses(1, bob, dismissedBy(Reviewer{ID: bob.ID, Login: "robert"})), true},
		{"withdrawn by its author, who contributed", made(bob, "pusher"), refuses(1, bob, dismissedBy(bob)), true},
		{"withdrawn by its author, with an unknown pusher", func(c *Case) { c.Unattributed = "?" }, refuses(1, bob, dismissedBy(bob)), true},
		{"by an administrator", nil, refuses(1, bob, dismissedBy(root)), true},
		{"by an administrator who contributed", made(root, "author"), refuses(1, bob, dismissedBy(root)), false},
		{"by an administrator, with an unknown pusher", func(c *Case) { c.Unattributed = "?" }, refuses(1, bob, dismissedBy(root)), false},
		{"by an approver", nil, refuses(1, bob, dismissedBy(alice)), false},
		{"by the author of the pull request", made(ada, "author"), refuses(1, bob, dismissedBy(ada)), false},
		{"by somebody of the same login", nil, refuses(1, bob, dismissedBy(Reviewer{ID: 77, Login: "bob"})), false},
		{"by a bot", nil, refuses(1, bob, dismissedBy(eve)), false},
	} {
		c := onePlan()
		if tt.change != nil {
			tt.change(&c)
		}
		if got := c.Lifted(tt.review); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}
