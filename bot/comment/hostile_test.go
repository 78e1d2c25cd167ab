package comment

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
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
	c := judge.Change{
		Ref: spec.Ref{Kind: spec.KindVirtualMachine}, Path: s, Subject: s, Operation: domain.CreateVM, Environment: domain.Environment(s),
		Wanted: quoted("power", s), Accepted: quoted("size", s), Digest: s, Reason: s, Claims: []string{s, "vm:" + s, "address:" + s},
		Verdict:     policy.Verdict{Rule: s, Outcome: policy.Allow, Message: s, Hint: s, Children: []policy.Verdict{{Rule: s}}},
		Requirement: policy.Requirement{Operation: domain.CreateVM, Approvals: 1, Rule: s, Confirm: policy.ConfirmName},
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
	row := Row{Change: c, Ticket: ticket, VM: &VM{Status: domain.VMRunning, Message: s, Cluster: s, Name: s, Namespace: s}}
	v := View{State: state, Author: s, MayApprove: []string{s, s}, Retry: s, Undo: s, Report: judge.Report{Governed: true, Head: s}}
	switch stage {
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

// stages is how many kinds of view everywhere makes.
const stages = 6

// sound holds all that is said about a view to the rules of texts from outside.
func sound(t *testing.T, v View) {
	t.Helper()
	body, _ := Closing(v)
	body = strings.TrimPrefix(body, ClosingMarker+"\n"+mention(v.Author))
	texts := map[string]string{
		"comment": Comment(v), "validate": Validate(v).Summary, "approval": Approval(v).Summary, "closing": body,
	}
	for name, s := range texts {
		switch {
		case len(s) > limit:
			t.Errorf("%s takes %d bytes", name, len(s))
		case !utf8.ValidString(s):
			t.Errorf("%s is not UTF-8: %q", name, s)
		case strings.Count(s, "@") != strings.Count(s, "@\u200b"):
			t.Errorf("%s mentions somebody:\n%s", name, s)
		}
		for _, u := range unwanted(s) {
			if v.Undo == "" || !strings.HasSuffix(u, " "+v.Undo) {
				t.Errorf("%s has %s:\n%s", name, u, s)
			}
		}
	}
	for _, c := range []forge.Check{Validate(v), Approval(v)} {
		if utf8.RuneCountInString(c.Title) > 200 || strings.ContainsAny(c.Title, "\r\n") || !utf8.ValidString(c.Title) {
			t.Errorf("title %q", c.Title)
		}
		for _, a := range c.Annotations {
			if a.Line < 1 || a.Path == "" || !utf8.ValidString(a.Path) || len(a.Message) > 4*(maxMessage+maxHint)+1 {
				t.Errorf("annotation %+v", a)
			}
		}
	}
}

func TestHostileTexts(t *testing.T) {
	t.Parallel()
	for i, s := range hostile {
		for _, state := range []State{Open, Closed, Merged} {
			for stage := range stages {
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
					if got := r.state(row, true); len(got) > maxState+3*30 && stage != 2 && stage != 4 || strings.Contains(got, "|") {
						t.Errorf("%d bytes: %s", len(got), got)
					}
				}
			}
		}
	}
}
