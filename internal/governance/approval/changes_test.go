package approval

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
)

// onVM is a change of a VM that there is: its digest and its plan's are those of the operation.
func onVM(op domain.Operation, index int, edits ...func(*judge.Change)) judge.Change {
	c := newVM(index)
	name := strings.ToLower(string(op)) + "-" + c.Ref.Instance()
	c.Operation, c.Requirement.Operation, c.Requirement.Rule = op, op, string(op)
	c.Accepted, c.Wanted = c.Wanted, json.RawMessage(`{"reason":"a <second> replica","size":"large","template":"ubuntu"}`)
	c.Digest, c.Plan.EffectiveDigest, c.Claims = name, "effective-"+name, c.Claims[:1]
	if op == domain.DeleteVM {
		c.Wanted, c.Document, c.Reason, c.Plan.Manifests = nil, nil, "", nil
		c.Plan.DeletionPolicy, c.Requirement.Confirm = spec.RetainDisks, policy.ConfirmName
	}
	for _, e := range edits {
		e(&c)
	}
	return c
}

// removes makes the removal of what a change of structure made: it needs no approval, but a confirmation.
func removes(c judge.Change, op domain.Operation) judge.Change {
	c.Operation, c.Accepted, c.Wanted, c.Document = op, c.Wanted, nil, nil
	c.Digest += "-gone"
	c.Requirement = policy.Requirement{Operation: op, Rule: string(op), Confirm: policy.ConfirmDigest}
	return c
}

// ofPlatform is a change of a size.
func ofPlatform(size string) judge.Change {
	ref := spec.Ref{Kind: spec.KindInstanceSize, Name: size}
	return judge.Change{
		Ref: ref, Path: ref.Path(), Subject: ref.String(), Operation: domain.ChangePlatform, Wanted: json.RawMessage(`{"cores":2}`),
		Digest: "digest-size-" + size, Document: []byte("spec: {cores: 2}\n"), Claims: []string{"platform:" + ref.Path()},
		Requirement: policy.Requirement{Operation: domain.ChangePlatform, Approvals: 1, Rule: "platform"},
	}
}

// console asks for the console of a VM, for an hour.
func console(vm, login string) judge.Change {
	ref := spec.Ref{Kind: spec.KindConsoleAccess, Name: vm, Login: login}
	return judge.Change{
		Ref: ref, Path: ref.Path(), Subject: ref.String(), Operation: domain.VNCAccess, Environment: domain.Prod, Wanted: json.RawMessage(`{"hours":1}`),
		Digest: "digest-console-" + login, Document: []byte("spec: {hours: 1}\n"), Claims: []string{"access:" + ref.Path()}, Grant: time.Hour, VM: vm,
		Requirement: policy.Requirement{Operation: domain.VNCAccess, Approvals: 1, Rule: "console"},
	}
}

// consoleGone is the removal of such a request.
func consoleGone(vm, login string) judge.Change {
	c := console(vm, login)
	c.Accepted, c.Wanted, c.Document, c.Grant = c.Wanted, nil, nil, 0
	c.Digest += "-gone"
	return c
}

// contested marks what other pull requests hold, who only wait.
func contested(by ...int) func(*judge.Change) {
	return func(c *judge.Change) {
		c.Contested = by
		c.Problems = domain.Problems{{Code: domain.DuplicatePendingRequest, Severity: domain.Error, Path: c.Path, Message: "another pull request already asks for it"}}
	}
}

// crowded is a change for which there is no room.
func crowded(c *judge.Change) {
	c.Plan = nil
	c.Problems = domain.Problems{{Code: domain.QuotaExceeded, Severity: domain.Error, Path: c.Path, Message: "no room"}}
}

// taken is contested by what will not give way.
func taken(c *judge.Change) {
	contested(7)(c)
	c.Contested = nil
}

const modified = `{"disk":"200Gi","size":"large","template":"ubuntu"}`

