package policy

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

func TestWorse(t *testing.T) {
	t.Parallel()
	for i, a := range outcomes {
		for j, b := range outcomes {
			if got, want := worse(a, b), outcomes[max(i, j)]; got != want {
				t.Errorf("worse(%s, %s) = %s, want %s", a, b, got, want)
			}
		}
		if worse(a, "maybe") != Deny || worse("maybe", a) != Deny {
			t.Errorf("an unknown outcome beside %s is no denial", a)
		}
	}
	if !(Verdict{Outcome: "maybe"}).Denied() || !(Verdict{}).Denied() || (Verdict{Outcome: NeedsApproval}).Denied() {
		t.Error("Denied is wrong")
	}
}

// TestJSON stores verdicts of every operation and reads them back.
func TestJSON(t *testing.T) {
	t.Parallel()
	set := compile(t, map[string]*spec.Policy{"p": {
		Approvals: []spec.ApprovalRule{{Name: "two", Approvals: 2, From: spec.ApprovalFrom{Roles: []string{"approver"}, Teams: []spec.Team{security}}},
			{Name: "free", Systems: []string{"shop"}, Approvals: 0}},
		Rules: []spec.Rule{{Name: "w", Effect: "warn", Expression: "true", Message: "<b>\u2028&"}},
	}}, Options{})
	for _, op := range domain.Operations() {
		f := celFacts()
		f.Change.Operation, f.Policies = op, set
		f.Pushers = []Person{{ID: 66, Login: "mallory"}, {}}
		v := Evaluate(f)
		first, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var back Verdict
		if err := json.Unmarshal(first, &back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(v, back); diff != "" {
			t.Errorf("%s: comes back different (-stored +read):\n%s", op, diff)
		}
		second, err := json.Marshal(back)
		if err != nil || string(first) != string(second) {
			t.Errorf("%s: stored twice, two texts: %v", op, err)
		}
		a, okA := v.Requirement()
		b, okB := back.Requirement()
		if diff := cmp.Diff(a, b); !okA || !okB || diff != "" || a.Operation != op {
			t.Errorf("%s: requirement %v %v: %s", op, okA, okB, diff)
		}
	}
}

func TestNoRequirementWithoutRule(t *testing.T) {
	t.Parallel()
	f := celFacts()
	f.Change.Environment = "staging"
	f.Policies = compileDefault(t)
	v := Evaluate(f)
	if r, ok := v.Requirement(); ok {
		t.Errorf("got %+v", r)
	}
	want := "no approval rule covers this change"
	if !v.Denied() || !strings.Contains(Text(v), want) {
		t.Errorf("got\n%s", Text(v))
	}
}

func TestEvaluateWithoutAnything(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]Facts{
		"nothing":           {},
		"no policies":       {Change: celFacts().Change, Author: alice, Bindings: NewBindings(fleet())},
		"no bindings":       {Change: celFacts().Change, Author: alice, Policies: compileDefault(t)},
		"unknown operation": {Change: Change{Operation: "PAINT_VM"}, Author: alice, Bindings: NewBindings(fleet()), Policies: compileDefault(t)},
	} {
		v := Evaluate(f)
		if !v.Denied() || !v.Problems("x").Blocking() {
			t.Errorf("%s: got\n%s", name, Text(v))
		}
	}
}

// TestDenialsAreTold holds outcome and problems together: what denies is told as an error, and nothing
// else is.
func TestDenialsAreTold(t *testing.T) {
	t.Parallel()
	set := compile(t, map[string]*spec.Policy{"p": {Rules: []spec.Rule{
		{Name: "d", Effect: "deny", Expression: "change.index == 4", Message: "no fours"},
		{Name: "w", Effect: "warn", Expression: "change.index == 5", Message: "fives are odd"},
	}}}, Options{})
	for index := 3; index <= 5; index++ {
		for _, author := range []Person{alice, {ID: 99, Login: "eve"}, {}} {
			f := celFacts()
			f.Change.Ref.Index, f.Author, f.Policies = index, author, set
			v := Evaluate(f)
			problems := v.Problems("systems/x.yaml")
			if v.Denied() != problems.Blocking() {
				t.Errorf("index %d by %s: %s, and the problems are %v", index, author, v.Outcome, problems)
			}
			for _, p := range problems {
				if p.Path != "systems/x.yaml" || p.Message == "" || p.Code == "" {
					t.Errorf("incomplete problem %+v", p)
				}
			}
			if warned := strings.Contains(DescribeProblems("", problems), "fives are odd"); warned != (index == 5) {
				t.Errorf("index %d: %v", index, problems)
			}
		}
	}
}

func TestTextStaysOnItsLine(t *testing.T) {
	t.Parallel()
	v := Verdict{Rule: "r\n", Outcome: Deny, Message: "two\nlines\r\x1b[31m\u202ered\u2028end", Hint: "a\tb",
		Children: []Verdict{
			{Rule: "c", Outcome: Allow, Message: "m"}, {Rule: "does not apply", Outcome: Allow},
			{Rule: "rules", Outcome: Warn, Children: []Verdict{{Rule: "applies", Outcome: Warn}, {Rule: "does not apply", Outcome: Allow}}},
			{Rule: "approval", Outcome: NeedsApproval, Message: "n"},
		}}
	want := "denied – r: two lines [31mred end (a b)\n  ok – c: m\n  warning – rules\n    warning – applies\n  needs approval: n\n"
	if got := Text(v); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestPushersAreAskedOnce(t *testing.T) {
	t.Parallel()
	f := celFacts()
	f.Policies = compileDefault(t)
	mallory := Person{ID: 66, Login: "mallory"}
	f.Pushers = []Person{alice, mallory, mallory, {}, {}}
	var parts []string
	for _, c := range Evaluate(f).Children[0].Children {
		parts = append(parts, c.Rule+" "+c.Inputs["login"]+" "+string(c.Code))
	}
	want := []string{"author alice ", "pusher mallory PERMISSION_DENIED", "pusher  AUTHOR_UNKNOWN"}
	if diff := cmp.Diff(want, parts); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
