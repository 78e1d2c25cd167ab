package oracle

import (
	"fmt"
	"slices"
	"strings"
)

// Action is what somebody does, as it is written in a script.
type Action string

// The actions.
const (
	Writes        Action = "pushes new content of"
	WritesBack    Action = "pushes the former content of"
	WritesFor     Action = "pushes new content of, in a commit written by"
	CommitsFor    Action = "pushes new content of, in a commit committed by"
	WritesWith    Action = "pushes new content of, in a commit whose co-author is"
	WritesUnknown Action = "pushes new content of, in a commit by nobody known"
	Reformats     Action = "pushes another form of"
	Touches       Action = "pushes a file that nobody governs"
	Rebases       Action = "rebases and pushes by force"
	Updates       Action = "updates the branch"
	Approves      Action = "approves"
	ApprovesOld   Action = "approves the former head"
	PlansAlong    Action = "approves with a plan of"
	Objects       Action = "requests changes"
	Remarks       Action = "sends a review that only comments"
	Dismisses     Action = "dismisses the review of"
	Plans         Action = "plans"
	Confirms      Action = "confirms"
	Holds         Action = "holds"
	Unholds       Action = "lets go"
	Closes        Action = "closes"
	Reopens       Action = "reopens"
	AimsAway      Action = "aims at another branch"
	AimsBack      Action = "aims at the branch again"
	MakesDraft    Action = "makes it a draft"
	MakesReady    Action = "marks it ready"
	Leaves        Action = "leaves the team"
	Joins         Action = "joins the team"
	Merges        Action = "merges"
	Bypasses      Action = "merges past the protection"
)

// Step is one thing that somebody does.
type Step struct {
	Who    Person
	Does   Action
	Change int    // which change it is about, where it is about one
	Whom   Person // who else is meant, where somebody is
	Way    int    // which way of several: the version of a plan, the method of a merge
}

// about are the actions on one change.
var about = []Action{Writes, WritesBack, WritesFor, CommitsFor, WritesWith, WritesUnknown, Reformats, PlansAlong, Plans, Confirms}

// String is the step as a sentence.
func (st Step) String() string {
	out := string(st.Who) + " " + string(st.Does)
	if slices.Contains(about, st.Does) {
		out += fmt.Sprintf(" change %d", st.Change+1)
	}
	if st.Whom != "" {
		out += " " + string(st.Whom)
	}
	if st.Does == Plans || st.Does == PlansAlong {
		out += fmt.Sprintf(", template version %d", st.Version())
	}
	if st.Does == Merges || st.Does == Bypasses {
		out += " (" + st.Method() + ")"
	}
	return strings.Replace(out, " of, in", ", in", 1)
}

// Version is the template version that a plan names; 2 is what the bot suggests.
func (st Step) Version() int { return 2 - st.Way%2 }

// Method is how a merge is done.
func (st Step) Method() string { return []string{"merge", "squash", "rebase"}[st.Way%3] }

// done is what happened in a round. Some things in one moment have two right outcomes, by whether the bot
// looked in between; Can keeps them apart.
type done struct {
	steps     int
	pushed    bool // the head moved
	moved     bool // a content did
	spoilt    bool // something came from somebody who may not push it
	vetoed    []Person
	lifted    bool
	approved  bool
	planned   []int
	commanded bool
	lifecycle Action // the last one of closing, aiming and drafts
	member    bool   // Rita came or went
}

// free reports whether nothing but pushes happened in the round.
func (d done) free() bool {
	return len(d.vetoed) == 0 && !d.lifted && !d.approved && !d.commanded && d.lifecycle == "" && !d.member
}

// quick reports whether the bot may merge by itself as soon as it can: then a round is one step.
func (s *State) quick() bool {
	return !slices.ContainsFunc(s.changes, func(c *change) bool { return c.Kind != SwitchTest })
}

