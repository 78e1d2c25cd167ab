package bot

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/pullrequest"
	"kv-shepherd.io/shepherd/ent/repository"
	"kv-shepherd.io/shepherd/internal/domain"
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
// the one that was judged last, and of those whose problems may have passed by themselves.
func (s *Sweeper) Run(ctx context.Context, _ jobs.SweepPullRequests) error {
	listed, err := s.forge.OpenPullRequests(ctx)
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	rows, err := s.db.PullRequest.Query().Where(pullrequest.StateEQ(pullrequest.StateOpen)).
		Select(pullrequest.FieldID, pullrequest.FieldHeadSha, pullrequest.FieldBaseRef, pullrequest.FieldDraft, pullrequest.FieldAsOf).All(ctx)
	if err != nil {
		return fmt.Errorf("sweep: read the pull requests: %w", err)
	}
	moved := movedSince(listed, rows, s.repo.Branch)
	err = s.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		// First, as whoever locks this row and pull requests does.
		if err := tx.Repository.Update().Where(repository.ID(s.repo.ID)).SetLastSweepAt(s.now()).Exec(ctx); err != nil {
			return fmt.Errorf("sweep: note when: %w", err)
		}
		passing, err := passing(ctx, tx)
		if err != nil {
			return err
		}
		forgotten, err := idle(ctx, tx, "queued", "state = 'open' and (queued or wanted > judged)", jobs.JudgePullRequest{}.Kind())
		if err != nil {
			return err
		}
		wanted := slices.Concat(moved, passing, forgotten)
		slices.Sort(wanted)
		for _, number := range slices.Compact(wanted) {
			if err := approval.WantInTime(ctx, tx, s.queue, number); err != nil {
				return err
			}
		}
		return s.tellAgain(ctx, tx)
	})
	if err == nil && len(moved) > 0 {
		s.log.InfoContext(ctx, "pull requests moved without a webhook", "prs", moved)
	}
	return err
}

// tellAgain asks for the telling of those of which nobody tells although they wait for it.
func (s *Sweeper) tellAgain(ctx context.Context, tx *store.Tx) error {
	untold, err := idle(ctx, tx, "telling", "telling", jobs.TellPullRequest{}.Kind())
	if err != nil {
		return err
	}
	for _, number := range untold {
		if err := approval.Tell(ctx, tx, s.queue, number); err != nil {
			return err
		}
	}
	return nil
}

// idle are the pull requests that wait for a job while none is there that would do it, and takes back the flag that
// says so. It happens where a job was given up, or was done by another process while the first still lived on: nothing
// that comes in would queue another one.
func idle(ctx context.Context, tx *store.Tx, flag, waits, kind string) ([]int, error) {
	query := fmt.Sprintf(`update pull_requests p set %s = false where %s and not exists (
select from river_job j where j.kind = $1 and j.state not in ('completed', 'cancelled', 'discarded') and j.args @> jsonb_build_object('number', p.id)) returning p.id`, flag, waits)
	rows, err := tx.PGX.Query(ctx, query, kind)
	if err != nil {
		return nil, fmt.Errorf("sweep: find what waits for a %s that nobody does: %w", kind, err)
	}
	out, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return nil, fmt.Errorf("sweep: read what waits for a %s that nobody does: %w", kind, err)
	}
	return out, nil
}

// passes are the problems that time may mend, without anybody's pushing: limits that count by the hour, clusters
// that come back, and room that was made while it was found missing.
var passes = []domain.Code{domain.RateLimitExceeded, domain.NoEligibleCluster, domain.ClusterUnreachable, domain.QuotaExceeded}

// unsettled finds plans that their cluster refused, or was silent about, when it was asked for a preview.
const unsettled = "$.changes[*].**{1 to 2}.preview ? (exists(@.refused) || exists(@.unanswered))"

// passing are the open pull requests with such a problem.
func passing(ctx context.Context, tx *store.Tx) ([]int, error) {
	const query = `select id from pull_requests where state = 'open' and (report @? $1::jsonpath or report @? $2::jsonpath or report @? $3::jsonpath)`
	var any []string
	for _, code := range passes {
		any = append(any, fmt.Sprintf("@.code == %q", code))
	}
	filter := " ? (" + strings.Join(any, " || ") + ")"
	rows, err := tx.PGX.Query(ctx, query, "$.problems[*]"+filter, "$.changes[*].problems[*]"+filter, unsettled)
	if err != nil {
		return nil, fmt.Errorf("sweep: look for problems that pass: %w", err)
	}
	numbers, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		return nil, fmt.Errorf("sweep: look for problems that pass: %w", err)
	}
	return numbers, nil
}

// movedSince lists the numbers of those that are open at the forge and were not judged as they are, and
// of those that were open when they were judged and are not any more. Reviews, and what was closed and reopened, show
// only in when the forge last saw a change. So does what we said after a judging: then the next one has nothing to add.
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
		case row == nil, row.HeadSha != p.HeadSHA, row.BaseRef != p.BaseRef, row.Draft != p.Draft, row.AsOf == nil || row.AsOf.Before(p.UpdatedAt):
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
