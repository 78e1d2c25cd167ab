package policy

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// Confirm is how somebody has to confirm a change, beside any approval.
type Confirm string

// The confirmations.
const (
	ConfirmNone   Confirm = "none"
	ConfirmDigest Confirm = "digest" // the first characters of the change's digest
	ConfirmName   Confirm = "name"   // the exact name and the digest
)

// Needed reports whether anything has to be confirmed.
func (c Confirm) Needed() bool { return c == ConfirmDigest || c == ConfirmName }

// Requirement is what has to happen before a change may be merged.
type Requirement struct {
	Operation domain.Operation  `json:"operation"`
	Approvals int               `json:"approvals"` // 0: none needed
	From      spec.ApprovalFrom `json:"from,omitzero"`
	Confirm   Confirm           `json:"confirm"`
	Rule      string            `json:"rule"` // the rule or rules that ask for it
	// Ignored are the rules of the platform that were left out because they ask for less than the
	// default and the server's configuration does not allow that.
	Ignored []string `json:"ignored,omitempty"`
}

// Request is what an approval rule is looked up for.
type Request struct {
	Operation   domain.Operation
	Environment domain.Environment
	System      string
}

// NamedRule is an approval rule and the file it stands in, for people.
type NamedRule struct {
	Source string
	spec.ApprovalRule
}

// String is the rule's name with its file.
func (r NamedRule) String() string {
	if r.Source == "" {
		return r.Name
	}
	return r.Name + " (" + r.Source + ")"
}

// Approvals holds the approval rules in force.
type Approvals struct {
	Default  []NamedRule
	Platform []NamedRule
	// AllowLoosen lists the operations for which rules of the platform may ask for less than the
	// default. It comes from the server's configuration, never from git.
	AllowLoosen []domain.Operation
}

// ErrNoRule means that no default rule covers a request. Such a change is denied.
var ErrNoRule = errors.New("no approval rule covers this change")

// AmbiguityError means that equally specific rules ask for approvals from roles or teams that have
// nothing in common. No approver satisfies both, so that the change is denied until one rule says more.
type AmbiguityError struct {
	A, B string
	Path string // the file of B
}

func (e AmbiguityError) Error() string {
	return fmt.Sprintf("approval rules %s and %s are equally specific and have no approver in common", e.A, e.B)
}

// Required returns what the request needs. Of the rules that match, the one that names the most of
// operation, environment and system wins; of equals, the stricter in each respect. Rules of the
// platform come before the default where they are not looser, or may be. The error is ErrNoRule or
// an AmbiguityError, and means no.
func (a Approvals) Required(r Request) (Requirement, error) {
	base, found, err := best(a.Default, r)
	if err != nil {
		return Requirement{}, err
	}
	if !found {
		return Requirement{}, ErrNoRule
	}
	var ignored []string
	platform := slices.DeleteFunc(slices.Clone(a.Platform), func(rule NamedRule) bool {
		drop := rule.matches(r) && looser(rule.ApprovalRule, base.ApprovalRule) &&
			!slices.Contains(a.AllowLoosen, r.Operation)
		if drop {
			ignored = append(ignored, rule.String())
		}
		return drop
	})
	own, found, err := best(platform, r)
	if err != nil {
		return Requirement{}, err
	}
	if found {
		base = own
	}
	return Requirement{
		Operation: r.Operation, Approvals: max(base.Approvals, 0), From: base.From,
		Confirm: confirmation(r.Operation, r.Environment), Rule: base.String(), Ignored: ignored,
	}, nil
}

// confirmation is part of the product: no rule changes it.
func confirmation(op domain.Operation, env domain.Environment) Confirm {
	switch {
	case op == domain.DeleteVM && env == domain.Test, op == domain.DeleteService:
		return ConfirmDigest
	case op == domain.DeleteVM, op == domain.DeleteSystem:
		return ConfirmName
	}
	return ConfirmNone
}

