package bot

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"kv-shepherd.io/shepherd/bot/command"
	"kv-shepherd.io/shepherd/bot/comment"
	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/pullrequest"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
)

// docket is a pull request of which something is asked: what was judged last, and who may what.
type docket struct {
	*Commander
	row    *ent.PullRequest
	report judge.Report
	in     judge.Input // the bindings and what the changes are about; read with the first command
}

// carryOut does what a command asks for, as far as its author may. An error is ours, to be tried again; a
// refusal is part of the answer.
func (d *docket) carryOut(ctx context.Context, cmd *ent.Command) (comment.Answer, error) {
	answer := comment.Answer{Verb: cmd.Verb, Line: written(cmd)}
	switch cmd.Verb {
	case verbUnknown:
		answer.Verb, answer.Line, answer.Suggestion = strings.TrimPrefix(cmd.Args[0], "/"), cmd.Args[0], cmd.Args[1]
		return answer, nil
	case verbProblem:
		var p domain.Problem
		err := json.Unmarshal([]byte(cmd.Block), &p)
		p.Line = 0
		answer.Verb, answer.Line, answer.Problems = string(command.VerbPlan), "/plan", domain.Problems{p}
		if p.Code == domain.BatchTooLarge { // nothing of it was read
			answer.Verb, answer.Line = "", ""
		}
		return answer, err
	}
	if err := d.open(ctx); err != nil {
		return answer, err
	}
	do := map[command.Verb]func(context.Context, *ent.Command, *comment.Answer) error{
		command.VerbPlan: d.plan, command.VerbConfirm: d.confirm, command.VerbHold: d.hold, command.VerbUnhold: d.hold,
		command.VerbRetry: d.retry, command.VerbExplain: d.inform, command.VerbHelp: d.inform,
	}[command.Verb(cmd.Verb)]
	if do == nil {
		return answer, fmt.Errorf("no such command: %q", cmd.Verb)
	}
	return answer, do(ctx, cmd, &answer)
}

// open reads what the commands are about.
func (d *docket) open(ctx context.Context) error {
	if d.in.Bindings != nil {
		return nil
	}
	kept := d.row.Report
	if d.row.State == pullrequest.StateMerged {
		kept = d.row.MergeReport
	}
	if len(kept) > 0 {
		if err := json.Unmarshal(kept, &d.report); err != nil {
			return fmt.Errorf("read the report: %w", err)
		}
	}
	var files []judge.File
	for _, c := range d.report.Changes {
		files = append(files, judge.File{Path: c.Path})
	}
	in, err := d.judge.base(ctx, d.row.ID, files)
	d.in = in
	return err
}

// who is the author of a command as the policy knows them for a change.
func (d *docket) who(ctx context.Context, cmd *ent.Command, op domain.Operation, scope policy.Scope) (policy.Person, error) {
	return d.judge.resolve(ctx, d.in.Bindings, forge.Person{ID: cmd.AuthorID, Login: cmd.AuthorLogin, Bot: cmd.AuthorBot}, scope, op)
}

// any asks about every change until one is allowed. Without changes the author alone may.
func (d *docket) any(ctx context.Context, cmd *ent.Command, may func(policy.Person, judge.Change) policy.Decision) (domain.Problems, error) {
	if cmd.AuthorID == d.row.AuthorID {
		return nil, nil
	}
	why := "there is nothing here that you have a part in"
	for _, c := range d.report.Changes {
		person, err := d.who(ctx, cmd, c.Operation, scopeOf(c))
		if err != nil {
			return nil, err
		}
		decision := may(person, c)
		if decision.Allowed {
			return nil, nil
		}
		why = decision.Why
	}
	return refusedBecause(domain.PermissionDenied, "you may not do this here: "+why, "ask the author, or somebody who may approve"), nil
}

// inform answers with what is known; the text is made when it is written.
func (d *docket) inform(ctx context.Context, cmd *ent.Command, answer *comment.Answer) (err error) {
	answer.Problems, err = d.any(ctx, cmd, func(p policy.Person, c judge.Change) policy.Decision {
		if len(d.in.Bindings.Roles(p, policy.Scope{System: scopeOf(c).System})) > 0 {
			return policy.Decision{Allowed: true}
		}
		return policy.Decision{Why: "no role binding names you"}
	})
	return err
}

func (d *docket) hold(ctx context.Context, cmd *ent.Command, answer *comment.Answer) (err error) {
	if answer.Problems = d.mustBeOpen(); answer.Problems != nil {
		return nil
	}
	author := policy.Person{ID: d.row.AuthorID, Login: d.row.AuthorLogin}
	answer.Problems, err = d.any(ctx, cmd, func(p policy.Person, c judge.Change) policy.Decision {
		return d.in.Bindings.CanHold(p, author, c.Operation, scopeOf(c))
	})
	if err != nil || answer.Problems != nil {
		return err
	}
	if answer.Problems, err = d.overtaken(ctx, cmd); err != nil || answer.Problems != nil {
		return err
	}
	return d.judge.gateway.Hold(ctx, d.row.ID, actorOf(cmd), cmd.Verb == string(command.VerbHold))
}

