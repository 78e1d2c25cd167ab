package bot

import (
	"cmp"
	"slices"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/judge"
)

// sortOut lets through what is valid and was approved as it is, and quarantines the rest. A platform
// passes as a whole or not at all.
func sortOut(span *approval.Span, report judge.Report, tickets map[string]*ent.Ticket) {
	reasons := map[string]reason{}
	for _, c := range report.Changes {
		reasons[c.Path] = refusal(span.Pull.Number, report, c, tickets[c.Path])
	}
	wholePlatform(report, reasons)
	passed := map[string]bool{}
	for _, c := range report.Changes {
		why := reasons[c.Path]
		if why.code == "" && !relativesPass(c, report, passed) {
			why = reason{domain.ServiceUnknown, "what it belongs to did not pass"}
			if c.Operation.Removes() {
				why = reason{domain.DeleteRestricted, "something below it did not pass"}
			}
		}
		if why.code != "" {
			span.Quarantined = append(span.Quarantined, approval.Quarantined{
				Path: c.Path, Subject: c.Subject, Environment: c.Environment, Operation: c.Operation, Digest: c.Digest,
				Code: why.code, Message: why.message,
			})
			continue
		}
		passed[c.Path] = true
		m := approval.Merged{Change: c, Ticket: uuid.Nil}
		if t := tickets[c.Path]; t != nil && t.Status == ticket.StatusAPPROVED && agreedDigest(t) == c.Digest {
			m.Ticket = t.ID // also where the policy has stopped asking since
		}
		span.Merged = append(span.Merged, m)
	}
	for _, p := range report.Problems {
		if p.Path != "" && p.Severity == domain.Error && reasons[p.Path].code == "" {
			span.Quarantined = append(span.Quarantined, approval.Quarantined{Path: p.Path, Subject: p.Path, Code: p.Code, Message: p.Message})
		}
	}
}

// reason is why a change of a span does not pass; an empty code lets it through.
type reason struct {
	code    domain.Code
	message string
}

// wholePlatform lets no file of the platform pass where another one does not: the commit that would hold
// the rules has both.
func wholePlatform(report judge.Report, reasons map[string]reason) {
	var stopped *reason
	for _, c := range report.Changes {
		if why := reasons[c.Path]; c.Ref.Platform() && why.code != "" {
			stopped = &reason{why.code, c.Path + " did not pass, and a platform moves as a whole: " + why.message}
		}
	}
	for _, c := range report.Changes {
		if stopped != nil && c.Ref.Platform() && reasons[c.Path].code == "" {
			reasons[c.Path] = *stopped
		}
	}
}

// refusal says why a change of a span does not pass.
func refusal(number int, report judge.Report, c judge.Change, t *ent.Ticket) reason {
	if number == 0 {
		return reason{domain.ApprovalBypassed, "it was pushed to the branch without a pull request"}
	}
	if report.Fork {
		return reason{domain.ApprovalBypassed, "it was merged from a fork, whose changes are never submitted"}
	}
	for _, p := range append(slices.Clone(c.Problems), batchProblems(report)...).Sorted() {
		if p.Severity == domain.Error {
			return reason{p.Code, p.Message}
		}
	}
	if c.Unconfirmed() {
		return reason{domain.DeleteConfirmationRequired, "it was merged without anybody's having confirmed the deletion"}
	}
	if c.Requirement.Approvals == 0 {
		return reason{}
	}
	switch {
	case t == nil:
		return reason{domain.ApprovalBypassed, "it was merged without having been submitted"}
	case c.Ahead:
		return reason{domain.DigestMismatch, "what was merged is not what the plan says: the planned spec was never committed"}
	case agreedDigest(t) != c.Digest:
		return reason{domain.DigestMismatch, "what was merged is not what was asked for and reviewed"}
	case t.Status != ticket.StatusAPPROVED:
		return reason{domain.ApprovalBypassed, "it was merged without the approval that it needs"}
	case t.Edges.Plan.EffectiveDigest != effective(c):
		return reason{domain.DigestMismatch, "the plan that was approved no longer fits the rules in force"}
	}
	return reason{}
}

// agreedDigest is the digest of what git has to say for a ticket to let it through: what was asked for, or
// what the plan made of it.
func agreedDigest(t *ent.Ticket) string { return cmp.Or(t.PlannedDigest, t.ChangeDigest) }

// effective is the digest of what an approval accepts: the plan's, or the change's own where recording
// it is all that is done.
func effective(c judge.Change) string {
	if c.Plan == nil {
		return c.Digest
	}
	return c.Plan.EffectiveDigest
}

// batchProblems are those that stop every change.
func batchProblems(report judge.Report) (out domain.Problems) {
	for _, p := range report.Problems {
		if p.Path == "" {
			out = append(out, p)
		}
	}
	return out
}

// relativesPass wants what a change builds on in this very span to have passed: the parents that are
// created here, or, where it is removed, all that is removed below it. Changes come in that order.
func relativesPass(c judge.Change, report judge.Report, passed map[string]bool) bool {
	if c.Operation.Removes() {
		return belowPasses(c, report, passed)
	}
	ref := c.Ref
	parents := []spec.Ref{{Kind: spec.KindSystem, System: ref.System}}
	if ref.Kind == spec.KindVirtualMachine {
		parents = append(parents, spec.Ref{Kind: spec.KindService, System: ref.System, Service: ref.Service})
	}
	for _, p := range parents {
		if parent, here := report.Change(p.Path()); here && p != ref && parent.Accepted == nil && !passed[p.Path()] {
			return false
		}
	}
	return true
}

func belowPasses(c judge.Change, report judge.Report, passed map[string]bool) bool {
	for _, other := range report.Changes {
		child := other.Ref.System == c.Ref.System && (c.Ref.Kind == spec.KindSystem || other.Ref.Service == c.Ref.Service) &&
			other.Path != c.Path && other.Operation.Removes() && c.Ref.Kind != spec.KindVirtualMachine
		if child && (c.Ref.Kind == spec.KindSystem || other.Ref.Kind == spec.KindVirtualMachine) && !passed[other.Path] {
			return false
		}
	}
	return true
}
