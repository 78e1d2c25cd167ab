// Package oracle says what becomes of one pull request by the rules of approval and merge: section 5 of the
// design, written a second time, from the document and not from the code. It knows no forge, no database and
// no other package of the project. A random [Script] of what people do is played to it and to the real bot,
// and both have to come to the same.
//
// Time goes in rounds. What is done within a round happens at one moment of the forge's clock and is not waited
// for; between two rounds everything comes to rest, and an approval's grace passes.
package oracle

import "slices"

// Setup is the pull request as Alice opens it, and the rules that it meets.
type Setup struct {
	Changes []Kind
	Draft   bool
	// Strict says that a new machine in prod needs two approvals, and not one.
	Strict bool
}

// Status is what became of the last ticket of a change.
type Status string

// The statuses of tickets. A change has none until it is submitted.
const (
	None      Status = ""
	Pending   Status = "PENDING_APPROVAL"
	Approved  Status = "APPROVED"
	Rejected  Status = "REJECTED"
	Cancelled Status = "CANCELLED"
	Completed Status = "COMPLETED"
)

// State is the pull request with all that was said about it.
type State struct {
	setup   Setup
	round   int
	closed  bool
	draft   bool
	away    bool // it aims at another branch
	held    bool
	merged  bool
	left    bool // Rita has left the team
	epoch   int  // the round since which approvals count
	extra   bool // it changes files that nobody governs
	changes []*change
	heads   []head
	commits []commit // from the branch to the head
	reviews []review
	done    done
}

type change struct {
	Kind
	content   int // at the head; 0 where there is only one
	written   int // how many contents there were
	pushers   map[Person]bool
	ticket    *ticket
	choice    int          // what an approver chose for this ticket; 0: nothing
	refused   map[int]bool // the contents that were rejected
	confirmed bool
	accepted  bool // merged, and let through
}

type ticket struct {
	status    Status
	content   int
	choice    int // of the plan
	published int // the round in which the plan came on show
}

type head struct {
	contents []int
	judged   bool // it was the head when everything was at rest
}

type commit struct {
	author, committer Person
	coAuthor          Person
	moves             []int // the changes whose digest moves in it
}

type verdict string

const (
	approves  verdict = "approve"
	objects   verdict = "object"
	planAlong verdict = "approve with a plan"
)

type review struct {
	by          Person
	says        verdict
	round       int
	head        int
	withdrawn   bool
	withdrawnBy Person
}

// New is the pull request before Alice has opened it.
func New(setup Setup) *State {
	s := &State{setup: setup, draft: setup.Draft}
	first := commit{author: Alice, committer: Alice}
	for i, k := range setup.Changes {
		s.changes = append(s.changes, &change{Kind: k, pushers: map[Person]bool{Alice: true}, refused: map[int]bool{}})
		first.moves = append(first.moves, i)
	}
	s.commits = []commit{first}
	s.heads = []head{{contents: s.Contents()}}
	s.Settle()
	return s
}

// Contents are what the head says of each change, numbered in the order of writing; 0 is what Alice began with.
func (s *State) Contents() (out []int) {
	for _, c := range s.changes {
		out = append(out, c.content)
	}
	return out
}

// permitted reports whether the author and every pusher of a change have the permission for it.
func (s *State) permitted(c *change) bool {
	for p := range c.pushers {
		if !s.mayAsk(p) {
			return false
		}
	}
	return true
}

// valid reports whether a change is permitted, and what it builds on is.
func (s *State) valid(c *change) bool {
	parent := slices.IndexFunc(s.changes, func(c *change) bool { return c.Kind == CreateService })
	return s.permitted(c) && (parent < 0 || !c.Machine() || s.permitted(s.changes[parent]))
}

// submittable reports whether the whole pull request may be asked for: all of it or nothing.
func (s *State) submittable() bool {
	return !s.draft && !slices.ContainsFunc(s.changes, func(c *change) bool { return !s.permitted(c) })
}

// contributor reports whether somebody has a part in a change: the author of the pull request, who pushed a
// generation in which its digest moved, the author and committer of a commit in which it did, in prod also a co-author.
func (s *State) contributor(p Person, i int) bool {
	if p == Alice || s.changes[i].pushers[p] {
		return true
	}
	return slices.ContainsFunc(s.commits, func(c commit) bool {
		return slices.Contains(c.moves, i) && (p == c.author || p == c.committer || p == c.coAuthor && s.changes[i].Prod())
	})
}

// latest is the decision in force of everybody: the last review that approves or objects. A plan that comes
// along with an approval makes it none: who approved before and now wants something else has to look again, and who
// objected still does.
func (s *State) latest() (out []review) {
	for i, r := range s.reviews {
		again := func(later review) bool {
			return later.by == r.by && (later.says != planAlong || r.says == approves)
		}
		if r.says != planAlong && !slices.ContainsFunc(s.reviews[i+1:], again) {
			out = append(out, r)
		}
	}
	return out
}

// vetoes are the objections to a change that stand: nobody took them back who may. Its author may, and a platform
// administrator who has no part in the change.
func (s *State) vetoes(i int) (out []review) {
	for _, r := range s.latest() {
		lifted := r.withdrawn && (r.withdrawnBy == r.by ||
			(r.withdrawnBy == Dave || r.withdrawnBy == Adam) && !s.contributor(r.withdrawnBy, i))
		if r.says == objects && s.mayApprove(r.by, s.changes[i].Kind) && !lifted {
			out = append(out, r)
		}
	}
	return out
}

