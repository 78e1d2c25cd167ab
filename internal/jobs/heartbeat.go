package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
)

// Heartbeat proves that jobs are queued, taken and finished.
type Heartbeat struct{}

// Kind names the job in the database; it is never renamed.
func (Heartbeat) Kind() string { return "heartbeat" }

// InsertOpts lets a heartbeat that nobody could run be forgotten: the next one comes soon.
func (Heartbeat) InsertOpts() river.InsertOpts { return river.InsertOpts{MaxAttempts: 1} }

// HeartbeatEvery is how often the heart beats, and HeartbeatStale from when on it has stopped.
const (
	HeartbeatEvery = 10 * time.Second
	HeartbeatStale = time.Minute
)

// LastHeartbeat is when a heartbeat last finished; zero when none is known.
func LastHeartbeat(ctx context.Context, pool *pgxpool.Pool) (time.Time, error) {
	var at *time.Time
	const query = `select max(finalized_at) from river_job where kind = 'heartbeat' and state = 'completed' and finalized_at > now() - interval '1 hour'`
	if err := pool.QueryRow(ctx, query).Scan(&at); err != nil {
		return time.Time{}, fmt.Errorf("read the last heartbeat: %w", err)
	}
	if at == nil {
		return time.Time{}, nil
	}
	return *at, nil
}
