package command

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// What is right for every comment, whatever it says: it is held against the golden cases and by the fuzzer.

func TestProperties(t *testing.T) {
	t.Parallel()
	all(t, func(name, body string) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			properties(t, body)
		})
	})
}

func properties(t *testing.T, body string) {
	t.Helper()
	p := Parse(body)
	wellFormed(t, body, p)
	if diff := cmp.Diff(p, Parse(normal(body))); len(body) <= MaxBytes && len(normal(body)) <= MaxBytes && diff != "" {
		t.Errorf("the same comment with plain line ends differs: %s", diff)
	}
	silent(t, "quoted", quotedBody(body))
	silent(t, "fenced", fenced(body, "`"))
	silent(t, "fenced with tildes", fenced(body, "~"))
	silent(t, "indented", "    "+strings.ReplaceAll(normal(body), "\n", "\n    "))
	again(t, p)
}

// wellFormed holds what comes out to its bounds, and to what stands in the comment.
func wellFormed(t *testing.T, body string, p Parsed) {
	t.Helper()
	lines, last := strings.Split(normal(body), "\n"), 0
	if len(p.Commands) > MaxCommands || len(p.Unknown) > MaxCommands {
		t.Fatalf("%d commands, %d unknown", len(p.Commands), len(p.Unknown))
	}
	for _, c := range p.Commands {
		if c.Line <= last || c.Line > len(lines) {
			t.Fatalf("line %d after %d of %d", c.Line, last, len(lines))
		}
		last = c.Line
		line := strings.TrimLeft(lines[c.Line-1], " \t")
		if !strings.HasPrefix(strings.ToLower(line), "/"+string(c.Verb)) && (c.Block == nil || c.Block.Line != c.Line+1 || c.Verb != VerbPlan) {
			t.Errorf("line %d, %q, is no /%s", c.Line, line, c.Verb)
		}
		for _, a := range c.Args {
			if a == "" || utf8.RuneCountInString(a) > maxArgLen || !utf8.ValidString(a) || unseen(a) >= 0 {
				t.Errorf("argument %q", a)
			}
		}
		if c.Block != nil {
			last = c.Block.Line + strings.Count(c.Block.Text, "\n") - 1
			if c.Verb != VerbPlan || !p.CarriesPlan || len(c.Block.Text) > 0 && c.Block.Line > len(lines) {
				t.Errorf("the block of %+v", c)
			}
		}
	}
	for _, u := range p.Unknown {
		if strings.Trim(u.Word, "/\\") == "" || len(u.Word) > 450 || strings.IndexFunc(u.Word, func(c rune) bool { return c < ' ' || c > '~' }) >= 0 {
			t.Errorf("unknown %q", u.Word)
		}
	}
	told(t, p.Problems)
}

// told fails when a problem is not fit to be shown.
func told(t *testing.T, problems domain.Problems) {
	t.Helper()
	for _, p := range problems {
		if p.Code == "" || p.Severity == "" || p.Message == "" || p.Hint == "" {
			t.Errorf("a problem says too little: %+v", p)
		}
		if unseen(p.Message+p.Hint) >= 0 || strings.Contains(p.Message+p.Hint, "\n") || len(p.Message) > 1000 {
			t.Errorf("a problem cannot be shown: %+q", p)
		}
	}
}

func silent(t *testing.T, how, body string) {
	t.Helper()
	if len(body) > MaxBytes {
		return
	}
	if got := Parse(body); len(got.Commands)+len(got.Unknown)+len(got.Problems) > 0 || got.CarriesPlan {
		t.Errorf("%s, it is no longer silent: %+v\n%q", how, got, body)
	}
}

func quotedBody(body string) string {
	return "> " + strings.ReplaceAll(strings.TrimSuffix(normal(body), "\n"), "\n", "\n> ") + "\n"
}

func fenced(body, char string) string {
	fence := strings.Repeat(char, longest(normal(body), char)+3)
	return fence + "text\n" + strings.TrimSuffix(normal(body), "\n") + "\n" + fence + "\n"
}

// longest is the length of the longest run of a character.
func longest(s, char string) (n int) {
	for strings.Contains(s, strings.Repeat(char, n+1)) {
		n++
	}
	return n
}