// Can reports whether a step makes sense, and has one outcome only.
func (s *State) Can(st Step) bool {
	d := s.done
	if s.merged || s.quick() && d.steps > 0 || st.Change >= len(s.changes) {
		return false
	}
	c := s.changes[st.Change]
	switch st.Does {
	case Writes, WritesFor, CommitsFor, WritesWith, WritesUnknown:
		return s.canPush() && c.Writes() && !d.commanded && (len(d.vetoed) == 0 || s.mayAsk(st.Who) && s.submittable())
	case WritesBack: // before and after a burst nobody could tell that it was away
		return s.canPush() && c.Writes() && !d.commanded && !d.moved && c.content > 0 && (len(d.vetoed) == 0 || s.submittable())
	case Reformats:
		return s.canPush() && (c.Writes() || c.Kind == SwitchTest || c.Kind == SwitchProd)
	case Touches, Updates:
		return s.canPush()
	case Rebases:
		return s.canPush() && !s.extra
	case Merges:
		return d.steps == 0 && !s.closed && !s.away
	case Bypasses:
		return d.free() && !s.closed && !s.away && !s.draft
	case Confirms, Plans, PlansAlong:
		return s.canCommand(st, c)
	case Holds:
		return s.quick() && s.draft && !s.closed
	case Unholds:
		return s.held && !s.closed
	}
	return s.canReview(st) && s.canTurn(st)
}

func (s *State) canPush() bool { return !s.closed && s.done.lifecycle == "" && !s.done.lifted }

// canCommand: a plan or a confirmation is of what is on show.
func (s *State) canCommand(st Step, c *change) bool {
	d := s.done
	if s.closed || s.away || !s.submittable() || d.moved || d.lifecycle != "" || len(d.vetoed) > 0 || d.lifted || d.member {
		return false
	}
	if st.Does == Confirms {
		return c.Deletes() && c.open()
	}
	return c.Machine() && c.open() && !slices.Contains(d.planned, st.Change)
}

// canReview keeps apart, in one moment, an objection and what lifts it, and a review and an end or a new
// beginning of the pull request.
func (s *State) canReview(st Step) bool {
	d := s.done
	starts := d.lifecycle == Reopens || d.lifecycle == AimsBack
	switch st.Does {
	case Approves, ApprovesOld:
		if st.Does == ApprovesOld && s.Former() < 0 {
			return false
		}
		own := s.decision(st.Who)
		lifts := own != nil && own.says == objects
		return !s.closed && !starts && !slices.Contains(d.vetoed, st.Who) && !(lifts && (d.lifecycle != "" || d.commanded))
	case Objects:
		return !s.closed && d.lifecycle == "" && !d.commanded && !(st.Who == Rita && d.member) && !d.spoilt && (!d.moved || s.submittable())
	case Remarks:
		return !s.closed
	case Dismisses:
		r := s.decision(st.Whom)
		switch {
		case r == nil || r.withdrawn || s.closed:
			return false
		case r.says == objects:
			return !slices.Contains(d.vetoed, st.Whom) && d.lifecycle == "" && !d.commanded
		}
		return true
	}
	return true
}

// canTurn is about the life of the pull request and of the team.
func (s *State) canTurn(st Step) bool {
	d := s.done
	calm := d.lifecycle == "" && len(d.vetoed) == 0 && !d.lifted && !d.commanded
	switch st.Does {
	case Closes:
		return calm && !s.closed
	case Reopens:
		return s.closed && !d.approved && (calm || d.lifecycle == Closes)
	case AimsAway:
		return calm && !s.closed && !s.away
	case AimsBack:
		return calm && !s.closed && s.away && !d.approved
	case MakesDraft:
		return calm && !s.closed && !s.away && !s.draft
	case MakesReady:
		return calm && !s.closed && !s.away && s.draft
	case Leaves, Joins:
		r := s.decision(Rita)
		return !d.member && !d.commanded && s.left == (st.Does == Joins) && (r == nil || r.says != objects)
	}
	return true
}

// decision is the last review of somebody that decides, withdrawn or not.
func (s *State) decision(p Person) *review {
	for i := len(s.reviews) - 1; i >= 0; i-- {
		if r := &s.reviews[i]; r.by == p && r.says != planAlong {
			return r
		}
	}
	return nil
}

