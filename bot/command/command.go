package command

import (
	"fmt"
	"strings"

	"kv-shepherd.io/shepherd/internal/domain"
)

// The bounds of a comment.
const (
	// MaxBytes is the longest comment that is read.
	MaxBytes = 64 << 10
	// MaxCommands is how many commands one comment may hold. Of more, none is taken.
	MaxCommands = 10

	maxArgs   = 32
	maxArgLen = 100 // longer than any name or digest: an argument that was cut equals none of them
)

// Verb is what a command asks for.
type Verb string

// The verbs. None of them approves.
const (
	VerbPlan    Verb = "plan"
	VerbConfirm Verb = "confirm"
	VerbHold    Verb = "hold"
	VerbUnhold  Verb = "unhold"
	VerbRetry   Verb = "retry"
	VerbExplain Verb = "explain"
	VerbHelp    Verb = "help"
)

// Verbs lists the verbs in the order in which help names them.
func Verbs() []Verb {
	return []Verb{VerbPlan, VerbConfirm, VerbHold, VerbUnhold, VerbRetry, VerbExplain, VerbHelp}
}

// Command is one command of a comment.
type Command struct {
	Verb Verb `json:"verb"`
	// Args are the words after the verb as the page shows them; what is hidden in HTML is not among
	// them. At most 32, each cut after 100 characters.
	Args []string `json:"args,omitempty"`
	// Line counts from 1 in the comment. For a block without a /plan before it, it is the block's.
	Line int `json:"line"`
	// Block is the plan; nil for all other verbs, and for a /plan that no block follows.
	Block *Block `json:"block,omitempty"`
}

// Block is what stands in a fenced code block with the info string shepherd.
type Block struct {
	Text string `json:"text"`
	// Line is the line of the comment in which Text begins, so line n of Text is line Line+n-1.
	Line int `json:"line"`
}

// Unknown is a word that is no command, but was probably meant as one. Word is escaped and short; it may
// still hold Markdown.
type Unknown struct {
	Word       string `json:"word"`
	Suggestion Verb   `json:"suggestion"`
	Line       int    `json:"line"`
}

// Parsed is what a comment says to Shepherd.
type Parsed struct {
	Commands []Command `json:"commands,omitempty"`
	Unknown  []Unknown `json:"unknown,omitempty"`
	// Problems are lines that look like something for Shepherd and cannot be taken. Their lines are
	// the comment's.
	Problems domain.Problems `json:"problems,omitempty"`
	// CarriesPlan says that there is a plan, or what was probably meant as one, whether or not it can
	// be taken. A review with one is no approval.
	CarriesPlan bool `json:"carriesPlan,omitempty"`
}

// Parse reads a comment, or the body of a review. Commands come in the comment's order. A comment that
// is too long or holds too many commands has none, and a problem that says so.
func Parse(body string) Parsed {
	if len(body) > MaxBytes {
		return Parsed{CarriesPlan: true, Problems: domain.Problems{{
			Code: domain.BatchTooLarge, Severity: domain.Error,
			Message: fmt.Sprintf("the comment has %d bytes; at most %d are read", len(body), MaxBytes),
			Hint:    "send the command in a comment of its own",
		}}}
	}
	if !strings.Contains(body, "/") && !strings.Contains(body, "```") && !strings.Contains(body, "~~~") {
		return Parsed{} // most comments: neither a command nor a block, so no need to look closer
	}
	r := newReader(body)
	r.document()
	if n := len(r.out.Commands); n > MaxCommands {
		r.out.Commands = nil
		r.out.Problems = append(r.out.Problems, domain.Problem{
			Code: domain.BatchTooLarge, Severity: domain.Error,
			Message: fmt.Sprintf("the comment holds %d commands; at most %d are taken, so none was", n, MaxCommands),
			Hint:    "send them in several comments",
		})
	}
	return r.out
}

// CarriesPlan reports whether a review's body holds a plan, so that the review is no approval. It is
// also true for a block that was probably meant as one, and for a body too long to be read.
func CarriesPlan(body string) bool { return Parse(body).CarriesPlan }

// normal brings line ends to the one form that all lines are counted by, and takes out what Markdown has no
// place for.
func normal(body string) string {
	return normalizer.Replace(strings.ToValidUTF8(body, "\uFFFD"))
}

var normalizer = strings.NewReplacer("\r\n", "\n", "\r", "\n", "\x00", "\uFFFD")
