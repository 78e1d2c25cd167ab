package approval

import (
	"context"
	"fmt"

	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
)

// Want asks for a pull request to be judged, in the caller's transaction. However many ask while a judge
// job waits, one runs; one that asks while it runs gets another.
func Want(ctx context.Context, tx *store.Tx, queue *jobs.Queue, number int) error {
	return want(ctx, tx, queue, jobs.JudgePullRequest{Number: number})
}

// WantInTime is [Want] behind all that people wait for: what a sweep has found must not hold up what comes in.
func WantInTime(ctx context.Context, tx *store.Tx, queue *jobs.Queue, number int) error {
	return want(ctx, tx, queue, jobs.JudgePullRequest{Number: number, Low: true})
}

func want(ctx context.Context, tx *store.Tx, queue *jobs.Queue, job jobs.JudgePullRequest) error {
	if job.Number <= 0 {
		return nil
	}
	const upsert = `insert into pull_requests (id, wanted, created_at) values ($1, 1, now())
on conflict (id) do update set wanted = pull_requests.wanted + 1 returning queued`
	var queued bool
	if err := tx.PGX.QueryRow(ctx, upsert, job.Number).Scan(&queued); err != nil {
		return fmt.Errorf("ask for the judging of #%d: %w", job.Number, err)
	}
	if queued {
		return hurry(ctx, tx, job)
	}
	if err := tx.PullRequest.UpdateOneID(job.Number).SetQueued(true).Exec(ctx); err != nil {
		return fmt.Errorf("ask for the judging of #%d: %w", job.Number, err)
	}
	return queue.Add(ctx, tx.PGX, job)
}

// hurry lets a judging that waits behind everything wait no longer than what people ask for now, and one that failed be
// tried again at once: what kept it may have passed. One that was asked to come back later stays where it is.
func hurry(ctx context.Context, tx *store.Tx, job jobs.JudgePullRequest) error {
	if job.Low {
		return nil
	}
	const raise = `update river_job set priority = $3 where state = 'available' and queue = $4 and priority > $3 and kind = $1 and args @> jsonb_build_object('number', $2::bigint)`
	const again = `update river_job set priority = $3, state = 'available', scheduled_at = now()
where state = 'retryable' and queue = $4 and kind = $1 and args @> jsonb_build_object('number', $2::bigint)`
	for _, query := range []string{raise, again} {
		_, err := tx.PGX.Exec(ctx, query, job.Kind(), job.Number, job.InsertOpts().Priority, jobs.ClusterQueue(""))
		if err != nil {
			return fmt.Errorf("hurry the judging of #%d: %w", job.Number, err)
		}
	}
	return nil
}