// Former is the number of the last head before this one on which there was peace; -1 where there is none.
func (s *State) Former() int {
	for h := len(s.heads) - 2; h >= 0; h-- {
		if s.heads[h].judged {
			return h
		}
	}
	return -1
}

// Do does what a step says; Can must have agreed. It reports whether the forge lets it happen.
func (s *State) Do(st Step) bool {
	s.done.steps++
	c := s.changes[st.Change]
	switch st.Does {
	case Writes, WritesFor, CommitsFor, WritesWith, WritesUnknown, WritesBack:
		s.write(st, c)
	case Reformats, Touches, Updates:
		s.extra = s.extra || st.Does == Touches
		s.push(commit{author: st.Who, committer: st.Who})
	case Rebases:
		s.rebase(st.Who)
	case Approves, ApprovesOld, PlansAlong, Objects:
		s.review(st, c)
	case Dismisses:
		r := s.decision(st.Whom)
		r.withdrawn, r.withdrawnBy = true, st.Who
		s.done.lifted = s.done.lifted || r.says == objects
	case Plans:
		s.plan(st, c)
	case Confirms:
		s.done.commanded = true
		c.confirmed = c.confirmed || s.mayAsk(st.Who)
	case Holds, Unholds:
		s.held = st.Does == Holds
	case Merges:
		if !s.mergeable() {
			return false
		}
		s.merge()
	case Bypasses:
		s.merge()
	default:
		s.turn(st)
	}
	return true
}

func (s *State) write(st Step, c *change) {
	s.done.moved = true
	s.done.spoilt = s.done.spoilt || !s.mayAsk(st.Who)
	by := commit{author: st.Who, committer: st.Who, moves: []int{st.Change}}
	switch st.Does {
	case WritesFor:
		by.author = st.Whom
	case CommitsFor:
		by.committer = st.Whom
	case WritesWith:
		by.coAuthor = st.Whom
	case WritesBack:
		c.content--
		c.pushers[st.Who] = true
		s.push(by)
		return
	}
	c.written++
	c.content = c.written
	c.pushers[st.Who] = true
	s.push(by)
}

func (s *State) push(c commit) {
	s.done.pushed = true
	s.commits = append(s.commits, c)
	s.heads = append(s.heads, head{contents: s.Contents()})
}

// rebase makes one commit of all that there is. Nothing moves by being pushed, but whose commit it is changes.
func (s *State) rebase(who Person) {
	all := commit{author: who, committer: who}
	for i := range s.changes {
		all.moves = append(all.moves, i)
	}
	s.commits = nil
	s.push(all)
}

func (s *State) review(st Step, c *change) {
	r := review{by: st.Who, round: s.round, head: len(s.heads) - 1}
	switch st.Does {
	case Objects:
		r.says = objects
		s.done.vetoed = append(s.done.vetoed, st.Who)
	case PlansAlong:
		r.says = planAlong
		s.plan(st, c)
	default:
		r.says = approves
		s.done.approved = true
		if own := s.decision(st.Who); own != nil && own.says == objects {
			s.done.lifted = true
		}
		if st.Does == ApprovesOld {
			r.head = s.Former()
		}
	}
	s.reviews = append(s.reviews, r)
}

// plan takes a choice where it comes from somebody who may approve.
func (s *State) plan(st Step, c *change) {
	s.done.commanded = true
	s.done.planned = append(s.done.planned, st.Change)
	if s.mayApprove(st.Who, c.Kind) {
		c.choice = 2 - st.Version() // the suggestion is no other plan
	}
}

func (s *State) turn(st Step) {
	switch st.Does {
	case Closes, Reopens:
		s.closed = st.Does == Closes
	case AimsAway, AimsBack:
		s.away = st.Does == AimsAway
	case MakesDraft, MakesReady:
		s.draft = st.Does == MakesDraft
	case Leaves, Joins:
		s.left, s.done.member = st.Does == Leaves, true
		return
	default: // a remark
		return
	}
	if st.Does == Reopens || st.Does == AimsBack {
		s.epoch = s.round
		for _, c := range s.changes { // what was asked for has ended, and what was said of it
			c.confirmed = false
		}
	}
	s.done.lifecycle = st.Does
}