// best returns the winner among the rules that match, equals joined into one.
func best(rules []NamedRule, r Request) (winner NamedRule, found bool, err error) {
	for _, rule := range rules {
		if !rule.matches(r) {
			continue
		}
		c := cmp.Compare(rule.specificity(), winner.specificity())
		switch {
		case !found || c > 0:
			winner, found = rule, true
		case c == 0:
			if winner, err = join(winner, rule); err != nil {
				return NamedRule{}, false, err
			}
		}
	}
	return winner, found, nil
}

// join returns the least demand that satisfies both rules.
func join(a, b NamedRule) (NamedRule, error) {
	from, ok := narrower(a.From, b.From)
	if !ok {
		return NamedRule{}, AmbiguityError{a.String(), b.String(), b.Source}
	}
	joined := a
	joined.Approvals, joined.From = max(a.Approvals, b.Approvals), from
	isA := joined.Approvals == a.Approvals && sameFrom(from, a.From)
	isB := joined.Approvals == b.Approvals && sameFrom(from, b.From)
	switch {
	case isA:
	case isB:
		joined.Name, joined.Source = b.Name, b.Source
	default:
		joined.Name, joined.Source = a.String()+" and "+b.String(), ""
	}
	return joined, nil
}

func (r NamedRule) matches(q Request) bool {
	return listed(r.Operations, q.Operation) && listed(r.Environments, q.Environment) && listed(r.Systems, q.System)
}

func listed[T comparable](list []T, want T) bool {
	return len(list) == 0 || slices.Contains(list, want)
}

// specificity counts what the rule names.
func (r NamedRule) specificity() (n int) {
	for _, named := range []bool{len(r.Operations) > 0, len(r.Environments) > 0, len(r.Systems) > 0} {
		if named {
			n++
		}
	}
	return n
}

// looser reports whether a asks for less than b in any respect.
func looser(a, b spec.ApprovalRule) bool {
	if a.Approvals < b.Approvals {
		return true
	}
	return b.Approvals > 0 && !(within(a.From.Roles, b.From.Roles) && within(teamIDs(a.From), teamIDs(b.From)))
}

// within reports whether a list that narrows who counts lets nobody through whom b does not; an empty
// list lets everybody through.
func within[T comparable](a, b []T) bool {
	if len(a) == 0 || len(b) == 0 {
		return len(b) == 0
	}
	return !slices.ContainsFunc(a, func(x T) bool { return !slices.Contains(b, x) })
}

// narrower returns approvers who satisfy both lists. It is false when the lists exclude each other.
func narrower(a, b spec.ApprovalFrom) (spec.ApprovalFrom, bool) {
	teams := teamIDs(b)
	roles, ok := common(a.Roles, b.Roles, func(r string) bool { return slices.Contains(b.Roles, r) })
	both, okToo := common(a.Teams, b.Teams, func(t spec.Team) bool { return slices.Contains(teams, teamID(t)) })
	return spec.ApprovalFrom{Roles: roles, Teams: both}, ok && okToo
}

func common[T any](a, b []T, inB func(T) bool) ([]T, bool) {
	switch {
	case len(a) == 0:
		return b, true
	case len(b) == 0:
		return a, true
	}
	var out []T
	for _, x := range a {
		if inB(x) {
			out = append(out, x)
		}
	}
	return out, len(out) > 0
}

func sameFrom(a, b spec.ApprovalFrom) bool {
	return within(a.Roles, b.Roles) && within(b.Roles, a.Roles) &&
		within(teamIDs(a), teamIDs(b)) && within(teamIDs(b), teamIDs(a))
}

func teamID(t spec.Team) TeamID { return TeamID{t.OrganizationID, t.TeamID} }

func teamIDs(f spec.ApprovalFrom) (out []TeamID) {
	for _, t := range f.Teams {
		out = append(out, teamID(t))
	}
	return out
}

// describe is the list of approvers as people read it; empty when anybody with the permission counts.
func describe(f spec.ApprovalFrom) string {
	var words []string
	if len(f.Roles) > 0 {
		words = append(words, "role "+strings.Join(f.Roles, " or "))
	}
	if len(f.Teams) > 0 {
		var teams []string
		for _, t := range f.Teams {
			teams = append(teams, teamName(t))
		}
		words = append(words, "team "+strings.Join(teams, " or "))
	}
	return strings.Join(words, " and ")
}
