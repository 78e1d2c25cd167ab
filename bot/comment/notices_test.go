package comment

import (
	"strings"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/policy"
)

// waitingFor is a view of VMs whose tickets have the states.
func waitingFor(states ...domain.TicketStatus) View {
	v := many(len(states))
	v.Author = "alice"
	v.Now = time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)
	v.WaitingSince, v.RemindAfter = v.Now.Add(-48*time.Hour), 24*time.Hour
	for i, s := range states {
		v.Rows[i].Ticket.Status, v.Rows[i].Ticket.DecidedBy = s, "bob"
	}
	return v
}

func TestDecidedIsDueOnce(t *testing.T) {
	t.Parallel()
	const pending, yes, no = domain.TicketPending, domain.TicketApproved, domain.TicketRejected
	for name, tt := range map[string]struct {
		of     []domain.TicketStatus
		change func(*View)
		want   string // how it begins, behind the mark
	}{
		"waiting":           {[]domain.TicketStatus{pending}, nil, ""},
		"one of two":        {[]domain.TicketStatus{yes, pending}, nil, ""},
		"approved":          {[]domain.TicketStatus{yes, yes}, nil, "@alice **Approved by bob.** Merge when ready."},
		"rejected":          {[]domain.TicketStatus{no}, nil, "@alice **Rejected by bob.**"},
		"one rejected":      {[]domain.TicketStatus{pending, no}, nil, "@alice **Rejected by bob.**"},
		"vetoed":            {[]domain.TicketStatus{pending}, func(v *View) { v.Rows[0].Ticket.Veto = veto("dan") }, "@alice **Rejected by dan.**"},
		"nothing to decide": {[]domain.TicketStatus{pending}, func(v *View) { v.Rows[0].Ticket, v.Rows[0].Change.Requirement = nil, policy.Requirement{} }, ""},
		"merged":            {[]domain.TicketStatus{yes}, func(v *View) { v.State = Merged }, ""},
		"closed":            {[]domain.TicketStatus{no}, func(v *View) { v.State = Closed }, ""},
		"draft":             {[]domain.TicketStatus{yes}, func(v *View) { v.Report.Draft = true }, ""},
		"fork":              {[]domain.TicketStatus{yes}, func(v *View) { v.Report.Fork = true }, ""},
		"a problem":         {[]domain.TicketStatus{yes}, func(v *View) { v.Report.Problems = domain.Problems{{Severity: domain.Error}} }, ""},
		"taken over":        {[]domain.TicketStatus{yes, pending}, func(v *View) { v.Rows[1].TakenOver = 9 }, ""},
		"held":              {[]domain.TicketStatus{yes}, func(v *View) { v.AutoMerge, v.Held = true, &Hold{By: "dan"} }, "@alice **Approved by bob.** dan holds the automatic merge"},
		"merged by the bot": {[]domain.TicketStatus{yes}, func(v *View) { v.AutoMerge = true }, "@alice **Approved by bob.** It is merged by itself."},
		"merge refused":     {[]domain.TicketStatus{yes}, func(v *View) { v.AutoMerge, v.MergeRefused = true, "no" }, "@alice **Approved by bob.** Merge when ready."},
		"an odd author":     {[]domain.TicketStatus{yes}, func(v *View) { v.Author = "renovate[bot]" }, "**Approved by bob.**"},
	} {
		v := waitingFor(tt.of...)
		if tt.change != nil {
			tt.change(&v)
		}
		body, due := Decided(v)
		if _, text, _ := strings.Cut(body, "\n"); due != (tt.want != "") || !strings.HasPrefix(text, tt.want) {
			t.Errorf("%s: %t %q", name, due, body)
		}
	}
}

func veto(login string) *approval.Review {
	return &approval.Review{Reviewer: approval.Reviewer{Login: login}, State: approval.StateChangesRequested}
}

// TestMarks: the same decision on the same content has the same mark, any other has another, and no text
// has the mark of a text of another kind.
func TestMarks(t *testing.T) {
	t.Parallel()
	of := func(notice func(View) (string, bool), v View) string {
		body, due := notice(v)
		if !due {
			t.Fatal("not due")
		}
		return MarkOf(body)
	}
	yes, no, open := waitingFor(domain.TicketApproved), waitingFor(domain.TicketRejected), waitingFor(domain.TicketPending)
	later := yes
	later.Now = later.Now.Add(100 * time.Hour)
	later.AutoMerge = true
	if of(Decided, yes) != of(Decided, later) {
		t.Error("a mark depends on more than the decision")
	}
	other := waitingFor(domain.TicketApproved)
	other.Rows[0].Change.Digest = strings.Repeat("e", 64)
	merged := waitingFor(domain.TicketCompleted)
	merged.State, merged.Rows[0].Event = Merged, &Event{Status: domain.EventFailed}
	marks := []string{
		MarkOf(Comment(yes)), of(Decided, yes), of(Decided, no), of(Decided, other), of(Reminder, open), of(Closing, merged),
		ReplyMark(Asked{Source: "comment", ID: 1}), ReplyMark(Asked{Source: "comment", ID: 11}), ReplyMark(Asked{Source: "review", ID: 1}),
	}
	for i, a := range marks {
		if !strings.HasPrefix(a, "<!-- shepherd") || !strings.HasSuffix(a, "-->") {
			t.Errorf("%q is no mark", a)
		}
		for j, b := range marks {
			if i != j && strings.Contains(a, b) {
				t.Errorf("%q has %q in it", a, b)
			}
		}
	}
	if got := MarkOf(Reply(yes, Asked{Source: "--> x", ID: 2}, nil)); got != "<!-- shepherd: reply to comment 2 -->" {
		t.Errorf("an odd source: %q", got)
	}
}

func TestReminderIsDue(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*View)
		want   bool
	}{
		"long enough":    {func(*View) {}, true},
		"exactly":        {func(v *View) { v.RemindAfter = 48 * time.Hour }, true},
		"not yet":        {func(v *View) { v.RemindAfter = 49 * time.Hour }, false},
		"switched off":   {func(v *View) { v.RemindAfter = 0 }, false},
		"nothing waits":  {func(v *View) { v.WaitingSince = time.Time{} }, false},
		"approved":       {func(v *View) { v.Rows[0].Ticket.Status = domain.TicketApproved }, false},
		"vetoed":         {func(v *View) { v.Rows[0].Veto = veto("dan") }, false},
		"merged":         {func(v *View) { v.State = Merged }, false},
		"draft":          {func(v *View) { v.Report.Draft = true }, false},
		"needs mending":  {func(v *View) { v.Report.Problems = domain.Problems{{Severity: domain.Error}} }, false},
		"only a warning": {func(v *View) { v.Report.Problems = domain.Problems{{Severity: domain.Warning}} }, true},
	} {
		v := waitingFor(domain.TicketPending)
		tt.change(&v)
		if _, got := Reminder(v); got != tt.want {
			t.Errorf("%s: due is %t", name, got)
		}
	}
}
