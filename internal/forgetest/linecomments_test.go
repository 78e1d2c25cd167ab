package forgetest_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// A comment on lines must be on what the pull request's diff shows, as GitHub has it.
func TestLineComments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var text strings.Builder
	for i := 1; i <= 30; i++ {
		fmt.Fprintf(&text, "line %d\n", i)
	}
	w.commit(w.root, "main", "vm.yaml", text.String())
	edited := strings.NewReplacer("line 10\n", "line ten\nline ten and a half\n", "line 25\n", "line twenty-five\n").Replace(text.String())
	w.commit(w.alice, "redis", "vm.yaml", edited)
	p := must[*forgetest.Pull](t)(w.alice.OpenPull(w.repo, "redis", "redis", "main", "", false))
	c := w.as(w.bob).PullRequests
	post := func(change ...func(*github.PullRequestComment)) error {
		in := &github.PullRequestComment{Body: github.String("why?"), Path: github.String("vm.yaml"), CommitID: github.String(p.HeadSHA()), Line: github.Int(11)}
		for _, f := range change {
			f(in)
		}
		_, _, err := c.CreateComment(t.Context(), "acme", "vms", 1, in)
		return err
	}
	at := func(start, end int) func(*github.PullRequestComment) {
		return func(in *github.PullRequestComment) {
			in.Line = &end
			if start != 0 {
				in.StartLine, in.StartSide, in.Side = &start, github.String("RIGHT"), github.String("RIGHT")
			}
		}
	}
	for _, tc := range []struct {
		change func(*github.PullRequestComment)
		text   string
	}{
		{at(0, 6), "line must be part of the diff"},
		{at(0, 31), "line must be part of the diff"},
		{at(0, 0), "line must be part of the diff"},
		{at(2, 10), "start_line must be part of the diff"},
		{at(12, 11), "start_line must precede"},
		{at(11, 26), "same hunk"},
		{func(in *github.PullRequestComment) { in.Path = github.String("README.md") }, "path is invalid"},
		{func(in *github.PullRequestComment) { in.CommitID = github.String(w.repo.Head("main")) }, "commit_id is not part"},
	} {
		wantStatus(t, post(tc.change), 422, tc.text)
	}
	left := func(in *github.PullRequestComment) { in.Side, in.Line = github.String("LEFT"), github.Int(25) }
	position := func(in *github.PullRequestComment) { in.Line, in.Position = nil, github.Int(6) }
	do(t, post(), post(at(10, 12)), post(left), post(position), w.bob.CommentLine(p, "vm.yaml", 26, "here too"))
	wantRefusal(t, w.bob.CommentLine(p, "vm.yaml", 1, "there"), 422, "part of the diff")
	one := forgetest.LineComment{Author: "bob", Body: "why?", Path: "vm.yaml", StartLine: 11, Line: 11, CommitID: p.HeadSHA()}
	three, before, last := one, one, one
	three.StartLine, three.Line = 10, 12
	before.StartLine, before.Line = 25, 25
	last.StartLine, last.Line, last.Body = 26, 26, "here too"
	if diff := cmp.Diff([]forgetest.LineComment{one, three, before, one, last}, p.LineComments(), cmpopts.IgnoreFields(one, "ID")); diff != "" {
		t.Errorf("comments (-want +got):\n%s", diff)
	}
	list := got[[]*github.PullRequestComment](t)(c.ListComments(t.Context(), "acme", "vms", 1, nil))
	if list[1].GetStartLine() != 10 || list[1].GetLine() != 12 || list[0].StartLine != nil {
		t.Errorf("listed %v", list)
	}
}
