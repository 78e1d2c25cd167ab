package oracle

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func random(seed uint64) Script {
	return Random(12, rand.New(rand.NewPCG(seed, 5)).IntN)
}

// What is thrown reaches all that there is to see, and not by chance.
func TestRandomScripts(t *testing.T) {
	t.Parallel()
	tickets, checks, steps := map[Status]int{}, map[string]int{}, map[Action]int{}
	accepted, stopped := 0, 0
	for seed := range uint64(2000) {
		script := random(seed)
		played, verdicts := Play(script)
		if diff := cmp.Diff(script, played); diff != "" {
			t.Fatalf("seed %d has steps that make no sense:\n%s", seed, diff)
		}
		for _, round := range script.Rounds {
			for _, st := range round {
				steps[st.Does]++
			}
		}
		for _, v := range verdicts {
			checks[v.Approval]++
			for _, s := range v.Tickets {
				tickets[s]++
			}
		}
		last := verdicts[len(verdicts)-1]
		for _, yes := range last.Accepted {
			switch {
			case yes:
				accepted++
			case last.Merged:
				stopped++
			}
		}
	}
	for _, s := range []Status{None, Pending, Approved, Rejected, Cancelled, Completed} {
		if tickets[s] < 500 {
			t.Errorf("%d tickets are %q", tickets[s], s)
		}
	}
	for _, c := range []string{success, failure, actionRequired, NotSuccess} {
		if checks[c] < 500 {
			t.Errorf("%d checks are %q", checks[c], c)
		}
	}
	for _, l := range likely {
		if steps[l.does] < 10 {
			t.Errorf("%d times somebody %s", steps[l.does], l.does)
		}
	}
	if accepted < 500 || stopped < 500 {
		t.Errorf("%d changes accepted, %d quarantined", accepted, stopped)
	}
}

// Each shorter script is shorter and makes sense, so that shrinking ends.
func TestShorter(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		script := random(seed)
		size := func(s Script) int { return 1000*len(s.Setup.Changes) + 100*len(s.Rounds) + s.Steps() }
		for _, c := range script.Shorter() {
			if played, _ := Play(c); size(c) >= size(script) || cmp.Diff(played, c) != "" {
				t.Fatalf("shorter than\n%s is\n%s", script, c)
			}
		}
	}
}

// What the design says of the simplest stories.
func TestStories(t *testing.T) {
	t.Parallel()
	bob, frank := Step{Who: Bob, Does: Approves}, Step{Who: Frank, Does: Approves}
	for name, c := range map[string]struct {
		setup  Setup
		rounds [][]Step
		want   Verdict
	}{
		"nobody approved": {Setup{Changes: []Kind{CreateTest}}, nil,
			Verdict{Tickets: []Status{Pending}, Validate: success, Approval: actionRequired, Accepted: []bool{false}}},
		"one of two approvals": {Setup{Changes: []Kind{CreateProd}, Strict: true}, [][]Step{{bob}},
			Verdict{Tickets: []Status{Pending}, Validate: success, Approval: actionRequired, Accepted: []bool{false}}},
		"two of two approvals": {Setup{Changes: []Kind{CreateProd}, Strict: true}, [][]Step{{bob, frank}, {{Who: Bob, Does: Merges}}},
			Verdict{Tickets: []Status{Completed}, Merged: true, Accepted: []bool{true}}},
		"other content": {Setup{Changes: []Kind{CreateProd}}, [][]Step{{bob}, {{Who: Alice, Does: Writes}}},
			Verdict{Tickets: []Status{Pending}, Validate: success, Approval: actionRequired, Accepted: []bool{false}}},
		"an approver of test": {Setup{Changes: []Kind{CreateTest, CreateProd}}, [][]Step{{{Who: Erin, Does: Approves}}, {{Who: Dave, Does: Bypasses}}},
			Verdict{Tickets: []Status{Completed, Cancelled}, Merged: true, Accepted: []bool{true, false}}},
		"an objection": {Setup{Changes: []Kind{CreateTest}}, [][]Step{{bob}, {{Who: Frank, Does: Objects}}},
			Verdict{Tickets: []Status{Rejected}, Validate: success, Approval: failure, Accepted: []bool{false}}},
		"closed": {Setup{Changes: []Kind{CreateTest}}, [][]Step{{bob}, {{Who: Alice, Does: Closes}}},
			Verdict{Tickets: []Status{Cancelled}, Accepted: []bool{false}}},
		"in test power is free": {Setup{Changes: []Kind{SwitchTest}}, nil,
			Verdict{Tickets: []Status{Completed}, Merged: true, Accepted: []bool{true}}},
		"pushed by an approver": {Setup{Changes: []Kind{CreateProd}}, [][]Step{{{Who: Bob, Does: Writes}}},
			Verdict{Tickets: []Status{Cancelled}, Validate: failure, Approval: NotSuccess, Accepted: []bool{false}}},
	} {
		_, verdicts := Play(Script{Setup: c.setup, Rounds: c.rounds})
		if diff := cmp.Diff(c.want, verdicts[len(verdicts)-1]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
