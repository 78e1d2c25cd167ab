package approval

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write the outcomes of the cases in testdata/weigh anew")

// designSentences are those of the design that Weigh decides: of the table "Reviews become decisions", of the paragraph
// "An approval counts only if all hold", and of what is said of plans in reviews. Each has a case in testdata/weigh.
var designSentences = []string{
	"approving review: accepts the plan last published before it",
	"approving review: APPROVED when enough accept the same plan",
	`"request changes" by anyone with the approve permission: REJECTED with the review's text`,
	"it stays a veto on those VMs in this pull request",
	"a veto until that person approves",
	"a veto until that person withdraws",
	"a veto until a platform administrator dismisses it",
	"a platform administrator who is no contributor",
	"review withdrawn: back to PENDING_APPROVAL",
	"review dismissed by a person: back to PENDING_APPROVAL",
	"dismissed by the forge itself on a push: no decision, content decides",
	"push that does not move the digest (rebase, update of the branch, other files): approvals stand",
	"policy now asks for more: back to PENDING_APPROVAL",
	"role or environment lost: back to PENDING_APPROVAL",
	"reopened or retargeted: decisions from before do not count",
	"it was submitted after the plan was published, by the forge's own clock",
	"plus a configurable grace, 10 s by default",
	"on the head that the plan describes",
	"or one with the same digests",
	"the commit as delivered in the signed webhook, or as our push log shows for that moment",
	"the reviewer is a person",
	"who may approve this operation in this environment now",
	"it is their latest decision",
	"not the pull request's author",
	"nor a pusher of a generation in which its digest moved",
	"nor the author or committer of a commit that did",
	"a co-author trailer disqualifies",
	"a commit that cannot be attributed belongs to its pusher",
	"with an unknown pusher nothing counts",
	"reviews of a mixed pull request count for the environments the reviewer may decide",
	"a block in an approving review counts as no approval",
}

func startKeys(t *testing.T) map[string]any {
	t.Helper()
	start, err := txtar.ParseFile("testdata/weigh/start.txt")
	if err != nil {
		t.Fatal(err)
	}
	keys := map[string]any{}
	if err := yaml.UnmarshalStrict(start.Files[0].Data, &keys); err != nil {
		t.Fatal(err)
	}
	return keys
}

// TestWeighGolden weighs every case of testdata/weigh, and looks whether a sentence of the design has none.
func TestWeighGolden(t *testing.T) {
	t.Parallel()
	paths, err := filepath.Glob("testdata/weigh/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	start, left := startKeys(t), slices.Clone(designSentences)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		archive := txtar.Parse(data)
		sentence, _, _ := strings.Cut(string(archive.Comment), "\n")
		left = slices.DeleteFunc(left, func(s string) bool { return s == sentence })
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			t.Parallel()
			want, err := weighed(start, archive)
			if err != nil {
				t.Fatal(err)
			}
			got := txtar.Format(want)
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			} else if diff := cmp.Diff(string(data), string(got)); diff != "" {
				t.Errorf("%s (-want +got), rewrite with -update:\n%s", path, diff)
			}
		})
	}
	if len(left) > 0 {
		t.Errorf("no case in testdata/weigh for:\n%s", strings.Join(left, "\n"))
	}
}

