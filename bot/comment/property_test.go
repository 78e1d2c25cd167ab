package comment

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
)

// many is a view of n VMs with the longest names that there can be.
func many(n int) View {
	name := strings.Repeat("n", 15)
	v := View{State: Open, MayApprove: []string{"bob"}, Report: judge.Report{Governed: true, Head: strings.Repeat("a", 40)}}
	for i := range n {
		ref := spec.Ref{Kind: spec.KindVirtualMachine, System: name, Service: name, Namespace: name, Index: i + 1}
		v.Rows = append(v.Rows, Row{
			Ticket: &Ticket{Status: domain.TicketPending, Required: 2},
			Change: judge.Change{
				Ref: ref, Path: ref.Path(), Subject: ref.String(), Operation: domain.CreateVM, Environment: domain.Prod,
				Digest: fmt.Sprintf("%08x", i) + strings.Repeat("0", 56), Requirement: policy.Requirement{Operation: domain.CreateVM, Approvals: 2, Rule: "r"},
				Plan: &judge.Plan{
					Choice: judge.Choice{Cluster: name, StorageClass: name}, Template: name, TemplateVersion: 12, Size: name, Disk: "500Gi",
					KubernetesNamespace: name, EffectiveDigest: fmt.Sprintf("%08x", i+1<<20) + strings.Repeat("0", 56),
				},
			},
		})
	}
	return v
}

// TestEveryVMHasItsLine: whatever fits shows each VM with what an approver signs, before the merge and
// after it, however long what is said beside it.
func TestEveryVMHasItsLine(t *testing.T) {
	t.Parallel()
	const n = 150
	v := many(n)
	if !Fits(v) {
		t.Fatalf("%d VMs do not fit", n)
	}
	hasLines(t, "waiting", v, Comment(v), Approval(v).Summary)
	for i := range v.Rows {
		v.Rows[i].Ticket.Votes = []approval.Vote{{Why: strings.Repeat(fmt.Sprint("why ", i, " "), 80), Review: approval.Review{State: approval.StateApproved, Reviewer: approval.Reviewer{Login: "eve"}}}}
		v.Rows[i].Change.Problems = domain.Problems{{Severity: domain.Warning, Code: domain.ProdOvercommit, Path: v.Rows[i].Change.Path, Message: strings.Repeat("warning ", 60)}}
	}
	hasLines(t, "talkative", v, Comment(v), Approval(v).Summary)
	v.State = Merged
	for i := range v.Rows {
		r := &v.Rows[i]
		r.Ticket.Status, r.Event = domain.TicketCompleted, &Event{Status: domain.EventCompleted}
		r.VM = &VM{Status: domain.VMRunning, Cluster: strings.Repeat("c", 63), Namespace: strings.Repeat("n", 63), Name: r.Change.Subject}
	}
	hasLines(t, "merged", v, Comment(v))
}

func hasLines(t *testing.T, name string, v View, texts ...string) {
	t.Helper()
	for _, s := range texts {
		if len(s) > limit {
			t.Errorf("%s: %d bytes", name, len(s))
		}
		for _, r := range v.Rows {
			found := false
			for line := range strings.Lines(s) {
				found = found || strings.HasPrefix(line, "| `"+r.Change.Subject+"` | create VM | prod | ") && strings.Contains(line, r.Change.Digest[:8])
			}
			if !found {
				t.Fatalf("%s: no line for %s in\n%.2000s", name, r.Change.Subject, s)
			}
		}
	}
}

// TestTooManyToShow: what does not fit can never be approved.
func TestTooManyToShow(t *testing.T) {
	t.Parallel()
	v := many(1000)
	for i := range v.Rows {
		v.Rows[i].Ticket.Status, v.Rows[i].Ticket.Approvals = domain.TicketApproved, 2
	}
	if Fits(v) {
		t.Error("1,000 VMs fit")
	}
	check := Approval(v)
	if check.Conclusion != forge.Failure {
		t.Errorf("the approval check is %s", check.Conclusion)
	}
	for name, s := range map[string]string{"comment": Comment(v), "approval": check.Summary} {
		if len(s) > limit || !strings.Contains(s, "more that cannot be shown") || !strings.Contains(s, "**Too many changes to show: 1000.**") {
			t.Errorf("%s: %d bytes:\n%.500s", name, len(s), s)
		}
	}
}

