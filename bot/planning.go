package bot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/bot/command"
	"kv-shepherd.io/shepherd/bot/comment"
	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/judge"
)

// plan takes what an approver wants to be done in place of what was suggested or asked for. It is judged
// first, as if it had been asked for; what does not pass is not taken.
func (d *docket) plan(ctx context.Context, cmd *ent.Command, answer *comment.Answer) error {
	if answer.Problems = d.mustBeOpen(); answer.Problems != nil {
		return nil
	}
	if cmd.Block == "" {
		answer.Problems = refusedBecause(domain.PlanInvalid, "no plan follows", "write a code block that begins with ```shepherd right below; /help shows one")
		return nil
	}
	tickets, err := d.tickets(ctx)
	if err != nil {
		return err
	}
	names := map[string]spec.Ref{}
	for _, c := range d.report.Changes {
		if c.Ref.Kind == spec.KindVirtualMachine {
			names[c.Subject] = c.Ref
		}
	}
	plans, problems := command.ParsePlan(command.Block{Text: cmd.Block, Line: cmd.Line + 1}, names)
	if problems.Blocking() {
		answer.Problems = problems
		return nil
	}
	if answer.Problems, err = d.overtakenPlan(ctx, cmd, plans, names); err != nil || answer.Problems != nil {
		return err
	}
	choices, refused, err := d.choices(ctx, cmd, plans, tickets)
	if answer.Problems = refused; err != nil || refused != nil {
		return err
	}
	return d.choose(ctx, cmd, choices, answer)
}

// tickets are those that wait or are approved, by path.
func (d *docket) tickets(ctx context.Context) (map[string]*ent.Ticket, error) {
	rows, err := d.judge.db.Ticket.Query().Where(ticket.PullRequest(d.row.ID), ticket.HasEventWith(event.StatusEQ(event.StatusPENDING)),
		ticket.StatusIn(ticket.StatusPENDING_APPROVAL, ticket.StatusAPPROVED)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the tickets: %w", err)
	}
	out := map[string]*ent.Ticket{}
	for _, row := range rows {
		out[row.Path] = row
	}
	return out, nil
}

// choices are the plans of a block as the tickets would keep them, once their author may make them.
func (d *docket) choices(ctx context.Context, cmd *ent.Command, plans command.Plans, tickets map[string]*ent.Ticket) ([]wish, domain.Problems, error) {
	var out []wish
	for _, c := range d.report.Changes {
		p, ok := plans[c.Subject]
		if !ok {
			continue
		}
		t := tickets[c.Path]
		if t == nil {
			return nil, refusedBecause(domain.PlanInvalid, c.Subject+" does not wait for an approval here", "a plan can be made for what waits"), nil
		}
		person, err := d.who(ctx, cmd, c.Operation, scopeOf(c))
		if err != nil {
			return nil, nil, err
		}
		if may := d.in.Bindings.CanPlan(person, c.Operation, scopeOf(c)); !may.Allowed {
			return nil, refusedBecause(domain.PermissionDenied, "you may not plan this: "+may.Why, "whoever may approve it plans it"), nil
		}
		choice := wish{c.Path, approval.Choice{Ticket: t.ID, Planned: judge.Planned{
			For: t.ChangeDigest, Cluster: p.Cluster, StorageClass: p.StorageClass, TemplateVersion: p.TemplateVersion, Reason: p.Reason, By: cmd.AuthorLogin,
		}}}
		if p.Modified != nil {
			choice.Planned.ModifiedSpec = spec.Canonical(p.Modified)
			choice.Dropped = command.DroppedFields(c.Wanted, choice.Planned.ModifiedSpec)
		}
		out = append(out, choice)
	}
	return out, nil, nil
}

// wish is a choice and the path that it is for.
type wish struct {
	path string
	approval.Choice
}

// choose judges the pull request as it would be, and keeps the choices where nothing stands in their way.
func (d *docket) choose(ctx context.Context, cmd *ent.Command, wishes []wish, answer *comment.Answer) error {
	pull, report, err := d.rehearse(ctx, wishes)
	if err != nil {
		return err
	}
	var choices []approval.Choice
	var planned []judge.Change
	for _, w := range wishes {
		change, ok := report.Change(w.path)
		if !ok || change.Problems.Blocking() || change.Planned == nil {
			answer.Problems = unplannable(change)
			return nil
		}
		choices, planned = append(choices, w.Choice), append(planned, change)
	}
	if err := d.judge.gateway.Choose(ctx, d.row.ID, choices, actorOf(cmd)); err != nil {
		return err
	}
	answer.Plans, err = d.bring(ctx, cmd, pull, planned)
	return err
}

// rehearse judges the pull request as it would be with the choices.
func (d *docket) rehearse(ctx context.Context, wishes []wish) (pull forge.PullRequest, report judge.Report, err error) {
	if pull, err = d.judge.forge.PullRequest(ctx, d.row.ID); err != nil {
		return pull, report, err
	}
	h, err := d.judge.fetch(ctx, pull)
	if err != nil {
		return pull, report, err
	}
	in, err := d.judge.input(ctx, pull, h)
	if err != nil {
		return pull, report, err
	}
	for _, w := range wishes {
		in.Planned[w.path] = w.Planned
	}
	return pull, judge.Judge(in), nil
}

