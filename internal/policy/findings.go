package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// finding is something wrong with a policy, and the field of its file that is wrong.
type finding struct {
	domain.Problem
	field string // as spec.Document.Position reads it
	line  int    // within the field's text, from 1; 0 is the field itself
}

type findings []finding

// problems gives them their lines where the platform's files are known.
func (fs findings) problems(platform *spec.Platform) (out domain.Problems) {
	for _, f := range fs {
		p := f.Problem
		if platform != nil {
			if doc, ok := platform.Document(p.Path); ok {
				p.Line, p.Column = doc.Position(f.field)
			}
		}
		// The text of a block begins on the line below the field's.
		if p.Line > 0 && f.line > 0 {
			p.Line, p.Column = p.Line+f.line, 0
		}
		out = append(out, p)
	}
	return out
}

func newFinding(path, field, message, hint string) finding {
	return finding{field: field, Problem: domain.Problem{
		Code: domain.PolicyInvalid, Severity: domain.Error, Path: path, Message: message, Hint: hint,
	}}
}

// ruleFinding is about a rule that does not compile, the i-th of its file.
func ruleFinding(r rule, i int) finding {
	field := fmt.Sprintf("spec.rules[%d].expression", i)
	if !knownEffect(r.Effect) {
		field = fmt.Sprintf("spec.rules[%d].effect", i)
	}
	f := newFinding(r.source, field, fmt.Sprintf("rule %s: %s", r.Name, r.err), "Until it is mended, the rule counts as true.")
	var at expressionError
	if errors.As(r.err, &at) && strings.Contains(r.Expression, "\n") {
		f.line = at.line
	}
	return f
}

// checkApprovalRule finds what can never have been meant. field is the rule's place in its file.
func checkApprovalRule(r NamedRule, field string) (found findings) {
	say := func(part, format string, args ...any) {
		found = append(found, newFinding(r.Source, field+part, "approval rule "+r.Name+": "+fmt.Sprintf(format, args...), ""))
	}
	if r.Approvals < 0 {
		say(".approvals", "%d approvals are fewer than none", r.Approvals)
	}
	for i, op := range r.Operations {
		if _, known := Needs(op); !known {
			say(fmt.Sprintf(".operations[%d]", i), "operation %q is not known", op)
		}
	}
	for i, e := range r.Environments {
		if !knownEnvironment(e) {
			say(fmt.Sprintf(".environments[%d]", i), "environment %q is not known", e)
		}
	}
	for i, role := range r.From.Roles {
		if !Role(role).Known() {
			say(fmt.Sprintf(".from.roles[%d]", i), "role %q is not known", role)
		}
	}
	for i, t := range r.From.Teams {
		if t.TeamID == 0 || t.OrganizationID == 0 {
			say(fmt.Sprintf(".from.teams[%d]", i), "team %s has no number", teamName(t))
		}
	}
	return found
}

// ambiguities asks for every operation, environment and system that the rules name, so that rules
// which contradict each other are found when they are written.
func (a Approvals) ambiguities() (found findings) {
	systems := []string{""}
	for _, r := range a.Platform {
		systems = append(systems, r.Systems...)
	}
	slices.Sort(systems)
	systems = slices.Compact(systems)
	seen := map[AmbiguityError]bool{}
	for _, op := range domain.Operations() {
		for _, env := range environmentsFor(op) {
			for _, system := range systems {
				_, err := a.Required(Request{op, env, system})
				var ambiguous AmbiguityError
				if errors.As(err, &ambiguous) && !seen[ambiguous] {
					seen[ambiguous] = true
					found = append(found, newFinding(ambiguous.Path, a.fieldOf(ambiguous), ambiguous.Error(),
						"Make one of them name more of operation, environment and system than the other."))
				}
			}
		}
	}
	return found
}

// fieldOf is the place of the second of two rules that contradict each other.
func (a Approvals) fieldOf(e AmbiguityError) string {
	i := 0
	for _, r := range a.Platform {
		if r.Source != e.Path {
			continue
		}
		if r.String() == e.B {
			return fmt.Sprintf("spec.approvals[%d]", i)
		}
		i++
	}
	return "spec.approvals"
}

func environmentsFor(op domain.Operation) []domain.Environment {
	if hasEnvironment(op) {
		return []domain.Environment{domain.Test, domain.Prod}
	}
	return []domain.Environment{""}
}