// TestFitsDoesNotDependOnProgress: a batch that was shown stays shown.
func TestFitsDoesNotDependOnProgress(t *testing.T) {
	t.Parallel()
	for n := 1; n < 400; n += 7 {
		v := many(n)
		before := Fits(v)
		for i := range v.Rows {
			v.Rows[i].VM = &VM{Status: domain.VMRunning, Cluster: strings.Repeat("c", 200), Name: "x"}
			v.Rows[i].Event = &Event{Status: domain.EventFailed, Code: domain.NamespacePermissionDenied, Message: "no"}
		}
		v.State = Merged
		if Fits(v) != before {
			t.Errorf("%d VMs: %t before, %t after", n, before, !before)
		}
	}
}

// TestRepliesAreBounded: however much there is to explain or to plan, the reply fits, and says what it
// leaves out.
func TestRepliesAreBounded(t *testing.T) {
	t.Parallel()
	v := many(150)
	verdict := policy.Verdict{Rule: "CREATE_VM"}
	for i := range 200 {
		verdict.Children = append(verdict.Children, policy.Verdict{Rule: fmt.Sprint("rule ", i), Message: strings.Repeat("why ", 90)})
	}
	for depth, deep := 0, &verdict; depth < 50; depth++ {
		deep.Children = append(deep.Children, policy.Verdict{Rule: "deep"})
		deep = &deep.Children[len(deep.Children)-1]
	}
	plan := Answer{Verb: verbPlan}
	for i := range v.Rows {
		v.Rows[i].Change.Verdict.Children = []policy.Verdict{{Rule: "permission", Message: strings.Repeat("why ", 90)}}
		plan.Plans = append(plan.Plans, PlanAnswer{Ref: v.Rows[i].Change.Ref, Planned: *chosen(strings.Repeat("long ", 100))})
	}
	v.Rows[0].Change.Verdict = verdict
	for name, answers := range map[string][]Answer{
		"explain": {{Verb: verbExplain, Line: "/explain"}},
		"plan":    {plan},
		"all":     {plan, {Verb: verbExplain}, plan, {Verb: verbHelp}, plan, {Verb: verbExplain}, {Verb: verbExplain}, plan},
		"many":    slices.Repeat([]Answer{{Verb: verbConfirm, Subjects: []string{strings.Repeat("x", 100)}}}, 1000),
	} {
		got := Reply(v, Asked{ID: 1}, answers)
		if len(got) > limit || !strings.Contains(got, "for want of room.") {
			t.Errorf("%s: %d bytes, ending with %q", name, len(got), got[max(0, len(got)-200):])
		}
		for _, u := range unwanted(got) {
			t.Errorf("%s: %s", name, u)
		}
	}
}

func TestDeterministic(t *testing.T) {
	t.Parallel()
	for _, file := range cases(t) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			a, b := loadFile(t, file), loadFile(t, file)
			b.Now = b.Now.Add(3 * time.Hour) // the same day of waiting
			for i := range b.Rows {
				if b.Rows[i].Ticket != nil {
					b.Rows[i].Ticket.Published = !b.Rows[i].Ticket.Published // the text itself publishes
				}
			}
			for range 3 {
				if diff := cmp.Diff(Comment(a), Comment(b)); diff != "" {
					t.Error(diff)
				}
				if diff := cmp.Diff([]forge.Check{Validate(a), Approval(a)}, []forge.Check{Validate(b), Approval(b)}); diff != "" {
					t.Error(diff)
				}
			}
			b.Now = b.Now.Add(40 * 24 * time.Hour)
			if diff := cmp.Diff(Approval(a), Approval(b)); diff != "" {
				t.Errorf("the check depends on the day: %s", diff)
			}
		})
	}
}

func TestExternalID(t *testing.T) {
	t.Parallel()
	a, b := many(1), many(1)
	b.Rows[0].Change.Plan.EffectiveDigest = strings.Repeat("f", 64)
	if got := Approval(a).ExternalID; len(got) != 16 || got != Approval(many(1)).ExternalID {
		t.Errorf("id %q", got)
	}
	if Approval(a).ExternalID == Approval(b).ExternalID {
		t.Error("two plans, one id")
	}
	if Validate(a).ExternalID != Validate(b).ExternalID {
		t.Error("the plan moved the id of the other check")
	}
}

// TestConclusions: green means that nobody has to do anything before the merge.
func TestConclusions(t *testing.T) {
	t.Parallel()
	for _, file := range cases(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".txtar")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := loadFile(t, file)
			green := Approval(v).Conclusion == forge.Success
			r := readOpen(v)
			settled := len(r.pick(approved, free)) == len(r.rows)
			if green && !(settled && !r.blocking() && !v.Report.Draft && !v.Report.Fork && len(v.Quarantined) == 0) {
				t.Errorf("green, while %+v", r.rows)
			}
			if valid := Validate(v).Conclusion == forge.Success; valid == (r.blocking() || len(v.Quarantined) > 0 || len(r.contested) > 0) {
				t.Errorf("valid is %t", valid)
			}
		})
	}
}

