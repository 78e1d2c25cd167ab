package forgetest

import (
	"fmt"
	"net/http"
	"slices"
)

// on runs an operation of a person on a pull request, under the lock and with read permission.
func (u *User) on(p *Pull, f func(who *actor) error) error {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	who := u.actor()
	if err := who.can(p.p.repo, "read", ""); err != nil {
		return err
	}
	return f(who)
}

func (u *User) review(p *Pull, in newReview) (Review, error) {
	var out Review
	err := u.on(p, func(who *actor) error {
		if p.p.state != "open" && in.Event != "COMMENT" {
			return refuse(http.StatusUnprocessableEntity, "the page of a closed pull request offers comments only")
		}
		rv, err := u.s.createReview(who, p.p, in)
		if err != nil {
			return err
		}
		out = rv.snapshot()
		return nil
	})
	return out, err
}

// Approve submits an approving review of the current head. On a closed pull request GitHub's page does not offer
// it; only REST takes one there.
func (u *User) Approve(p *Pull) (Review, error) { return u.review(p, newReview{Event: "APPROVE"}) }

// ApproveWith is Approve with a text.
func (u *User) ApproveWith(p *Pull, text string) (Review, error) {
	return u.review(p, newReview{Event: "APPROVE", Body: text})
}

// RequestChanges submits a review that asks for changes.
func (u *User) RequestChanges(p *Pull, text string) (Review, error) {
	return u.review(p, newReview{Event: "REQUEST_CHANGES", Body: text})
}

// ReviewComment submits a review that only comments.
func (u *User) ReviewComment(p *Pull, text string) (Review, error) {
	return u.review(p, newReview{Event: "COMMENT", Body: text})
}

// CommentLine comments on a line of a file.
func (u *User) CommentLine(p *Pull, path string, line int, text string) error {
	return u.on(p, func(who *actor) error {
		_, err := u.s.commentOnLine(who, p.p, newReviewComment{Path: path, Line: line, Body: text})
		return err
	})
}

// EditReview changes the text of an own review.
func (u *User) EditReview(p *Pull, id int64, text string) error {
	return u.onReview(p, id, func(who *actor, rv *review) error { return u.s.editReview(who, rv, text) })
}

// DismissReview dismisses somebody's review.
func (u *User) DismissReview(p *Pull, id int64, reason string) error {
	return u.onReview(p, id, func(who *actor, rv *review) error { return u.s.dismissReview(who, rv, reason) })
}

func (u *User) onReview(p *Pull, id int64, f func(*actor, *review) error) error {
	return u.on(p, func(who *actor) error {
		i := slices.IndexFunc(p.p.reviews, func(rv *review) bool { return rv.id == id })
		if i < 0 {
			return notFound()
		}
		return f(who, p.p.reviews[i])
	})
}

// Comment writes a comment on the pull request.
func (u *User) Comment(p *Pull, text string) (Comment, error) {
	var out Comment
	err := u.on(p, func(who *actor) error {
		c, err := u.s.createComment(who, p.p.issue, text)
		if err == nil {
			out = c.snapshot()
		}
		return err
	})
	return out, err
}

// EditComment changes a comment: one's own, or with write access anybody's.
func (u *User) EditComment(p *Pull, id int64, text string) error {
	return u.onComment(p, id, func(who *actor, c *comment) error { return u.s.editComment(who, c, text) })
}

// DeleteComment deletes a comment: one's own, or with write access anybody's.
func (u *User) DeleteComment(p *Pull, id int64) error {
	return u.onComment(p, id, u.s.deleteComment)
}

func (u *User) onComment(p *Pull, id int64, f func(*actor, *comment) error) error {
	return u.on(p, func(who *actor) error {
		c := p.p.repo.comments[id]
		if c == nil || c.issue != p.p.issue {
			return notFound()
		}
		return f(who, c)
	})
}

// Close closes the pull request without merging it.
func (u *User) Close(p *Pull) error { return u.edit(p, pullEdit{State: ref("closed")}) }

// Reopen opens a closed pull request again.
func (u *User) Reopen(p *Pull) error { return u.edit(p, pullEdit{State: ref("open")}) }

// Retarget changes the branch that the pull request is to be merged into.
func (u *User) Retarget(p *Pull, base string) error { return u.edit(p, pullEdit{Base: &base}) }

// EditPull changes title and body.
func (u *User) EditPull(p *Pull, title, body string) error {
	return u.edit(p, pullEdit{Title: &title, Body: &body})
}

