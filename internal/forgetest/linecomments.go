package forgetest

import (
	"slices"
	"strconv"
	"strings"
)

// newReviewComment is what a comment on lines takes: a line of a side, or a position in the file's diff.
type newReviewComment struct {
	Path      string `json:"path"`
	Body      string `json:"body"`
	StartLine int    `json:"start_line"`
	StartSide string `json:"start_side"`
	Line      int    `json:"line"`
	Position  int    `json:"position"`
	Side      string `json:"side"`
	CommitID  string `json:"commit_id"`
	InReplyTo int64  `json:"in_reply_to"`
}

// patchLine is a line of a file's diff: its number on either side, 0 where it is not, and the hunk that it is in.
type patchLine struct{ hunk, left, right int }

func (l patchLine) at(side string) int {
	if side == "LEFT" {
		return l.left
	}
	return l.right
}

// patchLines reads a patch. Positions count its lines below the first hunk's head, and the heads of later hunks too.
func patchLines(patch string) []patchLine {
	var out []patchLine
	var hunk, left, right int
	for line := range strings.SplitSeq(patch, "\n") {
		var l patchLine
		switch {
		case strings.HasPrefix(line, "@@ "):
			hunk++
			left, right = hunkStart(line)
		case strings.HasPrefix(line, "-"):
			l = patchLine{hunk: hunk, left: left}
			left++
		case strings.HasPrefix(line, "+"):
			l = patchLine{hunk: hunk, right: right}
			right++
		case strings.HasPrefix(line, " "):
			l = patchLine{hunk: hunk, left: left, right: right}
			left, right = left+1, right+1
		}
		out = append(out, l)
	}
	return out
}

// hunkStart reads the first lines of "@@ -1,2 +3,4 @@".
func hunkStart(head string) (left, right int) {
	number := func(s string) int {
		s, _, _ = strings.Cut(s[1:], ",")
		n, _ := strconv.Atoi(s) //nolint:errcheck // git wrote it
		return n
	}
	fields := strings.Fields(head)
	return number(fields[1]), number(fields[2])
}

func lineError(field, why string) error {
	field = "pull_request_review_thread." + field
	return invalid("PullRequestReviewComment", field, "custom", field+" "+why)
}

// checkLines refuses a comment on lines that the pull request's diff, up to the commit, does not show. It fills in the
// side, and the line that a position means.
func (s *Server) checkLines(p *pull, commitID string, in *newReviewComment) error {
	if in.Side == "" {
		in.Side = "RIGHT"
	}
	base := s.pullBase(p)
	shas, err := s.commitsBetween(p.repo, base, p.headSHA)
	if err != nil {
		return err
	}
	if !slices.Contains(shas, commitID) {
		return lineError("commit_id", "is not part of the pull request")
	}
	files, err := s.diffFiles(p.repo, base, commitID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(files, func(f fileChange) bool { return f.path == in.Path })
	if i < 0 {
		return lineError("path", "is invalid")
	}
	lines := patchLines(files[i].patch)
	if in.Line == 0 && in.Position > 0 && in.Position < len(lines) {
		in.Line = max(lines[in.Position].right, lines[in.Position].left)
	}
	end := slices.IndexFunc(lines, func(l patchLine) bool { return in.Line > 0 && l.at(in.Side) == in.Line })
	if end < 0 {
		return lineError("line", "must be part of the diff")
	}
	if in.StartLine == 0 {
		return nil
	}
	side := in.StartSide
	if side == "" {
		side = in.Side
	}
	start := slices.IndexFunc(lines, func(l patchLine) bool { return l.at(side) == in.StartLine })
	switch {
	case start < 0:
		return lineError("start_line", "must be part of the diff")
	case lines[start].hunk != lines[end].hunk:
		return lineError("start_line", "must be part of the same hunk as the line.")
	case start >= end:
		return lineError("start_line", "must precede the end line.")
	}
	return nil
}

func (s *Server) addReviewComment(who *actor, rv *review, in newReviewComment) *reviewComment {
	now := s.now()
	c := &reviewComment{
		id: s.nextID(), pull: rv.pull, review: rv, user: who.user, body: in.Body, path: in.Path, startLine: in.StartLine,
		line: in.Line, side: in.Side, commitID: rv.commitID, inReplyTo: in.InReplyTo, createdAt: now, updatedAt: now,
	}
	rv.pull.reviewComments = append(rv.pull.reviewComments, c)
	return c
}

func listReviewComments(c *call) (reply, error) {
	p, err := c.pull()
	if err != nil {
		return reply{}, err
	}
	return page(c, p.reviewComments, c.s.reviewCommentView)
}

func listCommentsOfReview(c *call) (reply, error) {
	rv, err := c.review()
	if err != nil {
		return reply{}, err
	}
	of := slices.DeleteFunc(slices.Clone(rv.pull.reviewComments), func(rc *reviewComment) bool { return rc.review != rv })
	return page(c, of, c.s.reviewCommentView)
}

// postReviewComment makes a single comment on a line, which GitHub wraps in a review of its own.
func postReviewComment(c *call) (reply, error) {
	p, err := c.pull()
	if err != nil {
		return reply{}, err
	}
	var in newReviewComment
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if in.Body == "" || in.Path == "" && in.InReplyTo == 0 {
		return reply{}, invalid("PullRequestReviewComment", "path", "missing_field", "")
	}
	rc, err := c.s.commentOnLine(c.actor, p, in)
	if err != nil {
		return reply{}, err
	}
	return created(c.s.reviewCommentView(rc))
}

func (s *Server) commentOnLine(who *actor, p *pull, in newReviewComment) (*reviewComment, error) {
	for _, old := range p.reviewComments {
		if old.id == in.InReplyTo {
			in.Path, in.StartLine, in.Line, in.Side, in.CommitID = old.path, old.startLine, old.line, old.side, old.commitID
		}
	}
	_, err := s.createReview(who, p, newReview{CommitID: in.CommitID, Event: "COMMENT", Comments: []newReviewComment{in}})
	if err != nil {
		return nil, err
	}
	return p.reviewComments[len(p.reviewComments)-1], nil
}
