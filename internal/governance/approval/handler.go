package approval

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/internal/domain"
)

// Reviewer is the person behind a review.
type Reviewer struct {
	ID    int64
	Login string
	Bot   bool
}

// State is what a review says, as it was first seen.
type State string

// The states that matter. A review that only comments is no decision.
const (
	StateApproved         State = "approved"
	StateChangesRequested State = "changes_requested"
)

// Review is one review with what we know of it from the moment that it came in.
type Review struct {
	ID          int64
	Reviewer    Reviewer
	State       State
	SubmittedAt time.Time // the forge's clock
	// CommitSHA is the head that was reviewed, from the signed webhook or our push log; empty when
	// neither tells.
	CommitSHA string
	Text      string
	// CarriesPlan says that the text is a plan, or was probably meant as one.
	CarriesPlan bool
	// Withdrawn says that a person took the review back. A dismissal by the forge itself on a push is
	// none: the content decides.
	Withdrawn bool
	// WithdrawnBy is who did, nobody where that is not known.
	WithdrawnBy Reviewer
}

// PublishedPlan is a plan of the same path in the same pull request, and when it was published.
type PublishedPlan struct {
	ID uuid.UUID
	At time.Time
}

// Case is all that the decision about one ticket depends on.
type Case struct {
	Required    int
	Plan        uuid.UUID
	PublishedAt time.Time // zero: not published
	Heads       []string  // commits at which the plan was in force
	Plans       []PublishedPlan
	// Contributors are the people who made the change, by id, and how; none of them may approve it.
	Contributors map[int64]string
	// Unattributed says why somebody unknown may be a contributor; then nothing counts.
	Unattributed string
	// MayApprove asks whether the person's approval would count for this change now, and if not why.
	MayApprove func(Reviewer) (bool, string)
	// MayVeto asks whether the review may stop this change: anybody's with the approve permission, and one that has
	// stopped it before.
	MayVeto func(Review) bool
	// MayLift asks whether the person may lift somebody else's veto: a platform administrator. That they are
	// no contributor is seen to here.
	MayLift func(Reviewer) bool
	Epoch   time.Time     // decisions from before do not count; zero: none
	Grace   time.Duration // how long a plan has to be on show before an approval can accept it
	Opened  time.Time     // when the ticket was written
}

// Vote is a review and what became of it.
type Vote struct {
	Review Review
	Counts bool
	Why    string // why it does not count
}

// Outcome is the decision on one ticket.
type Outcome struct {
	Status domain.TicketStatus // PENDING_APPROVAL, APPROVED or REJECTED
	Votes  []Vote              // the latest decision of every reviewer, in the order of the reviews
	Veto   *Review             // what stops it, whether or not it was made on this content
	// Contributors are those whose approval could not count, as far as they were looked up; for people.
	Contributors []Contributor `json:",omitempty"`
}

// Contributor is somebody who made a change, and how.
type Contributor struct{ Login, How string }

// Approvals is how many approvals count.
func (o Outcome) Approvals() (n int) {
	for _, v := range o.Votes {
		if v.Counts && v.Review.State == StateApproved {
			n++
		}
	}
	return n
}

// Weigh turns the reviews of a pull request into the decision on one ticket. It is pure; the rules are
// those of the design's section 5, each in a function of its own.
func Weigh(c Case, reviews []Review) Outcome {
	out := Outcome{Status: domain.TicketPending}
	for _, r := range Latest(reviews, c.Epoch) {
		if r.State == StateChangesRequested {
			if c.MayVeto(r) && !c.Lifted(r) {
				out.veto(c, r)
			}
			continue
		}
		why := c.objection(r)
		out.Votes = append(out.Votes, Vote{Review: r, Counts: why == "", Why: why})
	}
	if out.Veto == nil && out.Approvals() >= c.Required {
		out.Status = domain.TicketApproved
	}
	return out
}

// veto stops the ticket for good when it was made on this content, and holds it up otherwise. The one
// that people are told is one that stops.
func (o *Outcome) veto(c Case, r Review) {
	stops := slices.Contains(c.Heads, r.CommitSHA) || r.SubmittedAt.After(c.Opened)
	if stops || o.Veto == nil {
		o.Veto = &r
	}
	if stops {
		o.Status = domain.TicketRejected
	}
}

