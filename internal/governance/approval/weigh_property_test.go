package approval

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/domain"
)

// anyCase and anyReviews give situations of every kind, most of them odd.
func anyCase(r *rand.Rand) Case {
	c := onePlan()
	c.Required = 1 + r.IntN(3)
	if r.IntN(4) == 0 {
		c.Contributors = map[int64]string{int64(1 + r.IntN(5)): "pusher"}
	}
	if r.IntN(8) == 0 {
		c.Unattributed = "nobody knows"
	}
	if r.IntN(4) == 0 {
		c.Plans = append(c.Plans, PublishedPlan{planOld, published.Add(time.Duration(r.IntN(200)-100) * time.Second)})
	}
	if r.IntN(4) == 0 {
		c.Epoch = published.Add(time.Duration(r.IntN(90)) * time.Second)
	}
	if r.IntN(4) == 0 {
		c.Opened = published.Add(time.Duration(r.IntN(90)) * time.Second)
	}
	return c
}

func anyReviews(r *rand.Rand) []Review {
	people := []Reviewer{alice, bob, carol, dave, eve, ada, {Login: "ghost"}}
	states := []State{StateApproved, StateApproved, StateApproved, StateChangesRequested, "commented"}
	out := make([]Review, r.IntN(7))
	for i := range out {
		out[i] = Review{
			ID: int64(i + 1), Reviewer: people[r.IntN(len(people))], State: states[r.IntN(len(states))],
			SubmittedAt: published.Add(time.Duration(r.IntN(100)-5) * time.Second), Withdrawn: r.IntN(6) == 0,
			CommitSHA: []string{"head1", "head1", "head2", "other", ""}[r.IntN(5)], CarriesPlan: r.IntN(12) == 0,
		}
		if out[i].Withdrawn {
			out[i].WithdrawnBy = []Reviewer{{}, out[i].Reviewer, root, bob, eve}[r.IntN(5)]
		}
	}
	return out
}

func TestWeighProperties(t *testing.T) {
	t.Parallel()
	approved, rejected := 0, 0
	for seed := range uint64(20000) {
		r := rand.New(rand.NewPCG(seed, 7))
		c, reviews := anyCase(r), anyReviews(r)
		got := Weigh(c, reviews)
		fail := func(what string, now Outcome) {
			t.Fatalf("seed %d: %s\n%+v\n%+v\nwas %+v\nnow %+v", seed, what, c, reviews, got, now)
		}
		switch got.Status {
		case domain.TicketApproved:
			approved++
			if got.Veto != nil || got.Approvals() < c.Required {
				fail("approved against the rules", got)
			}
		case domain.TicketRejected:
			rejected++
		}

		shuffled := slices.Clone(reviews)
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		turned := c
		turned.Plans = slices.Clone(c.Plans)
		slices.Reverse(turned.Plans)
		if now := Weigh(turned, shuffled); !cmp.Equal(got, now) {
			fail("the order matters", now)
		}

		veto := refuses(100, []Reviewer{alice, bob, dave, eve}[r.IntN(4)], at(time.Duration(r.IntN(120))*time.Second))
		if now := Weigh(c, append(slices.Clone(reviews), veto)); now.Status == domain.TicketApproved && got.Status != now.Status {
			fail("a veto approved", now)
		}

		later := c
		later.Epoch = published.AddDate(1, 0, 0)
		switch now := Weigh(later, reviews); {
		case len(now.Votes) > 0:
			fail("an approval survives the epoch", now)
		case (now.Veto == nil) != (got.Veto == nil):
			fail("the epoch moves a veto", now)
		}

		if i := r.IntN(7); i < len(reviews) && reviews[i].State == StateChangesRequested && !reviews[i].Withdrawn {
			dismissed := slices.Clone(reviews)
			dismissed[i].Withdrawn, dismissed[i].WithdrawnBy = true, []Reviewer{{}, dave, eve, {ID: 99, Login: "mallory"}}[r.IntN(4)]
			own := dismissed[i].WithdrawnBy.ID == dismissed[i].Reviewer.ID && dismissed[i].Reviewer.ID != 0
			if now := Weigh(c, dismissed); !own && now.Status != got.Status {
				fail("a dismissal by somebody who may not lift decides", now)
			}
		}

		unpublished := c
		unpublished.PublishedAt = time.Time{}
		if now := Weigh(unpublished, reviews); now.Status == domain.TicketApproved {
			fail("a plan that was never published is approved", now)
		}

		stricter := c
		stricter.Required++
		if now := Weigh(stricter, reviews); now.Status == domain.TicketApproved && got.Status != now.Status {
			fail("asking for more approved", now)
		}

		if i := r.IntN(7); i < len(reviews) && reviews[i].State == StateApproved {
			without := slices.Clone(reviews)
			without[i].Withdrawn = true
			if now := Weigh(c, without); now.Status == domain.TicketApproved && got.Status != now.Status {
				fail("withdrawing an approval approved", now)
			}
		}
	}
	if approved < 500 || rejected < 500 {
		t.Fatalf("the cases are too odd: %d approved, %d rejected", approved, rejected)
	}
}
