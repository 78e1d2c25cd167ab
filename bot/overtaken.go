package bot

import (
	"context"
	"fmt"
	"time"

	"kv-shepherd.io/shepherd/bot/command"
	"kv-shepherd.io/shepherd/ent"
	entcommand "kv-shepherd.io/shepherd/ent/command"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// rivals are the verbs of which the last one that was said stands. A comment whose webhook was lost is heard late, and
// may be older than one that was carried out before it.
var rivals = map[command.Verb][]string{
	command.VerbHold:   {string(command.VerbHold), string(command.VerbUnhold)},
	command.VerbUnhold: {string(command.VerbHold), string(command.VerbUnhold)},
	command.VerbRetry:  {string(command.VerbRetry)},
	command.VerbPlan:   {string(command.VerbPlan)},
}

// later are the commands that rival one, were said after it by the forge's clock, and are carried out.
func (d *docket) later(ctx context.Context, cmd *ent.Command) ([]*ent.Command, error) {
	verbs := rivals[command.Verb(cmd.Verb)]
	if len(verbs) == 0 {
		return nil, nil
	}
	after := entcommand.Or(entcommand.AtGT(cmd.At), entcommand.And(entcommand.AtEQ(cmd.At), entcommand.Or(
		entcommand.SourceIDGT(cmd.SourceID), entcommand.And(entcommand.SourceID(cmd.SourceID), entcommand.OrdinalGT(cmd.Ordinal)))))
	rows, err := d.judge.db.Command.Query().Where(entcommand.PullRequest(cmd.PullRequest), entcommand.VerbIn(verbs...),
		entcommand.StatusEQ(entcommand.StatusDone), after).Order(ent.Desc(entcommand.FieldAt, entcommand.FieldSourceID, entcommand.FieldOrdinal)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("look for later commands: %w", err)
	}
	return rows, nil
}

// overtaken refuses a command that the last one said and carried out stands against.
func (d *docket) overtaken(ctx context.Context, cmd *ent.Command) (domain.Problems, error) {
	later, err := d.later(ctx, cmd)
	if err != nil || len(later) == 0 {
		return nil, err
	}
	return late(later[0]), nil
}

// overtakenPlan refuses a plan for machines that were planned after it was said, and one that was said before the
// pull request was closed or aimed elsewhere: that ended what it was for.
func (d *docket) overtakenPlan(ctx context.Context, cmd *ent.Command, plans command.Plans, names map[string]spec.Ref) (domain.Problems, error) {
	if d.row.Epoch != nil && cmd.At.Before(d.row.Epoch.Truncate(time.Second)) { // forges tell seconds
		return refusedBecause(domain.CommandInvalid, "it was said before the pull request was closed or aimed elsewhere, which ended what it was for",
			"send it again if it is still meant"), nil
	}
	later, err := d.later(ctx, cmd)
	if err != nil {
		return nil, err
	}
	for _, l := range later {
		others, _ := command.ParsePlan(command.Block{Text: l.Block}, names)
		for name := range plans {
			if _, both := others[name]; both {
				return late(l), nil
			}
		}
	}
	return nil, nil
}

func late(by *ent.Command) domain.Problems {
	return refusedBecause(domain.CommandInvalid, fmt.Sprintf("it came in late: the /%s of %s, said after it, was carried out before", by.Verb, by.AuthorLogin),
		"send it again if it is still meant")
}
