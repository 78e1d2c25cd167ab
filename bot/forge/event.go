package forge

import "time"

// EventKind sorts webhook events by what they mean to the bot.
type EventKind string

// The kinds. Ignored is everything that changes nothing for us.
const (
	PullRequestChanged  EventKind = "pull_request" // opened, pushed to, edited, closed, merged, ...
	ReviewChanged       EventKind = "review"       // submitted, edited, dismissed
	CommentChanged      EventKind = "comment"      // created, edited, deleted
	BranchPushed        EventKind = "push"
	CheckRerequested    EventKind = "check"       // somebody asked for the check again
	MergeGroupRequested EventKind = "merge_group" // a merge queue asks for checks on a group's head
	MembershipChanged   EventKind = "membership"  // what is remembered about people and teams may be wrong
	Ignored             EventKind = "ignored"
)

// Event is a webhook in our words. It is a hint of where to look; only what the forge may later
// rewrite (Push, Review, Comment as delivered) is kept from it.
type Event struct {
	Kind   EventKind
	Action string
	// RepositoryID is 0 for what happened in an organisation and in no repository: most of MembershipChanged.
	RepositoryID int64
	Sender       Person
	// At is when it happened by the forge's own clock, to the second. It is zero where the forge does not say: for
	// checks, merge groups, memberships and deleted comments.
	At          time.Time
	PullRequest int // 0 where the event is not about one
	// PullRequests and HeadSHA come with CheckRerequested: the check belongs to a commit, which may be the head
	// of several pull requests. The list is empty when they come from forks; the commit then says which.
	PullRequests []int
	HeadSHA      string // with MergeGroupRequested the group's head
	Merged       bool
	Retargeted   bool // the pull request was pointed at another branch or commit
	Group        *MergeGroup
	Membership   *Membership
	Push         *Push
	Review       *Review
	Comment      *Comment
}

// MergeGroup is what a merge queue is about to put on a branch. HeadRef is temporary and nobody's pull request.
type MergeGroup struct {
	HeadSHA, BaseSHA string // base: the head of the group before this one, or the branch's tip
	HeadRef, BaseRef string // refs/heads/...
}

// Membership names what a MembershipChanged event is about; 0 is what it does not name. Without a person everybody of
// the team, without a team all teams of the organisation may be concerned.
type Membership struct{ PersonID, OrgID, TeamID int64 }

// Push is a branch (or a pull request's head) moving.
type Push struct {
	Ref           string // refs/heads/...
	Before, After string // zeros where the branch was not there before, or is not after
	Forced        bool
	Pusher        Person
	At            time.Time // the forge's clock where it says, else zero
}

// PullComment is a comment and the pull request that it is on.
type PullComment struct {
	Comment
	PullRequest int
}

// Comment is a remark on a pull request.
type Comment struct {
	ID        int64
	Author    Person
	Body      string // as delivered: what was first submitted, unless Edited
	CreatedAt time.Time
	URL       string
	// Edited says that the body was changed after the comment was created; Before is what an edit replaced.
	Edited bool
	Before string
}