// approvals is how many approvals of the plan on show count.
func (s *State) approvals(i int) (n int) {
	c := s.changes[i]
	for _, r := range s.latest() {
		if r.says == approves && !r.withdrawn && r.round >= s.epoch && // it is their decision, on this asking
			r.round > c.ticket.published && // sent when the plan had been on show for the grace
			s.heads[r.head].contents[i] == c.ticket.content && // on a head that asks for the same
			s.mayApprove(r.by, c.Kind) && !s.contributor(r.by, i) {
			n++
		}
	}
	return n
}

// Verdict is what is seen once everything is at rest.
type Verdict struct {
	Tickets []Status // of each change
	// Validate and Approval are the conclusions of the checks; empty where the design does not say which, "not success"
	// where it only says which not.
	Validate, Approval string
	Merged             bool
	Accepted           []bool // of each change: merged and carried out
}

// Conclusions of checks.
const (
	success        = "success"
	failure        = "failure"
	actionRequired = "action_required"
	NotSuccess     = "not success"
)

// Settle lets everything come to rest, ends the round and says what is to be seen.
func (s *State) Settle() Verdict {
	if !s.merged {
		s.judge()
	}
	if s.automatic() {
		s.merge()
	}
	s.round++
	s.done = done{}
	s.heads[len(s.heads)-1].judged = true
	return s.Verdict()
}

// judge does what the bot is to do about what it finds.
func (s *State) judge() {
	for i, c := range s.changes {
		switch t := c.ticket; {
		case !c.open():
		case s.closed, s.away, s.draft, t.content != c.content: // closed, aimed elsewhere, or superseded
			t.status = Cancelled
		case !s.valid(c):
			t.status = Pending
		case t.choice != c.choice: // another plan, which nobody has seen
			t.status, t.choice = Pending, c.choice
			t.published = s.round
		}
		if !s.closed && !s.away && s.submittable() && s.asksAnew(i) {
			c.choice = 0
			c.ticket = &ticket{status: Pending, content: c.content, published: s.round}
		}
		if c.open() && s.valid(c) { // what is not valid, nobody decides on
			s.decide(i)
		}
	}
}

// open reports whether the change has a ticket that waits or is approved.
func (c *change) open() bool {
	return c.ticket != nil && (c.ticket.status == Pending || c.ticket.status == Approved)
}

// asksAnew reports whether a change gets a ticket: it needs one, has none, and was not refused as it is by
// people of whom anybody still objects.
func (s *State) asksAnew(i int) bool {
	c := s.changes[i]
	return s.required(c.Kind) > 0 && !c.open() && !(c.refused[c.content] && len(s.vetoes(i)) > 0)
}

func (s *State) decide(i int) {
	c := s.changes[i]
	c.ticket.status = Pending
	vetoes := s.vetoes(i)
	for _, r := range vetoes { // one of another content, from before, holds the ticket up without ending it
		if s.heads[r.head].contents[i] == c.content {
			c.ticket.status, c.refused[c.content] = Rejected, true
		}
	}
	if len(vetoes) == 0 && s.approvals(i) >= s.required(c.Kind) {
		c.ticket.status = Approved
	}
}

// automatic reports whether the bot merges by itself: every path is governed, nothing needs an approval, all who
// pushed may, and there is no draft, hold or veto.
func (s *State) automatic() bool {
	if s.merged || s.closed || s.away || s.held || s.extra || !s.submittable() {
		return false
	}
	for i, c := range s.changes {
		if c.Kind != SwitchTest || len(s.vetoes(i)) > 0 {
			return false
		}
	}
	return true
}

// passes reports whether a merged change is let through: valid, approved as it is, and confirmed.
func (s *State) passes(c *change) bool {
	if !s.valid(c) || c.Deletes() && !c.confirmed {
		return false
	}
	return s.required(c.Kind) == 0 || c.open() && c.ticket.status == Approved && c.ticket.content == c.content
}

// merge lets through what was approved, and quarantines the rest.
func (s *State) merge() {
	s.merged = true
	for _, c := range s.changes {
		c.accepted = s.passes(c)
		switch {
		case c.accepted:
			c.ticket = &ticket{status: Completed}
		case c.open():
			c.ticket.status = Cancelled
		}
	}
}

// Verdict is what is to be seen of it as it is.
func (s *State) Verdict() Verdict {
	v := Verdict{Merged: s.merged}
	for _, c := range s.changes {
		status := None
		if c.ticket != nil {
			status = c.ticket.status
		}
		v.Tickets = append(v.Tickets, status)
		v.Accepted = append(v.Accepted, c.accepted)
	}
	if !s.merged && !s.closed && !s.away {
		v.Validate, v.Approval = s.conclusions()
	}
	return v
}

func (s *State) conclusions() (validate, approval string) {
	validate = success
	for _, c := range s.changes {
		if !s.permitted(c) {
			validate = failure
		}
	}
	if validate == failure || s.draft {
		return validate, NotSuccess
	}
	approval = success
	for i, c := range s.changes {
		switch {
		case s.required(c.Kind) > 0 && len(s.vetoes(i)) > 0:
			return validate, failure
		case s.required(c.Kind) > 0 && c.ticket.status != Approved, c.Deletes() && !c.confirmed:
			approval = actionRequired
		}
	}
	return validate, approval
}

// mergeable reports whether the forge lets people merge: both checks of the head are green.
func (s *State) mergeable() bool {
	validate, approval := s.conclusions()
	return !s.closed && !s.away && !s.draft && validate == success && approval == success
}
