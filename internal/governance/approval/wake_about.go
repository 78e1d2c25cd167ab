package approval

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
)

// WakeAbout asks for the judging of the open pull requests that somebody opened, pushed to or reviewed,
// behind what people wait for: what they may do has changed. 0 stands for people who are not named; all open
// pull requests are judged then. It comes before anything else that the caller locks.
func WakeAbout(ctx context.Context, tx *store.Tx, queue *jobs.Queue, person int64) error {
	const about = `select id from pull_requests p where state = 'open' and ($1 = 0 or author_id = $1
or exists (select 1 from pushes where pull_request = p.id and pusher_id = $1)
or exists (select 1 from reviews where pull_request = p.id and reviewer_id = $1)) order by id for update`
	rows, err := tx.PGX.Query(ctx, about, person)
	if err != nil {
		return fmt.Errorf("look for the open pull requests of %d: %w", person, err)
	}
	numbers, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return fmt.Errorf("look for the open pull requests of %d: %w", person, err)
	}
	for _, n := range numbers {
		if err := want(ctx, tx, queue, jobs.JudgePullRequest{Number: n, Low: true}); err != nil {
			return err
		}
	}
	return nil
}
