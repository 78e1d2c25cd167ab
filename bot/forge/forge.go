// Package forge is the vocabulary in which the bot speaks of a code forge: people, pull requests,
// reviews, checks, comments, pushes. It holds structs only. The drivers (github, gitea) turn a
// forge's own words into these; each step of the bot declares the one to four driver methods that
// it uses.
package forge

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Person is somebody (or some app) as the forge knows them. ID is what counts: a login can be given
// up and taken by somebody else. A zero Person is nobody that the forge could name.
type Person struct {
	ID    int64  `json:"id"`
	Login string `json:"login"`
	Bot   bool   `json:"bot,omitempty"`
}

// Known reports whether the forge could name the person.
func (p Person) Known() bool { return p.ID != 0 }

// Repository is the one repository that is governed.
type Repository struct {
	ID            int64
	Owner, Name   string
	DefaultBranch string
	CloneURL      string
	URL           string
	Methods       MergeMethods
}

// MergeMethods says which ways of merging pull requests the repository allows. All false: the forge did not tell.
type MergeMethods struct{ Merge, Squash, Rebase bool }

// First is the first way that is allowed, empty when none is known.
func (m MergeMethods) First() string {
	switch {
	case m.Merge:
		return "merge"
	case m.Squash:
		return "squash"
	case m.Rebase:
		return "rebase"
	}
	return ""
}

// PullRequest is its state at the forge now.
type PullRequest struct {
	Number      int
	Title       string
	URL         string
	Open        bool
	Merged      bool
	MergeCommit string // the last commit of the merge; empty unless Merged
	Draft       bool
	Author      Person
	HeadSHA     string
	HeadRef     string
	Fork        bool // the head lives in another repository
	BaseRef     string
	BaseSHA     string
	UpdatedAt   time.Time // by the forge's clock
}

// ReviewState is what a review says.
type ReviewState string

// The states of a submitted review.
const (
	Approved         ReviewState = "approved"
	ChangesRequested ReviewState = "changes_requested"
	Commented        ReviewState = "commented"
	Dismissed        ReviewState = "dismissed"
)

// Review is one submitted review.
type Review struct {
	ID          int64
	Author      Person
	State       ReviewState
	CommitSHA   string
	Body        string
	SubmittedAt time.Time // the forge's clock
	URL         string
}

// Dismissal is a review being taken back, as the forge remembers it.
type Dismissal struct {
	ReviewID int64
	By       Person      // whoever dismissed; for the forge's own dismissals whoever pushed
	State    ReviewState // what the review said until then
	At       time.Time   // the forge's clock
	// ByCommit is the pushed commit that made the forge dismiss the review as stale; empty when a person did it.
	ByCommit string
	Message  string
}

// Movement is a branch being moved, as the forge remembers it.
type Movement struct {
	ID            int64
	Ref           string
	Before, After string // all zeros: it was created, or deleted
	Forced        bool
	By            Person    // not Known when the account is gone
	At            time.Time // the forge's clock
}

// Commit is a commit of a pull request with its people as the forge maps them; a person that it
// cannot map is not Known.
type Commit struct {
	SHA               string
	Parents           []string
	Author, Committer Person
}

// Conclusion is how a completed check ended.
type Conclusion string

// The conclusions that the bot uses. ActionRequired is waiting for people; it never leaves a check
// in progress.
const (
	Success        Conclusion = "success"
	Failure        Conclusion = "failure"
	ActionRequired Conclusion = "action_required"
)

// Check is a completed check on a commit.
type Check struct {
	Name        string
	HeadSHA     string
	Conclusion  Conclusion
	Title       string
	Summary     string // Markdown
	Annotations []Annotation
	ExternalID  string // ours: what it was computed from
	DetailsURL  string
}

// MaxAnnotations is how many annotations one check may carry.
const MaxAnnotations = 50

// Annotation is a remark on lines of a file.
type Annotation struct {
	Path    string
	Line    int // from 1
	Level   AnnotationLevel
	Title   string
	Message string
}

// AnnotationLevel is how bad an annotated line is.
type AnnotationLevel string

// The levels.
const (
	LevelFailure AnnotationLevel = "failure"
	LevelWarning AnnotationLevel = "warning"
)

// Posted is the forge's receipt for something it accepted, by its own clock.
type Posted struct {
	ID  int64
	At  time.Time
	URL string
}

// FileEdit is one file of a commit that the bot writes; nil Content removes the file.
type FileEdit struct {
	Path    string
	Content []byte
}

// NewPullRequest is what the bot opens.
type NewPullRequest struct{ Title, Body, Head, Base string }

// Suggestion is Markdown that offers text in place of the lines on which it is a comment. Empty text offers to remove
// them. The fence is longer than any in the text, so no text can end it.
func Suggestion(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return fence + "suggestion\n" + text + fence + "\n"
}

// Errors that steps of the bot tell apart. Drivers wrap these.
var (
	ErrNotFound = errors.New("not found at the forge")
	ErrConflict = errors.New("the forge's state moved meanwhile")
	// ErrRefused is a permanent no: missing permission, bad input. Trying again is of no use.
	ErrRefused = errors.New("refused by the forge")
)

// LaterError says that the forge wants to be asked again at a certain time: a rate limit.
type LaterError struct {
	Until  time.Time
	Reason string
}

// RetryAfter is how long that is from now.
func (e LaterError) RetryAfter() time.Duration { return max(time.Until(e.Until), time.Second) }

func (e LaterError) Error() string {
	return fmt.Sprintf("the forge asks to wait until %s: %s", e.Until.UTC().Format(time.RFC3339), e.Reason)
}
