package bot

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/store"
)

// wake asks for the judging of those open pull requests that were refused because another one had a
// name first: it may be free now.
func (j *Judge) wake(ctx context.Context) error {
	const query = `select id from pull_requests where state = 'open' and report @? $1::jsonpath`
	path := fmt.Sprintf(`$.changes[*].problems[*] ? (@.code == "%s")`, domain.DuplicatePendingRequest)
	return j.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		rows, err := tx.PGX.Query(ctx, query, path)
		if err != nil {
			return fmt.Errorf("look for who waits for a name: %w", err)
		}
		numbers, err := pgx.CollectRows(rows, pgx.RowTo[int])
		if err != nil {
			return fmt.Errorf("look for who waits for a name: %w", err)
		}
		for _, n := range numbers {
			if err := Want(ctx, tx, j.queue, n); err != nil {
				return err
			}
		}
		return nil
	})
}
