package bot

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"kv-shepherd.io/shepherd/bot/comment"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/effect"
	"kv-shepherd.io/shepherd/ent/pullrequest"
	"kv-shepherd.io/shepherd/ent/review"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
)

// maxInvited is how many people are asked for a review; teams are asked as such.
const maxInvited = 5

// invite asks those who may approve what waits for their reviews, each once a pull request.
func (t *Teller) invite(ctx context.Context, row *ent.PullRequest, v comment.View) error {
	people, teams := invited(v)
	var keys, logins, slugs []string
	for _, name := range append(slices.Clone(people), teams...) {
		key := fmt.Sprintf("%s%d:%s", reviewPrefix, row.ID, name)
		e, again, err := t.record.intend(ctx, key, "")
		if err != nil {
			return err
		}
		if e.Status == effect.StatusDone {
			continue
		}
		keys = append(keys, key)
		if team, ok := strings.CutPrefix(name, teamPrefix); ok {
			_, slug, _ := strings.Cut(team, "/")
			slugs = append(slugs, slug)
			continue
		}
		if again { // whoever was asked and has answered would be asked again
			answered, err := t.db.Review.Query().Where(review.PullRequest(row.ID), review.ReviewerLogin(name)).Exist(ctx)
			if err != nil {
				return fmt.Errorf("look whether %s has reviewed: %w", name, err)
			}
			if answered {
				continue
			}
		}
		logins = append(logins, name)
	}
	if len(keys) == 0 {
		return nil
	}
	if _, err := t.forge.RequestReviewers(ctx, row.ID, logins, slugs); err != nil { // whoever is asked stays asked
		return fmt.Errorf("ask for reviews: %w", err)
	}
	for _, key := range keys {
		if err := t.record.end(ctx, key, effect.StatusDone, "", nil); err != nil {
			return err
		}
	}
	return nil
}

// reviewPrefix is that of the keys of requests for reviews.
const reviewPrefix = "review:"

// teamPrefix is how a report names a team among people.
const teamPrefix = "team "

// invited are those whose approval would count for what waits. Of many people a few are asked, other ones
// for other pull requests.
func invited(v comment.View) (people, teams []string) {
	if v.WaitingSince.IsZero() || v.Report.Blocking() {
		return nil, nil
	}
	for _, name := range v.MayApprove {
		if strings.HasPrefix(name, teamPrefix) {
			teams = append(teams, name)
		} else {
			people = append(people, name)
		}
	}
	slices.Sort(people)
	if n := len(people); n > maxInvited {
		first := v.Number % n
		people = append(people[first:], people[:first]...)[:maxInvited]
	}
	return people, teams
}

// reminded brings what has waited long before people again, once.
func (t *Teller) reminded(ctx context.Context, row *ent.PullRequest, v comment.View) error {
	body, due := comment.Reminder(v)
	if !due {
		return nil
	}
	mark := comment.MarkOf(body)
	return t.notice(ctx, fmt.Sprintf("reminder:%d:%s", row.ID, hashOf(mark)), row.ID, mark, body)
}

// aging is from when on how long something waits is worth saying anew.
const aging = 24 * time.Hour

// Remind asks for all pull requests to be told of that have waited for more than a day, or for as long
// as people may wait: their age is shown, and people are reminded in time.
func (t *Teller) Remind(ctx context.Context, _ jobs.Remind) error {
	var numbers []int
	age := aging
	if t.remind > 0 {
		age = min(age, t.remind)
	}
	err := t.db.Ticket.Query().Where(ticket.StatusEQ(ticket.StatusPENDING_APPROVAL), ticket.CreatedAtLT(t.now().Add(-age))).
		Unique(true).Select(ticket.FieldPullRequest).Scan(ctx, &numbers)
	if err != nil {
		return fmt.Errorf("look for what has waited long: %w", err)
	}
	return t.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		open, err := tx.PullRequest.Query().Where(pullrequest.IDIn(numbers...), pullrequest.StateEQ(pullrequest.StateOpen)).Order(ent.Asc(pullrequest.FieldID)).IDs(ctx)
		if err != nil {
			return fmt.Errorf("look for what has waited long: %w", err)
		}
		for _, n := range open {
			if err := approval.Tell(ctx, tx, t.queue, n); err != nil {
				return err
			}
		}
		return nil
	})
}
