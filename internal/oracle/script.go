package oracle

import (
	"fmt"
	"slices"
	"strings"
)

// Script is a pull request and what people do with it, round by round.
type Script struct {
	Setup  Setup
	Rounds [][]Step
}

// String is the script for people to read and to play by hand.
func (s Script) String() string {
	var b strings.Builder
	for i, k := range s.Setup.Changes {
		fmt.Fprintf(&b, "change %d: %s\n", i+1, k)
	}
	if s.Setup.Strict {
		b.WriteString("a new machine in prod needs two approvals\n")
	}
	if s.Setup.Draft {
		b.WriteString("alice opens it as a draft\n")
	}
	for i, steps := range s.Rounds {
		fmt.Fprintf(&b, "round %d: ", i+1)
		for j, st := range steps {
			if j > 0 {
				b.WriteString("; ")
			}
			b.WriteString(st.String())
		}
		b.WriteString("\n")
	}
	return b.String()
}

// Steps counts them.
func (s Script) Steps() (n int) {
	for _, r := range s.Rounds {
		n += len(r)
	}
	return n
}

// setups are what pull requests ask for.
var setups = [][]Kind{
	{CreateTest}, {CreateProd}, {CreateProd}, {CreateTest, CreateProd}, {CreateTest, CreateProd}, {CreateService, CreateProd},
	{CreateService, CreateTest, CreateProd}, {CreateProd, SwitchTest}, {SwitchTest}, {SwitchTest}, {SwitchProd}, {SwitchProd, CreateTest},
	{DeleteTest}, {DeleteProd}, {DeleteProd, CreateProd}, {DeleteTest, DeleteProd},
}

// likely are the actions, how often each is tried, and by whom.
var likely = []struct {
	does   Action
	weight int
	by     []Person
}{
	{Approves, 30, []Person{Bob, Bob, Frank, Frank, Erin, Rita, Rita, Dave, Adam, Carol, Robot}},
	{ApprovesOld, 3, []Person{Bob, Frank, Rita}},
	{Objects, 7, []Person{Bob, Frank, Erin, Rita, Carol, Dave}},
	{Remarks, 1, []Person{Bob, Carol}},
	{Dismisses, 9, []Person{Alice, Alice, Bob, Bob, Frank, Erin, Rita, Carol, Dave, Dave, Adam, Adam}},
	{Writes, 6, []Person{Alice, Alice, Frank, Frank, Dave, Bob, Erin}},
	{WritesBack, 3, []Person{Alice, Frank}},
	{WritesFor, 3, []Person{Alice, Frank}},
	{CommitsFor, 2, []Person{Alice, Frank}},
	{WritesWith, 3, []Person{Alice, Frank}},
	{WritesUnknown, 2, []Person{Alice, Frank}},
	{Reformats, 4, []Person{Alice, Bob, Frank, Rita}},
	{Touches, 5, []Person{Alice, Bob, Carol, Frank}},
	{Rebases, 4, []Person{Alice, Alice, Frank, Bob}},
	{Updates, 2, []Person{Alice, Bob, Frank}},
	{Plans, 4, []Person{Bob, Bob, Rita, Erin, Dave, Carol, Alice}},
	{PlansAlong, 2, []Person{Bob, Frank, Carol}},
	{Confirms, 8, []Person{Alice, Frank, Bob, Carol, Dave}},
	{Holds, 8, []Person{Alice}},
	{Unholds, 12, []Person{Alice}},
	{Closes, 2, []Person{Alice, Bob}},
	{Reopens, 8, []Person{Alice, Bob}},
	{AimsAway, 2, []Person{Alice}},
	{AimsBack, 10, []Person{Alice}},
	{MakesDraft, 2, []Person{Alice}},
	{MakesReady, 12, []Person{Alice}},
	{Leaves, 3, []Person{Rita}},
	{Joins, 3, []Person{Rita}},
	{Merges, 4, []Person{Bob, Alice}},
	{Bypasses, 1, []Person{Dave}},
}

// bystanders are those whom a step may mean besides who does it.
var bystanders = []Person{Bob, Frank, Erin, Rita, Carol, Dave, Adam}

