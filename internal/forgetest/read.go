package forgetest

import (
	"slices"
	"time"
)

// Pull is a pull request of a server. Its methods read the state at the moment of the call.
type Pull struct {
	s *Server
	p *pull
}

// Comment is a comment as it stands.
type Comment struct {
	ID        int64
	Author    string
	Body      string
	Edits     int
	Reactions []string // in order, for example "eyes"
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Review is a review as it stands, with the state in GitHub's capitals.
type Review struct {
	ID          int64
	Author      string
	State       string
	Body        string
	CommitID    string
	SubmittedAt time.Time
}

// LineComment is a comment on lines of a file as it stands.
type LineComment struct {
	ID        int64
	Author    string
	Body      string
	Path      string
	StartLine int // the same as Line for a single line
	Line      int
	CommitID  string
}

// Check is a check run as it stands.
type Check struct {
	ID          int64
	Name        string
	App         string
	HeadSHA     string
	Status      string
	Conclusion  string
	Title       string
	Summary     string
	Text        string
	DetailsURL  string
	ExternalID  string
	Annotations []Annotation
	Actions     []CheckAction
	CompletedAt time.Time
}

// Status is a commit status as it stands.
type Status struct {
	Context     string
	State       string
	Description string
	TargetURL   string
	Creator     string
}

func (c *comment) snapshot() Comment {
	out := Comment{ID: c.id, Author: c.user.login, Body: c.body, Edits: c.edits, CreatedAt: c.createdAt, UpdatedAt: c.updatedAt}
	for _, r := range c.reactions {
		out.Reactions = append(out.Reactions, r.content)
	}
	return out
}

func (rv *review) snapshot() Review {
	return Review{ID: rv.id, Author: rv.user.login, State: rv.state, Body: rv.body, CommitID: rv.commitID, SubmittedAt: rv.submittedAt}
}

func (run *checkRun) snapshot() Check {
	text := func(p *string) string {
		if p == nil {
			return ""
		}
		return *p
	}
	return Check{
		ID: run.id, Name: run.name, App: run.suite.app.slug, HeadSHA: run.suite.headSHA, Status: run.status,
		Conclusion: run.conclusion, Title: text(run.title), Summary: text(run.summary), Text: text(run.text),
		DetailsURL: run.detailsURL, ExternalID: run.externalID, Annotations: slices.Clone(run.annotations),
		Actions: slices.Clone(run.actions), CompletedAt: run.completedAt,
	}
}

func (st *commitStatus) snapshot() Status {
	return Status{Context: st.context, State: st.state, Description: st.description, TargetURL: st.targetURL, Creator: st.user.login}
}

// Pull finds a pull request by number, nil if there is none.
func (r *Repository) Pull(number int) *Pull {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if p := r.r.pull(number); p != nil {
		return &Pull{s: r.s, p: p}
	}
	return nil
}

// Pulls lists all pull requests by rising number.
func (r *Repository) Pulls() []*Pull {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	var out []*Pull
	for _, p := range r.r.pulls() {
		out = append(out, &Pull{s: r.s, p: p})
	}
	slices.Reverse(out)
	return out
}

// ChecksOn lists the latest check run of each name on a commit.
func (r *Repository) ChecksOn(sha string) []Check {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	var out []Check
	for _, run := range slices.Backward(latestRuns(r.r.runsBySHA[sha])) {
		out = append(out, run.snapshot())
	}
	return out
}

func read[T any](p *Pull, f func(*pull) T) T {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	return f(p.p)
}

// Number is the pull request's number.
func (p *Pull) Number() int { return p.p.number }

// ID is the pull request's numeric id.
func (p *Pull) ID() int64 { return p.p.pullID }

// Title is the current title.
func (p *Pull) Title() string { return read(p, func(p *pull) string { return p.title }) }

// Body is the current description.
func (p *Pull) Body() string { return read(p, func(p *pull) string { return p.body }) }

// State is open or closed.
func (p *Pull) State() string { return read(p, func(p *pull) string { return p.state }) }

// Merged tells whether the pull request was merged.
func (p *Pull) Merged() bool { return read(p, func(p *pull) bool { return p.merged }) }

// Draft tells whether the pull request is a draft.
func (p *Pull) Draft() bool { return read(p, func(p *pull) bool { return p.draft }) }

// HeadSHA is the head commit.
func (p *Pull) HeadSHA() string { return read(p, func(p *pull) string { return p.headSHA }) }

// HeadRef is the head branch.
func (p *Pull) HeadRef() string { return read(p, func(p *pull) string { return p.headRef }) }

// BaseRef is the branch to merge into.
func (p *Pull) BaseRef() string { return read(p, func(p *pull) string { return p.baseRef }) }

// MergeCommitSHA is what the merge made, "" before.
func (p *Pull) MergeCommitSHA() string { return read(p, func(p *pull) string { return p.mergeCommit }) }

// URL is the page of the pull request.
func (p *Pull) URL() string { return read(p, func(x *pull) string { return p.s.issueURL(x.issue) }) }

// Mergeable is GitHub's mergeable_state: clean, dirty, blocked, behind, unstable or draft.
func (p *Pull) Mergeable() string {
	return read(p, func(x *pull) string {
		state, _ := p.s.mergeableState(x)
		return state
	})
}

// Blockers lists what branch protection still asks for.
func (p *Pull) Blockers() []string { return read(p, func(x *pull) []string { return p.s.unmet(x) }) }

// Comments lists the comments, oldest first.
func (p *Pull) Comments() []Comment {
	return read(p, func(p *pull) []Comment {
		var out []Comment
		for _, c := range p.comments {
			out = append(out, c.snapshot())
		}
		return out
	})
}

// LineComments lists the comments on lines, oldest first.
func (p *Pull) LineComments() []LineComment {
	return read(p, func(p *pull) []LineComment {
		var out []LineComment
		for _, c := range p.reviewComments {
			start := c.startLine
			if start == 0 {
				start = c.line
			}
			out = append(out, LineComment{ID: c.id, Author: c.user.login, Body: c.body, Path: c.path, StartLine: start, Line: c.line, CommitID: c.commitID})
		}
		return out
	})
}

// CommentsBy lists one account's comments, oldest first.
func (p *Pull) CommentsBy(login string) []Comment {
	return slices.DeleteFunc(p.Comments(), func(c Comment) bool { return c.Author != login })
}

// Reviews lists the submitted reviews, oldest first.
func (p *Pull) Reviews() []Review {
	return read(p, func(p *pull) []Review {
		var out []Review
		for _, rv := range p.reviews {
			if rv.state != "PENDING" {
				out = append(out, rv.snapshot())
			}
		}
		return out
	})
}

// Checks lists the latest check run of each name on the head.
func (p *Pull) Checks() []Check {
	return (&Repository{s: p.s, r: p.p.repo}).ChecksOn(p.HeadSHA())
}

// Check finds the latest check run of a name on the head.
func (p *Pull) Check(name string) (Check, bool) {
	checks := p.Checks()
	i := slices.IndexFunc(checks, func(c Check) bool { return c.Name == name })
	if i < 0 {
		return Check{}, false
	}
	return checks[i], true
}

// Statuses lists the latest commit status of each context on the head.
func (p *Pull) Statuses() []Status {
	return read(p, func(p *pull) []Status {
		var out []Status
		for _, st := range slices.Backward(latestStatuses(p.repo.statuses[p.headSHA])) {
			out = append(out, st.snapshot())
		}
		return out
	})
}

// Labels lists the names of the labels.
func (p *Pull) Labels() []string {
	return read(p, func(p *pull) []string {
		var out []string
		for _, l := range p.labels {
			out = append(out, l.name)
		}
		return out
	})
}

// RequestedReviewers lists the logins that are asked for a review.
func (p *Pull) RequestedReviewers() []string {
	return read(p, func(p *pull) []string {
		var out []string
		for _, u := range p.requested {
			out = append(out, u.login)
		}
		return out
	})
}

// RequestedTeams lists the slugs of the teams that are asked for a review.
func (p *Pull) RequestedTeams() []string {
	return read(p, func(p *pull) []string {
		var out []string
		for _, t := range p.requestedTeams {
			out = append(out, t.slug)
		}
		return out
	})
}
