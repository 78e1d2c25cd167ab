package chaos

import (
	"encoding/json"
	"fmt"
	"time"
)

// History is all that the checker knows.
type History struct {
	Bot      string            // the login of the App's bot
	Branch   string            // the governed branch
	Baseline string            // the commit that was accepted as the start
	People   map[string]Rights // by login; whoever is missing has none
	Events   []Event           // all that the forge told, in the order in which it happened
	Git      Git
	Pulls    []Pull
	// Deployments are those of the forge: commit and environment.
	Deployments []Deployment
	Writes      []Write  // that clusters obeyed, in their order
	Objects     []Object // the virtual machines that are there at the end
}

// Rights are what a person may do, by environment.
type Rights struct {
	Approve map[string]bool
	Ask     map[string]bool // create, change, delete, start and stop
	Lift    bool            // other people's vetoes
}

// Git is the forge's repository.
type Git interface {
	// File is a file at a commit.
	File(commit, path string) (content string, ok bool)
	// Changed names the paths that differ between two commits.
	Changed(from, to string) ([]string, error)
	// MergeBase is the last common commit of two.
	MergeBase(a, b string) (string, error)
}

// Pull is a pull request at the end.
type Pull struct {
	Number   int
	State    string // open, closed, merged
	Base     string
	Head     string
	HeadRef  string
	Title    string
	Checks   map[string]string // the conclusions on the head, by name
	Comments []Comment
}

// Comment is a comment at the end.
type Comment struct{ Author, Body string }

// Deployment is one of the forge's.
type Deployment struct {
	Commit, Environment string
	States              []string
}

// Write is a request to change something that a cluster obeyed.
type Write struct {
	Verb      string // PATCH, POST, PUT, DELETE
	Resource  string
	Namespace string
	Object
}

// Object is an object of a cluster, as it was after a write or is at the end.
type Object struct {
	Name        string
	UID         string
	Version     string
	Annotations map[string]string
	Memory      string // of a virtual machine's guest
	Running     bool   // it is to run
}

// Event is a webhook that the forge sent, or would have sent. What is not of its kind is empty.
type Event struct {
	Seq    int
	Kind   string // push, pull_request, pull_request_review, check_run, issue_comment
	Action string
	Sender string
	Pull   int

	Author, Base, Head, HeadRef, MergeCommit string // of the pull request
	Merged, Retargeted                       bool

	Review          int64
	Reviewer        string
	Verdict, Commit string    // of the review: approved, changes_requested, dismissed
	At              time.Time // of the review, check or pull request

	Check, Conclusion, Summary string

	Ref, Before, After string // of the push

	Body string // of the comment
}

type login struct {
	Login string `json:"login"`
}

// payload is what is read of a webhook.
type payload struct {
	Action string `json:"action"`
	Sender login  `json:"sender"`
	Number int    `json:"number"`
	Pull   *struct {
		Number      int       `json:"number"`
		User        login     `json:"user"`
		UpdatedAt   time.Time `json:"updated_at"`
		Merged      bool      `json:"merged"`
		MergeCommit string    `json:"merge_commit_sha"`
		Head        struct{ Ref, SHA string }
		Base        struct{ Ref string }
	} `json:"pull_request"`
	Changes struct {
		Base *json.RawMessage `json:"base"`
	} `json:"changes"`
	Review struct {
		ID          int64     `json:"id"`
		User        login     `json:"user"`
		State       string    `json:"state"`
		CommitID    string    `json:"commit_id"`
		SubmittedAt time.Time `json:"submitted_at"`
	} `json:"review"`
	Run struct {
		Name        string     `json:"name"`
		HeadSHA     string     `json:"head_sha"`
		Conclusion  string     `json:"conclusion"`
		CompletedAt *time.Time `json:"completed_at"`
		Output      struct {
			Summary string `json:"summary"`
		} `json:"output"`
	} `json:"check_run"`
	Issue struct {
		Number int `json:"number"`
	} `json:"issue"`
	Comment struct {
		Body string `json:"body"`
		User login  `json:"user"`
	} `json:"comment"`
	Ref    string `json:"ref"`
	Before string `json:"before"`
	After  string `json:"after"`
	Pusher struct {
		Name string `json:"name"`
	} `json:"pusher"`
}

// ParseEvent reads a webhook's body.
func ParseEvent(seq int, kind string, body []byte) (Event, error) {
	var p payload
	if err := json.Unmarshal(body, &p); err != nil {
		return Event{}, fmt.Errorf("read webhook %d (%s): %w", seq, kind, err)
	}
	e := Event{Seq: seq, Kind: kind, Action: p.Action, Sender: p.Sender.Login, Pull: p.Number}
	if p.Pull != nil {
		e.Pull, e.Author, e.Base, e.Head, e.HeadRef = p.Pull.Number, p.Pull.User.Login, p.Pull.Base.Ref, p.Pull.Head.SHA, p.Pull.Head.Ref
		e.Merged, e.MergeCommit, e.Retargeted = p.Pull.Merged, p.Pull.MergeCommit, p.Changes.Base != nil
		e.At = p.Pull.UpdatedAt
	}
	switch kind {
	case "pull_request_review":
		e.Review, e.Reviewer, e.Verdict, e.Commit, e.At = p.Review.ID, p.Review.User.Login, p.Review.State, p.Review.CommitID, p.Review.SubmittedAt
	case "check_run":
		e.Check, e.Head, e.Conclusion, e.Summary = p.Run.Name, p.Run.HeadSHA, p.Run.Conclusion, p.Run.Output.Summary
		if p.Run.CompletedAt != nil {
			e.At = *p.Run.CompletedAt
		}
	case "issue_comment":
		e.Pull, e.Body, e.Author = p.Issue.Number, p.Comment.Body, p.Comment.User.Login
	case "push":
		e.Ref, e.Before, e.After, e.Sender = p.Ref, p.Before, p.After, p.Pusher.Name
	}
	return e, nil
}
