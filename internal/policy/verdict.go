package policy

import (
	"slices"

	"kv-shepherd.io/shepherd/internal/domain"
)

// Outcome is what a rule says about a change.
type Outcome string

// The outcomes, from the mildest to the one that outweighs all others.
const (
	Allow             Outcome = "allow"
	Warn              Outcome = "warn"
	NeedsConfirmation Outcome = "needs_confirmation"
	NeedsApproval     Outcome = "needs_approval"
	Deny              Outcome = "deny"
)

var outcomes = []Outcome{Allow, Warn, NeedsConfirmation, NeedsApproval, Deny}

// worse returns the outcome that outweighs the other. An unknown one counts as a denial.
func worse(a, b Outcome) Outcome {
	i, j := slices.Index(outcomes, a), slices.Index(outcomes, b)
	switch {
	case i < 0 || j < 0:
		return Deny
	case i < j:
		return b
	}
	return a
}

// Verdict is one rule's word on a change and, below it, what it was made from. It is stored as JSON and
// comes back the same. Message and Hint are plain text, which whoever renders them escapes.
type Verdict struct {
	Rule     string            `json:"rule"`
	Outcome  Outcome           `json:"outcome"`
	Code     domain.Code       `json:"code,omitempty"` // set where people have to be told
	Message  string            `json:"message,omitempty"`
	Hint     string            `json:"hint,omitempty"`
	Inputs   map[string]string `json:"inputs,omitempty"`
	Needs    *Requirement      `json:"needs,omitempty"`
	Children []Verdict         `json:"children,omitempty"`
	// Broken says that the rule could not be evaluated, and counts as true for that.
	Broken bool `json:"broken,omitempty"`
}

// Denied reports whether the change may not be made at all.
func (v Verdict) Denied() bool { return !slices.Contains(outcomes, v.Outcome) || v.Outcome == Deny }

// Requirement returns the approvals and the confirmation that the change needs. It is false when the
// policy could not tell, which is a denial.
func (v Verdict) Requirement() (Requirement, bool) {
	if v.Needs != nil {
		return *v.Needs, true
	}
	for _, c := range v.Children {
		if r, ok := c.Requirement(); ok {
			return r, true
		}
	}
	return Requirement{}, false
}

// Problems returns what people have to be told, in the order of the tree: every denial and every
// warning that carries a code, with the given path.
func (v Verdict) Problems(path string) domain.Problems {
	var out domain.Problems
	if v.Code != "" && v.Outcome != Allow {
		severity := domain.Error
		if v.Outcome == Warn {
			severity = domain.Warning
		}
		out = append(out, domain.Problem{
			Code: v.Code, Severity: severity, Path: path, Message: v.Message, Hint: v.Hint,
		})
	}
	for _, c := range v.Children {
		out = append(out, c.Problems(path)...)
	}
	return out
}

// under makes the children part of v and lets the worst of them decide its outcome.
func (v Verdict) under(children ...Verdict) Verdict {
	for _, c := range children {
		v.Outcome = worse(v.Outcome, c.Outcome)
	}
	v.Children = append(v.Children, children...)
	return v
}