// replanned is the change whose spec an approver replaced; ahead is git before it says so, and not after.
func replanned(c judge.Change, ahead bool) judge.Change {
	plan := *c.Plan
	c.Planned = &judge.Planned{For: c.Digest, ModifiedSpec: json.RawMessage(modified), Reason: "medium is phased out", By: "alice"}
	c.PlannedDigest, c.Ahead = c.Digest+"-planned", ahead
	plan.Size, plan.EffectiveDigest = "large", c.Plan.EffectiveDigest+"-planned"
	c.Plan = &plan
	if !ahead {
		c.Digest, c.Wanted = c.PlannedDigest, json.RawMessage(modified)
	}
	return c
}

var (
	byAlice = audit.Actor{ID: alice.ID, Login: alice.Login}
	byAda   = audit.Actor{ID: ada.ID, Login: ada.Login}
)

// chosen is what alice wants in place of what the newest ticket of a path asks for.
func (w *world) chosen(path string, edits ...func(*Choice)) []Choice {
	w.Helper()
	t := w.ticket(path)
	c := Choice{Ticket: t.ID, Planned: judge.Planned{For: t.ChangeDigest, ModifiedSpec: json.RawMessage(modified), Reason: "medium is phased out", By: "alice"}}
	for _, e := range edits {
		e(&c)
	}
	return []Choice{c}
}

// word is somebody's confirmation of a change, in a command of its own.
func word(number int, c judge.Change) Confirmed {
	return Confirmed{
		PullRequest: number, Path: c.Path, Subject: c.Subject, Environment: c.Environment, Digest: c.Digest, By: byAda, Command: uuid.New(), At: published,
	}
}

func (w *world) confirm(number int, c judge.Change) {
	w.Helper()
	w.ok(w.g.Confirm(w.Context(), word(number, c)))
}

// running brings the changes to machines that were applied.
func (w *world) running(number int, from, to string, changes ...judge.Change) {
	w.Helper()
	w.merged(number, from, to, changes...)
	for _, c := range changes {
		if c.Operation.OnCluster() {
			w.ok(w.g.Finish(w.Context(), w.started(c.Path), answer))
		}
	}
}

// removed confirms, approves and merges changes, of which some remove.
func (w *world) removed(number int, from, to string, changes ...judge.Change) {
	w.Helper()
	w.approved(number, changes...)
	for i := range changes {
		if changes[i].Requirement.Confirm.Needed() {
			w.confirm(number, changes[i])
			changes[i].Confirmed = "ada"
		}
	}
	w.ok(w.g.Merge(w.Context(), w.span(number, from, to, changes...)))
}

func anybody(*ent.Ticket) string { return "" }

// retry asks for another try and wants it to be as said.
func (w *world) retry(number int, want ...Retried) {
	w.Helper()
	got, err := w.g.Retry(w.Context(), number, byAlice, anybody)
	w.ok(err)
	w.same("retried", want, got)
}

// failed brings the change to where its execution has failed.
func (w *world) failed(number int, from, to string, c judge.Change) {
	w.Helper()
	w.merged(number, from, to, c)
	w.ok(w.g.Fail(w.Context(), w.started(c.Path).Event.ID, outOfQuota))
}

// merge merges changes of a pull request with their newest tickets.
func (w *world) merge(number int, from, to string, changes ...judge.Change) {
	w.Helper()
	w.ok(w.g.Merge(w.Context(), w.span(number, from, to, changes...)))
}

func planIDsOf(plans ...*ent.Plan) (ids []uuid.UUID) {
	for _, p := range plans {
		ids = append(ids, p.ID)
	}
	return ids
}

// caseOfPlan is what the decision about a plan in the database depends on, once it was published. others were
// published before.
func caseOfPlan(p *ent.Plan, at time.Time, others ...uuid.UUID) Case {
	c := onePlan()
	c.Plan, c.PublishedAt, c.Opened, c.Heads = p.ID, at, p.CreatedAt, nil
	c.Plans = []PublishedPlan{{p.ID, at}}
	for _, id := range others {
		c.Plans = append(c.Plans, PublishedPlan{id, published})
	}
	for _, h := range p.Edges.Heads {
		c.Heads = append(c.Heads, h.Sha)
	}
	return c
}

// caseFor is the same of a ticket whose plan was published.
func caseFor(t *ent.Ticket) Case {
	return caseOfPlan(t.Edges.Plan, *t.Edges.Plan.PublishedAt)
}
