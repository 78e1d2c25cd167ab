package command

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/domain"
)

func TestLongComments(t *testing.T) {
	t.Parallel()
	command := "/hold\n\n"
	if got := Parse(command + strings.Repeat("x", MaxBytes-len(command))); len(got.Commands) != 1 || len(got.Problems) != 0 {
		t.Errorf("at the limit: %+v", got.Commands)
	}
	got := Parse(command + strings.Repeat("x", MaxBytes-len(command)+1))
	if len(got.Commands) != 0 || len(got.Problems) != 1 || got.Problems[0].Code != domain.BatchTooLarge || !got.CarriesPlan {
		t.Errorf("beyond the limit: %+v", got)
	}
}

func TestTenCommands(t *testing.T) {
	t.Parallel()
	if got := Parse(strings.Repeat("/help\n", MaxCommands)); len(got.Commands) != MaxCommands || got.Problems != nil {
		t.Errorf("%+v", got)
	}
	// Too many commands are not carried out, but a plan among them still makes an approval none.
	if got := Parse(strings.Repeat("/help\n", MaxCommands) + "```shepherd\n```"); len(got.Commands) != 0 || !got.CarriesPlan {
		t.Errorf("%+v", got)
	}
	if got := Parse(strings.Repeat("/holp\n", 100)); len(got.Unknown) != MaxCommands {
		t.Errorf("%d unknown words", len(got.Unknown))
	}
	if got := Parse(strings.Repeat("- ```shepherd\n", 100)); len(got.Problems) != MaxCommands || !got.CarriesPlan {
		t.Errorf("%d problems", len(got.Problems))
	}
}

func TestArgumentsAreBounded(t *testing.T) {
	t.Parallel()
	got := Parse("/hold " + strings.Repeat("ü", 101) + strings.Repeat(" x", 100))
	if len(got.Commands) != 1 || len(got.Commands[0].Args) != maxArgs || got.Commands[0].Args[0] != strings.Repeat("ü", 100) {
		t.Errorf("%+v", got)
	}
	if got := Parse("/hold a\u202eb \x1b[2Jc"); !cmp.Equal(got.Commands[0].Args, []string{"a\uFFFDb", "\uFFFD[2Jc"}) {
		t.Errorf("%+v", got)
	}
}

func TestCarriesPlan(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		"LGTM":                           false,
		"/plan":                          false,
		"> ```shepherd\n> cluster: a\n":  false,
		"no ```shepherd block here```":   false,
		"```yaml\ncluster: a\n```":       false,
		"```shepherd\ncluster: a\n```":   true,
		"ok\n```SHEPHERD\n":              true,
		"~~~  shepherd x\n~~~":           true,
		"```shepherd\tx\n```":            true,
		"- ```shepherd\n  cluster: a\n":  true,
		"```shephred\ncluster: a\n```":   true,
		"<div>\n```shepherd\n```\n":      true,
		"<!-- ```shepherd\n```\n -->":    false,
		"<pre>~~~shepherd\n~~~\n</pre>x": true,
	} {
		if got := CarriesPlan(text); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestNearMisses(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]Verb{
		"/plna": VerbPlan, "/lpan": VerbPlan, "/pan": VerbPlan, "/plann": VerbPlan, "/pl@n": VerbPlan,
		"/unhodl": VerbUnhold, "/rety": VerbRetry, "/xhelp": VerbHelp, "/PLNA": VerbPlan, "/\xffhelp": VerbHelp,
		"/plan/": "", "/nalp": "", "/": "", "/x": "", "plan": "", "/lgtm": "", "/" + strings.Repeat("x", 70000): "",
	} {
		got := ""
		if verb, known, near := lookUp(word); near && !known {
			got = string(verb)
		}
		if word != "plan" && got != string(want) {
			t.Errorf("%.20q: %q, want %q", word, got, want)
		}
	}
}