// Random is a script of at most so many rounds that makes sense, by the throws of intn, which gives a number below
// its argument.
func Random(rounds int, intn func(int) int) Script {
	setup := Setup{Changes: slices.Clone(setups[intn(len(setups))]), Draft: intn(6) == 0, Strict: intn(4) == 0}
	setup.Draft = setup.Draft || setup.Changes[0] == SwitchTest && intn(2) == 0 // or the bot merges before anybody can hold it
	out := Script{Setup: setup}
	s := New(setup)
	for len(out.Rounds) < rounds && !s.merged {
		var steps []Step
		for range 1 + []int{0, 0, 0, 0, 0, 1, 1, 1, 2, 3}[intn(10)] {
			if st, ok := s.random(intn); ok {
				s.Do(st)
				steps = append(steps, st)
			}
		}
		s.Settle()
		out.Rounds = append(out.Rounds, steps)
	}
	if !s.merged { // every story has an end
		end := Step{Who: Bob, Does: Merges, Way: intn(3)}
		if !s.mergeable() && intn(2) == 0 {
			end = Step{Who: Dave, Does: Bypasses, Way: intn(3)}
		}
		if s.Can(end) {
			out.Rounds = append(out.Rounds, []Step{end})
		}
	}
	return out
}

// random is a step that can be done now.
func (s *State) random(intn func(int) int) (Step, bool) {
	total := 0
	for _, l := range likely {
		total += l.weight
	}
	for range 60 {
		n := intn(total)
		for _, l := range likely {
			if n -= l.weight; n >= 0 {
				continue
			}
			st := Step{Who: l.by[intn(len(l.by))], Does: l.does, Change: intn(len(s.changes)), Way: intn(6)}
			switch l.does {
			case WritesFor, CommitsFor, WritesWith, Dismisses:
				st.Whom = bystanders[intn(len(bystanders))]
			}
			if s.Can(st) {
				return st, true
			}
			break
		}
	}
	return Step{}, false
}

// Play is what the oracle says of a script: after its opening, and after each round. What a shorter script
// makes impossible is left out of both.
func Play(script Script) (Script, []Verdict) {
	s := New(script.Setup)
	out, verdicts := Script{Setup: script.Setup}, []Verdict{s.Verdict()}
	for _, steps := range script.Rounds {
		var kept []Step
		for _, st := range steps {
			if s.Can(st) {
				s.Do(st)
				kept = append(kept, st)
			}
		}
		out.Rounds = append(out.Rounds, kept)
		verdicts = append(verdicts, s.Settle())
	}
	return out, verdicts
}

// Shorter are the scripts with something left out, those that leave out the most first.
func (s Script) Shorter() (out []Script) {
	add := func(c Script) {
		if c, _ = Play(c); c.Steps() < s.Steps() || len(c.Rounds) < len(s.Rounds) || len(c.Setup.Changes) < len(s.Setup.Changes) {
			out = append(out, c)
		}
	}
	for n := len(s.Rounds) / 2; n > 0; n /= 2 { // without so many rounds
		for at := 0; at+n <= len(s.Rounds); at += n {
			c := s
			c.Rounds = slices.Delete(slices.Clone(s.Rounds), at, at+n)
			add(c)
		}
	}
	for i, steps := range s.Rounds { // without one step
		for j := range steps {
			if len(steps) > 1 {
				c := s
				c.Rounds = slices.Clone(s.Rounds)
				c.Rounds[i] = slices.Delete(slices.Clone(steps), j, j+1)
				add(c)
			}
		}
	}
	for i := range s.Setup.Changes { // without one change
		if len(s.Setup.Changes) > 1 {
			add(s.without(i))
		}
	}
	return out
}

// without leaves out a change, and what is said about it.
func (s Script) without(i int) Script {
	c := Script{Setup: s.Setup}
	c.Setup.Changes = slices.Delete(slices.Clone(s.Setup.Changes), i, i+1)
	for _, steps := range s.Rounds {
		var kept []Step
		for _, st := range steps {
			switch {
			case st.Change > i:
				st.Change--
			case st.Change == i && slices.Contains(about, st.Does):
				continue
			}
			kept = append(kept, st)
		}
		c.Rounds = append(c.Rounds, kept)
	}
	return c
}
