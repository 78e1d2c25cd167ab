package comment

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
)

// hostile are texts that try to be more than text.
var hostile = []string{
	"@alice @acme/platform a@b.example",
	"[x](https://evil.example) ![x](https://evil.example/x.png) <https://evil.example> https://evil.example www.evil.example",
	"</details></summary></table><script>alert(1)</script><!-- shepherd -->",
	"` @alice ` `` ``` ~~~ \\` \\",
	"one\n\n# two\r\n> three\n- [ ] four\n```\nfive\n---\n===\n| a | b |\n|---|---|\n",
	"\u202egnp.exe\u2066 \u200f\u05d0\u05d1 \u0645\u0631\u062d\u0628\u0627",
	"&#64;alice &commat;alice &lt;b&gt; #12 GH-12 acme/specs#12 5f0c2e7a91b34d6688aa0b1c2d3e4f5061728394",
	"**bold** __bold__ *x* _x_ ~~x~~ $x$ :tada: [^1] [x][y]",
	"- x", "1. x", "+ x", "| x |", "    indented", "\t@alice", "-", "===", "|", "\\|", "x|`|`|@a",
	strings.Repeat("@alice ", 1500),
	strings.Repeat("a", 10000),
	strings.Repeat("`", 10000),
	"\xff\xfe@alice\x00\x1b[31m",
	"",
}

// everywhere is a view with the text wherever somebody outside could have written one.
func everywhere(s string, state State, stage int) View {
	op := domain.Operations()[stage%len(domain.Operations())]
	c := judge.Change{
		Ref: spec.Ref{Kind: spec.KindVirtualMachine, Login: s, Name: s}, Path: s, Subject: s, Operation: op, Environment: domain.Environment(s),
		Wanted: quoted("power", s), Accepted: quoted("size", s), Digest: s, Reason: s, Claims: []string{s, "vm:" + s, "address:" + s},
		Verdict: policy.Verdict{Rule: s, Outcome: policy.Allow, Message: s, Hint: s, Children: []policy.Verdict{
			{Rule: "approval", Message: s, Hint: s},
			{Rule: s, Message: s, Inputs: map[string]string{"source": s, "effect": s, s: s}, Children: []policy.Verdict{{Rule: s}}},
		}},
		Requirement: policy.Requirement{Operation: op, Approvals: 1, Rule: s, Confirm: policy.ConfirmName}, Approvers: []string{s},
		Contested: []int{7, 8}, Planned: chosen(s), Dropped: []string{s, s, s, s, s}, Grant: time.Minute, VM: s,
		Plan: &judge.Plan{
			Choice: judge.Choice{Cluster: s, StorageClass: s}, Template: s, Size: s, Disk: s, KubernetesNamespace: s, EffectiveDigest: s, Objects: []string{s, "Secret " + s + "-ssh-keys"},
			TemplateSnapshot: &spec.Template{Image: spec.Image{ContainerDisk: &spec.ContainerDisk{Image: s}}},
			SizeSnapshot:     &spec.InstanceSize{Memory: s, Hugepages: s, GPUs: []spec.GPU{{DeviceName: s}}, SpecOverrides: map[string]any{s: s}},
		},
	}
	problem := domain.Problem{Code: domain.Code(s), Severity: domain.Error, Path: s, Line: 3, Message: s, Hint: s}
	warning := problem
	warning.Severity = domain.Warning
	c.Problems = domain.Problems{warning}
	review := approval.Review{Reviewer: approval.Reviewer{Login: s}, State: approval.StateApproved, Text: s}
	ticket := &Ticket{
		Status: domain.TicketPending, Required: 1, DecidedBy: s, Decision: s, Votes: []approval.Vote{{Review: review, Why: s}},
	}
	row := Row{
		Change: c, Ticket: ticket, VM: &VM{Status: domain.VMRunning, Message: s, Cluster: s, Name: s, Namespace: s}, DismissedBy: s,
		Contributors: []Contributor{{Login: s, How: s}}, Grant: &Grant{Until: time.Unix(0, 0)},
	}
	v := View{
		State: state, Author: s, MayApprove: []string{s, s}, Retry: s, Undo: s, Report: judge.Report{Governed: true, Head: s},
		AutoMerge: true, MergeRefused: s, SameHead: []int{7, 8}, RemindAfter: time.Hour, WaitingSince: time.Unix(0, 0), Now: time.Unix(1<<20, 0),
	}
	switch stage % 10 {
	case 1:
		v.Report.Problems = domain.Problems{problem}
		row.Change.Problems = domain.Problems{problem}
	case 2:
		ticket.Status, ticket.Veto = domain.TicketRejected, &review
		row.Event = &Event{Status: domain.EventFailed, Code: domain.Code(s), Message: s}
	case 3:
		ticket.Status, ticket.Votes[0].Counts = domain.TicketApproved, true
		row.Event = &Event{Status: domain.EventCompleted}
	case 4:
		v.Quarantined = domain.Problems{problem}
	case 5:
		row.VM.Status, row.Event = domain.VMFailed, &Event{Status: domain.EventCompleted}
	case 6:
		row.TakenOver = 9
	case 7:
		ticket.Status, row.Change.Ahead, row.Change.Confirmed = domain.TicketApproved, true, s
	case 8, 9:
		ticket.Status, row.Change.Requirement.Confirm = domain.TicketApproved, policy.ConfirmNone
		if stage%10 == 8 {
			v.Held = &Hold{By: s}
		}
	}
	v.Rows = []Row{row}
	return v
}