// TestWeighCaseRefused spoils a case in one place each: none of them may pass for a case.
func TestWeighCaseRefused(t *testing.T) {
	t.Parallel()
	const good = "it is their latest decision\n\nAlice thinks again.\n-- case.yaml --\nreviews:\n- {by: alice, says: approve, at: +1m, commit: head1}\n" +
		"-- twin/case.yaml --\nreviews:\n- {by: alice, says: comment, at: +1m, commit: head1}\n"
	start := startKeys(t)
	if _, err := weighed(start, txtar.Parse([]byte(good))); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ name, old, new, want string }{
		{"no sentence of the design", "their latest", "somebody's", "sentence of the design"},
		{"no prose", "Alice thinks again.\n", "", "line of prose"},
		{"an unknown section", "twin/case.yaml", "twin/reviews.yaml", "no such section"},
		{"no counterpart", "twin/case.yaml", "case.yaml", "it needs case.yaml and twin/case.yaml"},
		{"an unknown key", "-- case.yaml --\n", "-- case.yaml --\nrequires: 2\n", `unknown field "requires"`},
		{"a key twice", "-- case.yaml --\n", "-- case.yaml --\nreviews: []\n", "already set"},
		{"an unknown key of a review", "says: approve", "say: approve", `unknown field "say"`},
		{"an unknown word", "says: approve", "says: approved", "review 1: it needs"},
		{"no moment", ", at: +1m", "", "review 1: it needs"},
		{"no commit", "commit: head1", "commit: ''", "review 1: it needs"},
		{"not a duration", "+1m", "+1 minute", "unknown unit"},
		{"somebody unknown", "by: alice", "by: malice", `"malice" is not among the people`},
		{"no reason", "-- case.yaml --\n", "-- case.yaml --\nmayApprove: []\n", "alice is neither in mayApprove nor in whyNot"},
		{"two keys", "-- twin/case.yaml --\n", "-- twin/case.yaml --\nrequired: 1\n", "sets 2 keys"},
		{"two points", "says: comment, at: +1m", "says: comment, at: +2m", "differ in 2 keys"},
		{"the same", "says: comment", "says: approve", "differ in 0 keys"},
		{"another number of reviews", "- {by: alice, says: comment", "- {by: bob, says: comment, at: +1m, commit: head1}\n- {by: alice, says: comment", "another number"},
		{"a point that decides nothing", "at: +1m, commit: head1}\n-- twin/case.yaml --\nreviews:\n- {by: alice, says: comment", "at: +2m, commit: head1}\n-- twin/case.yaml --\nreviews:\n- {by: alice, says: approve", "both APPROVED"},
	} {
		text := strings.Replace(good, tt.old, tt.new, 1)
		if text == good {
			t.Errorf("%s: nothing was spoilt", tt.name)
		}
		if _, err := weighed(start, txtar.Parse([]byte(text))); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
}

func made(who Reviewer, how string) func(*Case) {
	return func(c *Case) { c.Contributors = map[int64]string{who.ID: how} }
}

// Who lifts a veto is asked only about a veto that somebody known took back.
func TestWeighLifted(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*Case)
		review Review
		want   bool
	}{
		{"it stands", nil, refuses(1, bob), false},
		{"said to be dismissed by somebody, but not withdrawn", nil, refuses(1, bob, func(r *Review) { r.WithdrawnBy = root }), false},
		{"withdrawn by nobody known", nil, refuses(1, bob, withdrawn), false},
		{"withdrawn by a login without an id", nil, refuses(1, bob, dismissedBy(Reviewer{Login: "bob"})), false},
		{"withdrawn by its author", nil, refuses(1, bob, dismissedBy(bob)), true},
		{"withdrawn by its author under another login", nil, refuses(1, bob, dismissedBy(Reviewer{ID: bob.ID, Login: "robert"})), true},
		{"withdrawn by its author, who contributed", made(bob, "pusher"), refuses(1, bob, dismissedBy(bob)), true},
		{"withdrawn by its author, with an unknown pusher", func(c *Case) { c.Unattributed = "?" }, refuses(1, bob, dismissedBy(bob)), true},
		{"by an administrator", nil, refuses(1, bob, dismissedBy(root)), true},
		{"by an administrator who contributed", made(root, "author"), refuses(1, bob, dismissedBy(root)), false},
		{"by an administrator, with an unknown pusher", func(c *Case) { c.Unattributed = "?" }, refuses(1, bob, dismissedBy(root)), false},
		{"by an approver", nil, refuses(1, bob, dismissedBy(alice)), false},
		{"by the author of the pull request", made(ada, "author"), refuses(1, bob, dismissedBy(ada)), false},
		{"by somebody of the same login", nil, refuses(1, bob, dismissedBy(Reviewer{ID: 77, Login: "bob"})), false},
		{"by a bot", nil, refuses(1, bob, dismissedBy(eve)), false},
	} {
		c := onePlan()
		if tt.change != nil {
			tt.change(&c)
		}
		if got := c.Lifted(tt.review); got != tt.want {
			t.Errorf("%s: got %v", tt.name, got)
		}
	}
}