func (u *User) edit(p *Pull, in pullEdit) error {
	return u.on(p, func(who *actor) error { return u.s.editPull(who, p.p, in) })
}

func ref[T any](v T) *T { return &v }

// MarkReady ends a pull request's being a draft.
func (u *User) MarkReady(p *Pull) error {
	return u.on(p, func(who *actor) error { return u.s.setDraft(who, p.p, false) })
}

// MarkDraft makes the pull request a draft.
func (u *User) MarkDraft(p *Pull) error {
	return u.on(p, func(who *actor) error { return u.s.setDraft(who, p.p, true) })
}

// RequestReview asks people for a review.
func (u *User) RequestReview(p *Pull, people ...*User) error {
	return u.on(p, func(who *actor) error {
		if err := who.can(p.p.repo, "triage", ""); err != nil && who.user != p.p.author {
			return err
		}
		var logins []string
		for _, x := range people {
			logins = append(logins, x.a.login)
		}
		return u.s.requestReviewers(who, p.p, logins, nil)
	})
}

// AddLabel puts a label on the pull request.
func (u *User) AddLabel(p *Pull, name string) error {
	return u.on(p, func(who *actor) error {
		if err := who.can(p.p.repo, "triage", ""); err != nil {
			return err
		}
		l := u.s.labelNamed(p.p.repo, name)
		if !slices.Contains(p.p.labels, l) {
			p.p.labels = append(p.p.labels, l)
			u.s.emitLabel(who, p.p.issue, l, "labeled")
		}
		return nil
	})
}

// Merge merges by "merge", "squash" or "rebase" if branch protection allows it, and returns merge_commit_sha.
func (u *User) Merge(p *Pull, method string) (string, error) {
	return u.merge(p, mergeOrder{method: method})
}

// MergeBypassing merges with an administrator's right to pass branch protection.
func (u *User) MergeBypassing(p *Pull, method string) (string, error) {
	return u.merge(p, mergeOrder{method: method, bypass: true})
}

func (u *User) merge(p *Pull, order mergeOrder) (sha string, err error) {
	err = u.on(p, func(who *actor) error {
		sha, err = u.s.mergePull(who, p.p, order)
		return err
	})
	return sha, err
}

// UpdateBranch merges the base branch into the pull request's branch. The person becomes its pusher.
func (u *User) UpdateBranch(p *Pull) error {
	return u.on(p, func(who *actor) error { return u.s.updateBranch(who, p.p, "") })
}

// CommitSuggestion commits files to the pull request's branch as "Commit suggestion" does: this person authors and
// pushes, the one who suggested is named as co-author, the forge commits.
func (u *User) CommitSuggestion(p *Pull, suggestedBy *User, files Files, message string) (string, error) {
	var sha string
	err := u.on(p, func(who *actor) error {
		if p.p.headRepo == nil || !who.writes(p.p.headRepo) && !u.s.maintains(who, p.p.headRepo) {
			return refuse(http.StatusForbidden, "Must have push access to the head repository.")
		}
		forge := u.s.webFlow()
		by := u.s.signatureOf(suggestedBy.a)
		text := fmt.Sprintf("%s\n\nCo-authored-by: %s <%s>", message, by.name, by.email)
		var err error
		sha, err = u.s.commitFiles(who, p.p.headRepo, commitOrder{branch: p.p.headRef, files: files, message: text, committer: &forge})
		return err
	})
	return sha, err
}

// Rerun asks the App of a check run of the head to run it again.
func (u *User) Rerun(p *Pull, check string) error {
	return u.onCheck(p, check, func(who *actor, run *checkRun) error {
		u.s.rerequest(who, p.p.repo, run)
		return nil
	})
}

// PressAction presses a button of a check run of the head.
func (u *User) PressAction(p *Pull, check, identifier string) error {
	return u.onCheck(p, check, func(who *actor, run *checkRun) error {
		if !slices.ContainsFunc(run.actions, func(a CheckAction) bool { return a.Identifier == identifier }) {
			return notFound()
		}
		u.s.emitRun(who, p.p.repo, run, "requested_action", obj{"requested_action": obj{"identifier": identifier}})
		return nil
	})
}

func (u *User) onCheck(p *Pull, check string, f func(*actor, *checkRun) error) error {
	return u.on(p, func(who *actor) error {
		if err := who.can(p.p.repo, "write", ""); err != nil {
			return err
		}
		for _, run := range latestRuns(p.p.repo.runsBySHA[p.p.headSHA]) {
			if run.name == check {
				return f(who, run)
			}
		}
		return notFound()
	})
}