func quoted(field, s string) json.RawMessage {
	data, err := json.Marshal(map[string]string{field: s})
	if err != nil {
		panic(err)
	}
	return data
}

// chosen is a plan with the text wherever an approver could have written it.
func chosen(s string) *judge.Planned {
	modified, err := json.Marshal(spec.VirtualMachine{Template: s, Size: s, Reason: s, SSHKeys: []string{s}, Networks: []spec.VMNetwork{{Name: s, IP: s}}})
	if err != nil {
		panic(err)
	}
	return &judge.Planned{By: s, Reason: s, Cluster: s, StorageClass: s, TemplateVersion: 3, ModifiedSpec: modified}
}

// said are answers with the text wherever somebody could have written it.
func said(s string) []Answer {
	refused := domain.Problem{Code: domain.Code(s), Severity: domain.Error, Path: s, Message: s, Hint: s}
	return []Answer{
		{Verb: verbExplain, Line: s}, {Verb: verbHelp, Line: s}, {Verb: s, Line: s, Suggestion: s}, {Verb: verbHold, Line: s},
		{Verb: verbConfirm, Line: s, Subjects: []string{s, s}}, {Verb: verbRetry, Line: s, Subjects: []string{s}},
		{Verb: verbUnhold, Line: s, Problems: domain.Problems{refused}},
		{Verb: verbPlan, Line: s, Problems: domain.Problems{refused, {Severity: domain.Error, Message: "another", Path: s}}},
		{Verb: verbPlan, Line: s, Plans: []PlanAnswer{
			{Ref: spec.Ref{Kind: spec.KindVirtualMachine, Namespace: s}, Planned: *chosen(s), Wanted: quoted("size", s), Dropped: []string{s, s, s, s, s}},
			{Planned: *chosen(s), Commit: s},
		}},
	}
}

// stages is how many kinds of view everywhere makes.
const stages = 20

// sound holds all that is said about a view to the rules of texts from outside.
func sound(t *testing.T, v View) {
	t.Helper()
	texts := map[string]string{"comment": Comment(v), "validate": Validate(v).Summary, "approval": Approval(v).Summary}
	for name, notice := range map[string]func(View) (string, bool){"closing": Closing, "decided": Decided, "reminder": Reminder} {
		body, _ := notice(v)
		first, rest, _ := strings.Cut(body, "\n")
		to := mention(v.Author)
		if name == "reminder" {
			to = addressed(v.MayApprove)
		}
		texts[name] = first + "\n" + strings.TrimPrefix(rest, to)
	}
	texts["reply"] = Reply(v, Asked{ID: 1}, said(v.Author))
	validate, approval := Group(GroupView{Report: v.Report, Changes: []Grouped{{Change: v.Rows[0].Change, PullRequest: 7, Why: v.Author}, {Change: v.Rows[0].Change}}})
	texts["group validate"], texts["group approval"] = validate.Summary, approval.Summary
	for name, s := range texts {
		s = unfenced(t, name, s)
		switch {
		case len(s) > limit:
			t.Errorf("%s takes %d bytes", name, len(s))
		case !utf8.ValidString(s):
			t.Errorf("%s is not UTF-8: %q", name, s)
		case strings.Count(s, "@") != strings.Count(s, "@\u200b"):
			t.Errorf("%s mentions somebody:\n%s", name, s)
		case strings.LastIndex(s, "<!--") > 0:
			t.Errorf("%s has a mark inside:\n%s", name, s)
		}
		for _, u := range unwanted(s) {
			if v.Undo == "" || !strings.HasSuffix(u, " "+v.Undo) {
				t.Errorf("%s has %s:\n%s", name, u, s)
			}
		}
	}
	checks(t, v, validate, approval)
}