func TestParseConfirm(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"0a1b2c3d":                           " 0a1b2c3d ",
		"0A1B2C3D":                           " 0a1b2c3d ",
		"prod-shop-shop-redis-01 0a1b2c3d":   "prod-shop-shop-redis-01 0a1b2c3d ",
		"Prod-Shop 0a1b2c3d":                 "Prod-Shop 0a1b2c3d ", // whether the name is exact is compared elsewhere
		"0a1b2c3d 0a1b2c3d":                  "0a1b2c3d 0a1b2c3d ",
		"":                                   "  /confirm does not say what is confirmed",
		"prod-shop-shop-redis-01":            `  the digest is missing: "prod-shop-shop-redis-01" is not one`,
		"0a1b2c3":                            `  the digest is missing: "0a1b2c3" is not one`,
		"0a1b2c3d4":                          `  the digest is missing: "0a1b2c3d4" is not one`,
		"0a1b2c3g":                           `  the digest is missing: "0a1b2c3g" is not one`,
		"0a1b2c3d prod-shop-shop-redis-01":   "  the name comes first and the digest after it",
		"prod-shop-shop-redis-01 0a1b2c":     `  "0a1b2c" is not a digest`,
		"prod shop 0a1b2c3d":                 "  /confirm takes a digest, or a name and a digest, and nothing more",
		"prod-shop-shop-redis-01 ０a1b2c3d":   `  "０a1b2c3d" is not a digest`,
		"prod-shop-shop-redis-01 0a1b2c3d x": "  /confirm takes a digest, or a name and a digest, and nothing more",
	} {
		name, digest, problem := ParseConfirm(strings.Fields(args))
		message := ""
		if problem != nil {
			message = problem.Message
			if problem.Code != domain.DeleteConfirmationRequired || problem.Severity != domain.Error || !strings.Contains(problem.Hint, "/confirm <name> <digest>") {
				t.Errorf("%q: %+v", args, problem)
			}
		}
		if got := fmt.Sprintf("%s %s %s", name, digest, message); got != want {
			t.Errorf("%q: got %q, want %q", args, got, want)
		}
	}
}

func TestDroppedFields(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		accepted, modified string
		want               []string
	}{
		{`{"a":1,"b":{"c":2},"d":[]}`, `{"b":{}}`, []string{"a", "d"}},
		{`{"a":1}`, `{"a":null,"b":2}`, nil},
		{`{"b":1,"a":1}`, `null`, []string{"a", "b"}},
		{`{"b":1}`, ``, []string{"b"}},
		{`null`, `{"a":1}`, nil},
		{``, ``, nil},
		{`[1]`, `{"a":1}`, nil},
	} {
		if diff := cmp.Diff(tt.want, DroppedFields(json.RawMessage(tt.accepted), json.RawMessage(tt.modified))); diff != "" {
			t.Errorf("%s → %s: %s", tt.accepted, tt.modified, diff)
		}
	}
}

// Comments made to keep a parser busy cost a bounded time: a second or so on a quiet computer. The test allows
// for a busy one; what grows faster than the square of the length would take hours.
func TestHostileCommentsAreBounded(t *testing.T) {
	t.Parallel()
	for _, piece := range []string{
		"> ", ">", "[a](", "_a*", "a_b_", "[", "<", "<b>", "</s>", "<s>", "- ", "1. ", "`", "*a_ ", "/hold <!--", "/plan\n```shepherd\n", "- ```shepherd\n", "&", "\\", "![", "|", "<!--\n",
	} {
		before := time.Now()
		got := Parse("/hold\n\n" + strings.Repeat(piece, (MaxBytes-10)/len(piece)))
		if took := time.Since(before); took > time.Minute {
			t.Errorf("%q took %s", piece, took)
		}
		if len(got.Commands) > MaxCommands {
			t.Errorf("%q: %d commands", piece, len(got.Commands))
		}
	}
}
