package policy

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"kv-shepherd.io/shepherd/internal/domain"
)

// Evaluate judges one change: the permission of its author and of every pusher, what approvals and
// confirmation it needs, and the CEL rules. All of it is always asked, so that people see every
// reason at once; the worst outcome is the verdict's own.
func Evaluate(f Facts) Verdict {
	if f.Bindings == nil {
		f.Bindings = NewBindings(Sources{})
	}
	root := Verdict{
		Rule: string(f.Change.Operation), Outcome: Allow, Message: f.Change.Ref.String(),
		Inputs: inputs("path", f.Change.Ref.Path(), "system", f.Change.Scope().System,
			"environment", string(f.Change.Environment)),
	}
	root = root.under(permission(f))
	if f.Policies == nil {
		return root.under(Verdict{
			Rule: "policies", Outcome: Deny, Code: domain.PolicyDenied, Message: "no policies are loaded",
		})
	}
	root = root.under(approval(f)...)
	if rules := f.Policies.ask(f); len(rules) > 0 {
		root = root.under(Verdict{Rule: "rules", Outcome: Allow}.under(rules...))
	}
	return root
}

// permission asks for the author and then, once each, for the pushers.
func permission(f Facts) Verdict {
	op, scope := f.Change.Operation, f.Change.Scope()
	perm, ok := Needs(op)
	if !ok {
		return Verdict{
			Rule: "permission", Outcome: Deny, Code: domain.PermissionDenied,
			Message: unknownOperation(op),
		}
	}
	v := Verdict{Rule: "permission", Outcome: Allow, Message: asked(perm, scope), Inputs: inputs(
		"permission", string(perm), "system", scope.System, "environment", string(scope.Environment))}
	v = v.under(contributor("author", f.Author, f, perm))
	seen := []Person{f.Author}
	for _, p := range f.Pushers {
		if !slices.ContainsFunc(seen, func(q Person) bool { return q.ID == p.ID && q.Login == p.Login }) {
			seen = append(seen, p)
			v = v.under(contributor("pusher", p, f, perm))
		}
	}
	return v
}

// asked is the permission with the part of the scope that it is asked of.
func asked(perm Permission, scope Scope) string {
	switch reaches[perm] {
	case anywhere, platformWide:
		return string(perm)
	}
	return string(perm) + " " + scope.String()
}

func contributor(part string, p Person, f Facts, perm Permission) Verdict {
	d := f.Bindings.CanDo(p, f.Change.Operation, f.Change.Scope())
	v := Verdict{Rule: part, Outcome: Allow, Message: p.String() + " is " + d.Why, Inputs: inputs(
		"login", p.Login, "id", strconv.FormatInt(p.ID, 10), "bot", strconv.FormatBool(p.Bot))}
	if d.Allowed {
		return v
	}
	v.Outcome, v.Code = Deny, domain.PermissionDenied
	v.Message = fmt.Sprintf("the %s, %s, lacks %s: %s", part, p, asked(perm, f.Change.Scope()), d.Why)
	v.Hint = "Nobody holds that permission; a platform administrator can bind a role that does."
	if len(d.WhoCan) > 0 {
		v.Hint = "Who can: " + strings.Join(d.WhoCan, ", ") + "."
	}
	if part == "pusher" {
		v.Hint += " What they pushed stays theirs: without them, ask for it from a new branch in a new pull request."
	}
	if p.ID == 0 {
		v.Code = domain.AuthorUnknown
		v.Message = fmt.Sprintf("the forge does not say who the %s is", part)
		v.Hint = "Push the change again from an account that the forge knows."
		if part == "pusher" {
			v.Hint = "What somebody unknown pushed stays theirs: push it to a new branch, and open a new pull request from there."
		}
	}
	return v
}

// approval returns what the change needs: the approvals and, where there is one, the confirmation.
func approval(f Facts) []Verdict {
	op, scope := f.Change.Operation, f.Change.Scope()
	req, err := f.Policies.Approvals.Required(Request{op, scope.Environment, scope.System})
	if err != nil {
		return []Verdict{{
			Rule: "approval", Outcome: Deny, Code: domain.PolicyDenied, Message: err.Error(),
			Hint: noRuleHint(err), Inputs: inputs("system", scope.System, "environment", string(scope.Environment)),
		}}
	}
	v := Verdict{Rule: "approval", Outcome: Allow, Message: req.String(), Needs: &req, Inputs: inputs(
		"rule", req.Rule, "approvals", strconv.Itoa(req.Approvals), "from", describe(req.From))}
	if req.Approvals > 0 {
		v.Outcome = NeedsApproval
	}
	for _, name := range req.Ignored {
		v = v.under(Verdict{Rule: "approval rule " + name, Outcome: Warn, Message: fmt.Sprintf(
			"ignored: it asks for less than the default, and the server's configuration does not allow that for %s", op)})
	}
	if req.Confirm == ConfirmNone {
		return []Verdict{v}
	}
	return []Verdict{v, {
		Rule: "confirmation", Outcome: NeedsConfirmation, Message: confirmWords[req.Confirm],
		Inputs: inputs("confirm", string(req.Confirm)),
	}}
}

var confirmWords = map[Confirm]string{
	ConfirmDigest: "somebody who may do this has to confirm it with the change's digest",
	ConfirmName:   "somebody who may do this has to confirm it with the exact name and the change's digest",
}

func noRuleHint(err error) string {
	var ambiguous AmbiguityError
	if errors.As(err, &ambiguous) {
		return "A platform administrator has to make one of the rules name more than the other."
	}
	return "A platform administrator has to add an approval rule for it."
}

// String is the approvals as people read them: "2 approvals by people who may approve, by rule two-eyes".
func (r Requirement) String() string {
	from := describe(r.From)
	if from != "" {
		from = " from " + from
	}
	if ApprovalNeeds(r.Operation) == PlatformAdmin {
		from = "platform administrators" + from
	} else {
		from = "people" + from + " who may approve"
	}
	switch r.Approvals {
	case 0:
		return "no approval needed, by rule " + r.Rule
	case 1:
		return "1 approval by " + from + ", by rule " + r.Rule
	}
	return fmt.Sprintf("%d approvals by %s, by rule %s", r.Approvals, from, r.Rule)
}

// inputs makes a map of pairs, without the empty values.
func inputs(pairs ...string) map[string]string {
	m := map[string]string{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			m[pairs[i]] = pairs[i+1]
		}
	}
	return m
}