// unfenced takes out the files to be copied: they hold what they are to hold, in blocks that do not end
// early.
func unfenced(t *testing.T, name, s string) string {
	t.Helper()
	return files.ReplaceAllStringFunc(s, func(block string) string {
		if loose.MatchString(block) || strings.Contains(block, "<!--") || strings.Count(block, "`") != 6 {
			t.Errorf("%s has a block that does more than show:\n%s", name, block)
		}
		return ""
	})
}

var files = regexp.MustCompile("(?ms)^```yaml\n.*?^```$")

func checks(t *testing.T, v View, more ...forge.Check) {
	t.Helper()
	for _, c := range append(more, Validate(v), Approval(v)) {
		if utf8.RuneCountInString(c.Title) > 200 || strings.ContainsAny(c.Title, "\r\n") || !utf8.ValidString(c.Title) {
			t.Errorf("title %q", c.Title)
		}
		for _, a := range c.Annotations {
			if a.Line < 1 || a.Path == "" || !utf8.ValidString(a.Path) || len(a.Message) > 4*(maxMessage+maxCommand)+1 {
				t.Errorf("annotation %+v", a)
			}
		}
	}
}

func TestHostileTexts(t *testing.T) {
	t.Parallel()
	for i, s := range hostile {
		for _, state := range []State{Open, Closed, Merged} {
			n := stages
			if state == Closed || len(s) > 5000 { // little is said, or it takes long
				n /= 2
			}
			for stage := range n {
				t.Run(fmt.Sprintf("%d/%s/%d", i, state, stage), func(t *testing.T) {
					t.Parallel()
					sound(t, everywhere(s, state, stage))
				})
			}
		}
	}
}

func FuzzComment(f *testing.F) {
	for i, s := range hostile {
		f.Add(s, i%2 == 0, i%stages)
	}
	f.Fuzz(func(t *testing.T, s string, merged bool, stage int) {
		state := Open
		if merged {
			state = Merged
		}
		sound(t, everywhere(s, state, max(stage, 0)%stages))
	})
}

func TestStatesAreShort(t *testing.T) {
	t.Parallel()
	for _, s := range hostile {
		for _, state := range []State{Open, Closed, Merged} {
			for stage := range stages {
				r := read(everywhere(s, state, stage))
				for _, row := range r.rows {
					if got := r.state(row, true); len(got) > maxState+3*30 && stage%10 != 2 && stage%10 != 4 && stage%10 != 7 && stage%10 < 8 || strings.Contains(got, "|") {
						t.Errorf("%d bytes: %s", len(got), got)
					}
				}
			}
		}
	}
}

// TestMentions: who is mentioned, and where. Names that are no logins are text, and so are teams.
func TestMentions(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		of   []string
		want string
	}{
		"nobody":    {nil, "**A change by alice has waited for an approval for 9 days.** Nobody may approve it"},
		"people":    {[]string{"bob", "carol"}, "@bob, @carol: **A change"},
		"a team":    {[]string{"team acme/platform"}, "team acme/platform: **A change"},
		"a mix":     {[]string{"team acme/platform", "bob"}, "@bob, team acme/platform: **A change"},
		"no logins": {[]string{"@bob", "bob\n@eve", "a b", "-bob", "[x](y)", strings.Repeat("z", 41)}, "`@\u200bbob`, bob `@\u200beve`, a b, -bob, `[x](y)`, " + strings.Repeat("z", 41) + ": **A change"},
		"too many":  {[]string{"a", "b", "c", "d", "e", "f", "g", "h"}, "@a, @b, @c, @d, @e, @f, g, h: **A change"},
	} {
		v := many(1)
		v.Author, v.MayApprove, v.Now, v.WaitingSince, v.RemindAfter = "alice", tt.of, now, now.Add(-9*24*time.Hour), 24*time.Hour
		body, due := Reminder(v)
		if _, text, _ := strings.Cut(body, "\n"); !due || !strings.HasPrefix(text, tt.want) {
			t.Errorf("%s: %t\n%s\nwant\n%s", name, due, text, tt.want)
		}
	}
}