func (d *docket) mustBeOpen() domain.Problems {
	switch d.row.State {
	case pullrequest.StateOpen:
		return nil
	case pullrequest.StateMerged:
		return refusedBecause(domain.CommandInvalid, "the pull request is merged", "what failed is carried out again with /retry")
	}
	return refusedBecause(domain.CommandInvalid, "the pull request is closed", "reopen it first")
}

func actorOf(cmd *ent.Command) audit.Actor {
	return audit.Actor{ID: cmd.AuthorID, Login: cmd.AuthorLogin}
}

// confirm takes somebody's word that a deletion is meant.
func (d *docket) confirm(ctx context.Context, cmd *ent.Command, answer *comment.Answer) error {
	if answer.Problems = d.mustBeOpen(); answer.Problems != nil {
		return nil
	}
	name, digest, problem := command.ParseConfirm(cmd.Args)
	if problem != nil {
		answer.Problems = domain.Problems{*problem}
		return nil
	}
	change, problems := d.meant(name, digest)
	if answer.Problems = problems; problems != nil {
		return nil
	}
	person, err := d.who(ctx, cmd, change.Operation, scopeOf(change))
	if err != nil {
		return err
	}
	if may := d.in.Bindings.CanConfirm(person, change.Operation, scopeOf(change)); !may.Allowed {
		answer.Problems = refusedBecause(domain.PermissionDenied, "you may not confirm this: "+may.Why, "whoever may delete it confirms it")
		return nil
	}
	answer.Subjects = []string{change.Subject}
	return d.judge.gateway.Confirm(ctx, approval.Confirmed{
		PullRequest: d.row.ID, Path: change.Path, Subject: change.Subject, Environment: change.Environment, Digest: change.Digest,
		By: actorOf(cmd), Command: cmd.ID, At: cmd.At,
	})
}

// meant finds the deletion that a confirmation is about. The digest says what; where the name has to be
// typed it has to be the whole name.
func (d *docket) meant(name, digest string) (judge.Change, domain.Problems) {
	asked := false
	for _, c := range d.report.Changes {
		if !c.Requirement.Confirm.Needed() {
			continue
		}
		asked = true
		if spec.Digest8(c.Digest) != digest {
			continue
		}
		switch {
		case name == c.Subject, name == "" && c.Requirement.Confirm == policy.ConfirmDigest:
			return c, nil
		case name == "":
			return c, refusedBecause(domain.ConfirmationNameMismatch, "the name is missing", "copy the line from below")
		}
		return c, refusedBecause(domain.ConfirmationNameMismatch, "the name is not that of what is deleted", "copy the line from below")
	}
	if asked {
		return judge.Change{}, refusedBecause(domain.ConfirmationNameMismatch, "nothing that is deleted here has this digest; it may have changed since", "copy the line from below")
	}
	return judge.Change{}, refusedBecause(domain.CommandInvalid, "nothing here has to be confirmed", "")
}

// mayNot begins the reason of somebody's not being allowed to retry.
const mayNot = "you may not do this: "

// retry carries out again what failed after the merge.
func (d *docket) retry(ctx context.Context, cmd *ent.Command, answer *comment.Answer) error {
	if d.row.State != pullrequest.StateMerged {
		answer.Problems = refusedBecause(domain.CommandInvalid, "nothing was carried out yet", "/retry is for what failed after the merge")
		return nil
	}
	refused, err := d.overtaken(ctx, cmd)
	if answer.Problems = refused; err != nil || refused != nil {
		return err
	}
	people, code := map[string]policy.Person{}, domain.PermissionDenied
	for _, c := range d.report.Changes {
		person, err := d.who(ctx, cmd, c.Operation, scopeOf(c))
		if err != nil {
			return err
		}
		people[c.Path] = person
	}
	done, err := d.judge.gateway.Retry(ctx, d.row.ID, actorOf(cmd), func(t *ent.Ticket) string {
		scope := policy.Scope{System: t.System, Environment: domain.Environment(t.Environment)}
		if may := d.in.Bindings.CanRetry(people[t.Path], domain.Operation(t.Operation), scope); !may.Allowed {
			return mayNot + may.Why
		}
		return ""
	})
	if err != nil {
		return err
	}
	var not []string
	for _, r := range done {
		if r.Why == "" {
			answer.Subjects = append(answer.Subjects, r.Subject)
		} else {
			not = append(not, r.Subject+": "+r.Why)
			if !strings.HasPrefix(r.Why, mayNot) {
				code = domain.CommandInvalid
			}
		}
	}
	switch {
	case len(answer.Subjects) > 0:
	case len(not) > 0:
		hint := "ask somebody who may"
		if code != domain.PermissionDenied {
			hint = "the later request decides now; ask for anything else in a new pull request"
		}
		answer.Problems = refusedBecause(code, strings.Join(not, "; "), hint)
	default:
		answer.Problems = refusedBecause(domain.CommandInvalid, "nothing here has failed", "")
	}
	return nil
}