// again writes what was understood as a comment of its own, which has to be understood the same.
func again(t *testing.T, p Parsed) {
	t.Helper()
	var b strings.Builder
	for _, c := range p.Commands {
		fmt.Fprintf(&b, "/%s", c.Verb)
		for _, a := range c.Args {
			if strings.Trim(a, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
				return // Markdown would read it another way
			}
			b.WriteString(" " + a)
		}
		b.WriteString("\n\n")
		if c.Block != nil {
			fence := strings.Repeat("~", longest(c.Block.Text, "~")+3)
			fmt.Fprintf(&b, "%s shepherd\n%s%s\n\n", fence, c.Block.Text, fence)
		}
	}
	if b.Len() > MaxBytes {
		return
	}
	got := Parse(b.String())
	if diff := cmp.Diff(withoutLines(p.Commands), withoutLines(got.Commands)); diff != "" {
		t.Errorf("written again as %q: %s", b.String(), diff)
	}
}

func withoutLines(commands []Command) (out []Command) {
	for _, c := range commands {
		c.Line = 0
		if c.Block != nil {
			c.Block = &Block{Text: c.Block.Text}
		}
		if len(c.Args) == 0 {
			c.Args = nil
		}
		out = append(out, c)
	}
	return out
}

func FuzzParse(f *testing.F) {
	all(f, func(_, body string) { f.Add(body) })
	f.Fuzz(func(t *testing.T, body string) {
		if len(body) > 4096 {
			return // the bounds of long comments have a test of their own
		}
		properties(t, body)
	})
}

func FuzzParsePlan(f *testing.F) {
	for _, s := range []string{
		"", "cluster: a", "cluster: a\nstorageClass: b\ntemplateVersion: 3\nmodifiedSpec: " + rawFlow + "reason: c\n",
		"reason: because\nmodifiedSpec:\n" + rawText, "vms:\n  prod-shop-shop-redis-01:\n    cluster: prod-east\n",
		"vms: {prod-shop-shop-web-02: {storageClass: slow}}", "a: &x b\nc: *x", "<<: {a: b}", "? modifiedSpec\n: size: a\nreason: b",
		"reason: x\n\"modifiedSpec\":\n" + rawText + "  disk: |\n   a\n\n  sshKeys:\n  - b\n", "modifiedSpec: {a: b}\nreason: >-\n  x\n  y\n", "- a", "{cluster: a, vms: {}}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, names := range []map[string]spec.Ref{one, two, nil} {
			plans, problems := ParsePlan(Block{Text: text}, names)
			told(t, problems)
			if problems.Blocking() != (len(plans) == 0) {
				t.Fatalf("%+v with %+v", plans, problems)
			}
			for name, p := range plans {
				wellPlanned(t, names[name], p)
			}
			for _, p := range problems {
				if p.Path != "" || p.Line < 0 || p.Line > 1+strings.Count(text, "\n") {
					t.Errorf("a problem outside of the block: %+v", p)
				}
			}
		}
	})
}

// wellPlanned holds a plan to what it promises.
func wellPlanned(t *testing.T, ref spec.Ref, p Plan) {
	t.Helper()
	if ref.Kind == "" || p.Line < 1 || p.Cluster+p.StorageClass == "" && p.TemplateVersion == 0 && p.Modified == nil {
		t.Fatalf("%+v for %+v", p, ref)
	}
	if p.Modified == nil {
		return
	}
	if p.Reason == "" || p.Modified.Ref != ref {
		t.Fatalf("%+v", p)
	}
	// The text alone says the same, but for a reason that it leaves out.
	doc, problems := spec.ParseModifiedSpec(ref, p.ModifiedRaw)
	if doc == nil && !strings.Contains(fmt.Sprint(problems), "reason is left out") {
		t.Fatalf("%q alone: %v", p.ModifiedRaw, problems)
	}
	if doc != nil && !spec.Equal(doc, p.Modified) {
		t.Fatalf("%q says %s, the plan %s", p.ModifiedRaw, spec.Canonical(doc), spec.Canonical(p.Modified))
	}
}
