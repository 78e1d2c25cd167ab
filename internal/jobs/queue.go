package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
)

// Queue writes jobs, always inside the caller's transaction: a job exists if and only if what it is
// about was committed.
type Queue struct{ client *river.Client[pgx.Tx] }

// NewQueue gives a queue that only inserts. It needs no connection of its own.
func NewQueue() (*Queue, error) {
	// River tells waiting workers of at most one insert a cooldown: at its default of 100 ms the next
	// step of a request would often wait for the workers' own poll.
	client, err := river.NewClient(riverpgxv5.New(nil), &river.Config{FetchCooldown: time.Millisecond})
	if err != nil {
		return nil, fmt.Errorf("open the job queue: %w", err)
	}
	return &Queue{client}, nil
}

// Add inserts a job into tx. Where its kind is unique and an equal one waits already, nothing is
// inserted.
func (q *Queue) Add(ctx context.Context, tx pgx.Tx, args river.JobArgs) error {
	if _, err := q.client.InsertTx(ctx, tx, args, nil); err != nil {
		return fmt.Errorf("queue %s: %w", args.Kind(), err)
	}
	return nil
}

// AddMany inserts jobs in one round trip.
func (q *Queue) AddMany(ctx context.Context, tx pgx.Tx, args []river.JobArgs) error {
	if len(args) == 0 {
		return nil
	}
	params := make([]river.InsertManyParams, len(args))
	for i, a := range args {
		params[i] = river.InsertManyParams{Args: a}
	}
	if _, err := q.client.InsertManyTx(ctx, tx, params); err != nil {
		return fmt.Errorf("queue %d jobs: %w", len(args), err)
	}
	return nil
}
