package bot

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/pullrequest"
	"kv-shepherd.io/shepherd/ent/repository"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
)

// sweepForge lists what is open.
type sweepForge interface {
	OpenPullRequests(ctx context.Context) ([]forge.PullRequest, error)
}

// Sweeper finds pull requests that moved without a webhook's telling.
type Sweeper struct {
	db    *store.DB
	queue *jobs.Queue
	forge sweepForge
	repo  Repository
	log   *slog.Logger
	now   func() time.Time
}

// NewSweeper gives a sweeper.
func NewSweeper(db *store.DB, queue *jobs.Queue, f sweepForge, repo Repository, log *slog.Logger, now func() time.Time) *Sweeper {
	return &Sweeper{db: db, queue: queue, forge: f, repo: repo, log: log, now: now}
}

// Run asks for the judging of every pull request of the governed branch whose state at the forge is not
// the one that was judged last.
func (s *Sweeper) Run(ctx context.Context, _ jobs.SweepPullRequests) error {
	listed, err := s.forge.OpenPullRequests(ctx)
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	rows, err := s.db.PullRequest.Query().Where(pullrequest.StateEQ(pullrequest.StateOpen)).
		Select(pullrequest.FieldID, pullrequest.FieldHeadSha, pullrequest.FieldBaseRef, pullrequest.FieldDraft, pullrequest.FieldState).All(ctx)
	if err != nil {
		return fmt.Errorf("sweep: read the pull requests: %w", err)
	}
	moved := movedSince(listed, rows, s.repo.Branch)
	err = s.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, number := range moved {
			if err := approval.Want(ctx, tx, s.queue, number); err != nil {
				return err
			}
		}
		return tx.Repository.Update().Where(repository.ID(s.repo.ID)).SetLastSweepAt(s.now()).Exec(ctx)
	})
	if err == nil && len(moved) > 0 {
		s.log.InfoContext(ctx, "pull requests moved without a webhook", "prs", moved)
	}
	return err
}

// movedSince lists the numbers of those that are open at the forge and were not judged as they are, and
// of those that were open when they were judged and are not any more.
func movedSince(listed []forge.PullRequest, rows []*ent.PullRequest, branch string) (moved []int) {
	known := map[int]*ent.PullRequest{}
	for _, row := range rows {
		known[row.ID] = row
	}
	for _, p := range listed {
		row := known[p.Number]
		delete(known, p.Number)
		switch {
		case row == nil && p.BaseRef != branch:
		case row == nil, row.HeadSha != p.HeadSHA, row.BaseRef != p.BaseRef, row.Draft != p.Draft:
			moved = append(moved, p.Number)
		}
	}
	for _, row := range rows {
		if known[row.ID] != nil {
			moved = append(moved, row.ID)
		}
	}
	return moved
}
