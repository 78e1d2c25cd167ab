package bot

import (
	"context"
	"fmt"

	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/judge"
)

// takeOver lets a pull request have what another one asked for before and nobody has approved there, once
// somebody approves this one's plans, which are on show for that. It reports whether it was taken: the
// world is another one then. All that is contested is taken, or nothing.
func (j *Judge) takeOver(ctx context.Context, number int, c *council) (taken bool, err error) {
	offers, err := j.gateway.Offers(ctx, number, c.report)
	if err != nil {
		return false, err
	}
	by := map[string]audit.Actor{}
	for _, o := range offers {
		change, _ := c.report.Change(o.Path)
		if by[o.Path], err = j.accepts(ctx, number, c, change, o); err != nil {
			return false, err
		}
	}
	var takings []approval.Taking
	for _, change := range c.report.Changes {
		switch {
		case len(change.Contested) == 0:
			continue
		case by[change.Path].ID == 0:
			return false, nil
		}
		takings = append(takings, approval.Taking{Change: change, By: by[change.Path]})
	}
	if len(takings) == 0 {
		return false, nil
	}
	if err := j.gateway.TakeOver(ctx, number, takings...); err != nil { // approval.ErrMoved: it was approved or merged there meanwhile
		return false, fmt.Errorf("take over: %w", err)
	}
	return true, nil
}

// accepts returns who approved a plan on show; nobody where no approval counts, or somebody objects.
func (j *Judge) accepts(ctx context.Context, number int, c *council, change judge.Change, o approval.Offer) (audit.Actor, error) {
	plans, err := j.shown(ctx, number, o.Path)
	if err != nil {
		return audit.Actor{}, err
	}
	outcome := approval.Weigh(c.caseAbout(change, o.Plan.ID, o.Plan, o.Plan.CreatedAt, plans), c.reviews)
	if outcome.Veto == nil {
		for _, v := range outcome.Votes {
			if v.Counts {
				return audit.Actor{ID: v.Review.Reviewer.ID, Login: v.Review.Reviewer.Login}, nil
			}
		}
	}
	return audit.Actor{}, nil
}