// unplannable is why a plan cannot be taken; its lines would not be those of the file.
func unplannable(change judge.Change) (out domain.Problems) {
	for _, p := range change.Problems.Sorted() {
		if p.Severity == domain.Error {
			p.Line = 0
			out = append(out, p)
		}
	}
	if len(out) == 0 {
		return refusedBecause(domain.PlanInvalid, "the request has changed meanwhile", "look at it again, and send the plan once more")
	}
	return out
}

// suggested is the result of an offer that the forge took.
const suggested = "suggested"

// bring gets git to say what the plans say, once: by one commit where that is switched on, else, or where the
// branch is not ours to write, by an offer for each.
func (d *docket) bring(ctx context.Context, cmd *ent.Command, pull forge.PullRequest, planned []judge.Change) (out []comment.PlanAnswer, err error) {
	commit := ""
	if d.push && !pull.Fork && slices.ContainsFunc(planned, modified) {
		commit, err = d.teller.record.once(ctx, deed{
			key: "plan:" + cmd.ID.String(),
			do:  func(ctx context.Context) (string, error) { return d.commit(ctx, pull, planned) },
			look: func(context.Context) (string, error) {
				if slices.ContainsFunc(planned, func(c judge.Change) bool { return c.Ahead }) {
					return "", forge.ErrNotFound
				}
				return pull.HeadSHA, nil // which says what the plan says
			},
		})
		if err != nil {
			return nil, err
		}
	}
	for _, change := range planned {
		a := comment.PlanAnswer{Ref: change.Ref, Planned: *change.Planned, Wanted: change.Wanted, Dropped: change.Dropped}
		switch {
		case commit != "" && (change.Ahead || commit == pull.HeadSHA && modified(change)):
			a.Commit = commit
		case change.Ahead:
			if a.Suggested, err = d.suggest(ctx, cmd, pull, change); err != nil {
				return nil, err
			}
		}
		out = append(out, a)
	}
	return out, nil
}

func modified(c judge.Change) bool { return len(c.Planned.ModifiedSpec) > 0 }

// commit writes the planned files to the branch. One that moved, or is not ours to write, is left to people.
func (d *docket) commit(ctx context.Context, pull forge.PullRequest, planned []judge.Change) (string, error) {
	var edits []forge.FileEdit
	var about []string
	for _, change := range planned {
		if !change.Ahead {
			continue
		}
		content, err := plannedFile(change)
		if err != nil {
			return "", err
		}
		edits, about = append(edits, forge.FileEdit{Path: change.Path, Content: content}), append(about, change.Subject)
	}
	if len(edits) == 0 {
		return "", nil
	}
	message := "Take over the plan for " + strings.Join(about, ", ") + "\n\nAs planned by " + planned[0].Planned.By + " on the pull request."
	sha, err := d.forge.CommitOnHead(ctx, pull.HeadRef, pull.HeadSHA, edits, message)
	if errors.Is(err, forge.ErrConflict) || errors.Is(err, forge.ErrRefused) {
		return "", nil
	}
	return sha, err
}

// suggest offers the planned file on the lines of a new one, once, and reports whether the forge took it. Of a changed
// file only some lines are part of the difference, which is all that a suggestion can replace.
func (d *docket) suggest(ctx context.Context, cmd *ent.Command, pull forge.PullRequest, change judge.Change) (bool, error) {
	if change.Accepted != nil {
		return false, nil
	}
	content, err := plannedFile(change)
	if err != nil {
		return false, err
	}
	head, err := d.judge.mirrorContent(ctx, pull.HeadSHA, change.Path)
	if err != nil || head == nil {
		return false, err
	}
	body := forge.Suggestion(string(content))
	result, err := d.teller.record.once(ctx, deed{
		key: fmt.Sprintf("plan:%s:%s", cmd.ID, change.Path),
		do: func(ctx context.Context) (string, error) {
			_, err := d.forge.Suggest(ctx, pull.Number, pull.HeadSHA, change.Path, 1, lines(head), body)
			if errors.Is(err, forge.ErrRefused) || errors.Is(err, forge.ErrConflict) {
				return "", nil
			}
			return suggested, err
		},
		look: func(ctx context.Context) (string, error) {
			_, err := d.forge.FindSuggestion(ctx, pull.Number, change.Path, body)
			return suggested, err
		},
	})
	return result == suggested, err
}

// lines is how many lines a file has.
func lines(content []byte) int {
	n := bytes.Count(content, []byte("\n"))
	if len(content) > 0 && content[len(content)-1] != '\n' {
		n++
	}
	return n
}

// plannedFile is a file that says what the plan says.
func plannedFile(change judge.Change) ([]byte, error) {
	var body any
	if err := json.Unmarshal(change.Planned.ModifiedSpec, &body); err != nil {
		return nil, fmt.Errorf("read the planned spec of %s: %w", change.Subject, err)
	}
	return yaml.Marshal(map[string]any{"apiVersion": spec.APIVersion, "kind": string(change.Ref.Kind), "spec": body})
}
