package jobs

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/riverqueue/river"
)

// JudgePullRequest recomputes a pull request from the forge and from git. It is not unique for River:
// a webhook during a judging has to queue another one. The row's queued flag coalesces bursts.
type JudgePullRequest struct {
	Number int `json:"number"`
	// Low puts it behind all that people wait for; it is no argument.
	Low bool `json:"-"`
}

// Kind names the job in the database; it is never renamed.
func (JudgePullRequest) Kind() string { return "judge_pull_request" }

// InsertOpts puts judging behind routing and walking.
func (a JudgePullRequest) InsertOpts() river.InsertOpts {
	if a.Low {
		return river.InsertOpts{Priority: 4}
	}
	return river.InsertOpts{Priority: 3}
}

// HurryJudgings lets the judgings that wait for a moment to come be done at once, in the caller's transaction: what
// they waited for is there.
func HurryJudgings(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `update river_job set state = 'available', scheduled_at = now() where kind = $1 and state = 'scheduled'`, JudgePullRequest{}.Kind())
	if err != nil {
		return fmt.Errorf("hurry the judgings: %w", err)
	}
	return nil
}