// Lifted reports whether a veto is gone: taken back by who made it, or by a platform administrator who
// has no part in the change. Anybody else's dismissal, and one that nobody is known to have made, leaves
// it standing.
func (c Case) Lifted(r Review) bool {
	if !r.Withdrawn || r.WithdrawnBy.ID == 0 {
		return false
	}
	if r.WithdrawnBy.ID == r.Reviewer.ID {
		return true
	}
	_, contributor := c.Contributors[r.WithdrawnBy.ID]
	return !contributor && c.Unattributed == "" && c.MayLift(r.WithdrawnBy)
}

// Latest returns the decision in force of every reviewer: the last review that decides. An approval that
// was withdrawn, or that comes from before the epoch, is none; whether a veto still stands is asked of
// Case.Lifted, and closing and reopening the pull request does not wash it away.
func Latest(reviews []Review, epoch time.Time) []Review {
	sorted := slices.Clone(reviews)
	slices.SortStableFunc(sorted, func(a, b Review) int {
		return cmp.Or(a.SubmittedAt.Compare(b.SubmittedAt), cmp.Compare(a.ID, b.ID))
	})
	last := map[int64]int{}
	for i, r := range sorted {
		before, again := last[r.Reviewer.ID]
		switch {
		case r.State != StateApproved && r.State != StateChangesRequested:
		case r.State == StateApproved && r.CarriesPlan && again && sorted[before].State == StateChangesRequested:
			// A plan is no approval: it lifts no veto either. That it takes the place of an approval is on purpose:
			// who wants another plan, even one that cannot be read, is asked to look again.
		default:
			last[r.Reviewer.ID] = i
		}
	}
	var out []Review
	for i, r := range sorted {
		gone := r.State == StateApproved && (r.Withdrawn || r.SubmittedAt.Before(epoch))
		if at, ok := last[r.Reviewer.ID]; ok && at == i && !gone {
			out = append(out, r)
		}
	}
	return out
}

// objection says why an approving review does not count; empty when it does.
func (c Case) objection(r Review) string {
	for _, check := range []func(Review) string{
		c.notAPerson, c.notEligible, c.contributor, c.carriesPlan, c.otherPlan, c.notPublished, c.otherHead,
	} {
		if why := check(r); why != "" {
			return why
		}
	}
	return ""
}

func (c Case) notAPerson(r Review) string {
	if r.Reviewer.ID == 0 {
		return "the forge does not say who sent it"
	}
	if r.Reviewer.Bot {
		return "bots do not approve"
	}
	return ""
}

func (c Case) notEligible(r Review) string {
	if ok, why := c.MayApprove(r.Reviewer); !ok {
		return why
	}
	return ""
}

func (c Case) contributor(r Review) string {
	if how, ok := c.Contributors[r.Reviewer.ID]; ok {
		return "nobody approves what they contributed to: " + how
	}
	return c.Unattributed
}

func (c Case) carriesPlan(r Review) string {
	if r.CarriesPlan {
		return "it carries a plan, and a plan is not an approval: send the plan as a comment, then approve what is published"
	}
	return ""
}

func (c Case) notPublished(r Review) string {
	if c.PublishedAt.IsZero() || r.SubmittedAt.Before(c.PublishedAt) {
		return "it was sent before the plan was published: please look at the plan and approve again"
	}
	if r.SubmittedAt.Before(c.PublishedAt.Add(c.Grace)) {
		return fmt.Sprintf("it was sent within %s of the plan's publication: please look at the plan and approve again", c.Grace)
	}
	return ""
}

// otherPlan holds an approval to the plan that was on show when it was sent. The forge's clock has
// seconds: of two plans that were published in one, the plan in force is the later.
func (c Case) otherPlan(r Review) string {
	var seen PublishedPlan
	for _, p := range c.Plans {
		if p.At.After(r.SubmittedAt) {
			continue
		}
		if p.At.After(seen.At) || p.At.Equal(seen.At) && p.ID == c.Plan {
			seen = p
		}
	}
	if seen.ID != uuid.Nil && seen.ID != c.Plan {
		return "it accepted a plan that has changed since: please look at the plan and approve again"
	}
	return ""
}

func (c Case) otherHead(r Review) string {
	switch {
	case r.CommitSHA == "":
		return "it is not known which commit it was sent on: please approve again"
	case !slices.Contains(c.Heads, r.CommitSHA):
		return fmt.Sprintf("it was sent on %.8s, which asks for something else", r.CommitSHA)
	}
	return ""
}