func TestClosingIsDueAtTheEnd(t *testing.T) {
	t.Parallel()
	row := func(e domain.EventStatus, vm domain.VMStatus) Row {
		return Row{Change: judge.Change{Path: string(e+"/") + string(vm), Operation: domain.CreateVM}, Event: &Event{Status: e}, VM: &VM{Status: vm}}
	}
	for name, tt := range map[string]struct {
		v    View
		want bool
	}{
		"open":              {View{State: Open, Rows: []Row{row(domain.EventCompleted, domain.VMRunning)}}, false},
		"nothing known":     {View{State: Merged}, false},
		"no event yet":      {View{State: Merged, Rows: []Row{{Change: judge.Change{Operation: domain.CreateVM}}}}, false},
		"pending":           {View{State: Merged, Rows: []Row{row(domain.EventPending, "")}}, false},
		"processing":        {View{State: Merged, Rows: []Row{row(domain.EventProcessing, domain.VMRunning)}}, false},
		"starting":          {View{State: Merged, Rows: []Row{row(domain.EventCompleted, domain.VMCreating)}}, false},
		"unknown":           {View{State: Merged, Rows: []Row{row(domain.EventCompleted, domain.VMUnknown)}}, false},
		"running":           {View{State: Merged, Rows: []Row{row(domain.EventCompleted, domain.VMRunning)}}, true},
		"stopped":           {View{State: Merged, Rows: []Row{row(domain.EventCompleted, domain.VMStopped)}}, true},
		"deleted":           {View{State: Merged, Rows: []Row{row(domain.EventCompleted, domain.VMDeleted)}}, true},
		"does not run":      {View{State: Merged, Rows: []Row{row(domain.EventCompleted, domain.VMFailed)}}, true},
		"refused":           {View{State: Merged, Rows: []Row{row(domain.EventFailed, domain.VMCreating)}}, true},
		"one of two":        {View{State: Merged, Rows: []Row{row(domain.EventCompleted, domain.VMRunning), row(domain.EventProcessing, domain.VMCreating)}}, false},
		"quarantined":       {View{State: Merged, Quarantined: domain.Problems{{Code: domain.ApprovalBypassed}}}, false},
		"undo opened":       {View{State: Merged, Quarantined: domain.Problems{{Code: domain.ApprovalBypassed}}, Undo: "https://forge/1"}, true},
		"taken back":        {View{State: Merged, Quarantined: domain.Problems{{Code: domain.ApprovalBypassed}}, Undone: true}, true},
		"quarantined, busy": {View{State: Merged, Quarantined: domain.Problems{{Path: "x"}}, Rows: []Row{row(domain.EventProcessing, "")}}, false},
	} {
		if _, got := Closing(tt.v); got != tt.want {
			t.Errorf("%s: due is %t", name, got)
		}
	}
}

func TestClosingMentionsOnlyTheAuthor(t *testing.T) {
	t.Parallel()
	for author, want := range map[string]string{
		"alice": "@alice ", "a-b": "@a-b ", "a.b_c": "@a.b_c ", "": "", "acme/platform": "", "alice @bob": "", "-alice": "",
		"renovate[bot]": "", "alice\n": "", strings.Repeat("a", 80): "",
	} {
		v := many(1)
		v.State, v.Author = Merged, author
		v.Rows[0].Event = &Event{Status: domain.EventFailed, Message: "ask @bob"}
		body, due := Closing(v)
		if !due || strings.Count(strings.ReplaceAll(body, "@\u200b", ""), "@") != strings.Count(want, "@") || !strings.HasPrefix(body, ClosingMarker+"\n"+want+"**Failed.**") {
			t.Errorf("%q: %s", author, body)
		}
	}
}

func TestWaited(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)
	for days, want := range map[int]string{
		0: "**Waiting for", 1: "**Waiting 1 day for", 3: "**Waiting 3 days for", 4: "🟡 **Waiting 4 days for", 7: "🟡 **Waiting 7 days for", 8: "🔴 **Waiting 8 days for",
	} {
		v := many(1)
		v.Now, v.WaitingSince = now, now.Add(-time.Duration(days)*24*time.Hour-time.Hour)
		if got := Comment(v); !strings.HasPrefix(got, Marker+"\n"+want) {
			t.Errorf("%d days: %.80q", days, got)
		}
	}
}

func BenchmarkComment(b *testing.B) {
	v := many(150)
	for b.Loop() {
		_ = Comment(v)
	}
}
