package approval

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/store"
)

// wake asks for the judging of those open pull requests that were refused because another one had a
// name first, or because there was no room for their VMs: it may be free now. The one that frees it need not be
// asked.
func wake(ctx context.Context, tx *store.Tx, queue *jobs.Queue, freed int) error {
	numbers, err := waiting(ctx, tx, freed)
	if err != nil {
		return err
	}
	return wantAll(ctx, tx, queue, numbers, false)
}

// waiting locks those who wait for a name or for room, and the pull request that may free it, in the order of
// their numbers, so that of many who wake each other none waits for the other way round. It is called before
// anything else is locked where that can be known, and returns those who wait.
func waiting(ctx context.Context, tx *store.Tx, freed int) ([]int, error) {
	const query = `select id from pull_requests where id = $2 or state = 'open' and report @? $1::jsonpath order by id for update`
	path := fmt.Sprintf(`$.changes[*].problems[*] ? (@.code == "%s" || @.code == "%s")`, domain.DuplicatePendingRequest, domain.QuotaExceeded)
	numbers, err := numbersOf(ctx, tx, query, path, freed)
	if err != nil {
		return nil, fmt.Errorf("look for who waits for a name or for room: %w", err)
	}
	return slices.DeleteFunc(numbers, func(n int) bool { return n == freed }), nil
}

// wakeNear asks for the judging of the other open pull requests that lean on what a span has done to the branch:
// those below systems of which it has created, changed or removed a file, for they may have waited for it, and
// plans and permissions follow it; those that have reserved the same name elsewhere, which waits for nobody where it
// is only recorded; those that ask for what it has left quarantined; and those that a quarantine
// stops, which it may have ended.
func wakeNear(ctx context.Context, tx *store.Tx, queue *jobs.Queue, s Span) error {
	var systems, names, paths, operations []string
	for _, m := range s.Merged {
		if ref := m.Change.Ref; ref.Kind == spec.KindSystem || ref.Kind == spec.KindService {
			systems = append(systems, ref.System)
			names = append(names, judge.ClaimKeys(ref, nil)...)
		}
	}
	for _, q := range s.Quarantined {
		paths = append(paths, q.Path)
		if q.Operation == domain.ChangePlatform {
			operations = []string{string(q.Operation)} // a platform moves as a whole
		}
	}
	const query = `select distinct id from pull_requests, jsonb_array_elements(coalesce(report->'changes', '[]')) c
where state = 'open' and id <> $1 and (c->'ref'->>'system' = any($2) or c->>'path' = any($3) or c->>'operation' = any($4)
  or c @? $5::jsonpath or exists (select 1 from claims k where k.pull_request = pull_requests.id and k.id = any($6))) order by id`
	stopped := fmt.Sprintf(`$.problems[*] ? (@.code == "%s")`, domain.Quarantined)
	numbers, err := numbersOf(ctx, tx, query, s.Pull.Number, systems, paths, operations, stopped, names)
	if err != nil {
		return fmt.Errorf("look for who leans on the span: %w", err)
	}
	return wantAll(ctx, tx, queue, numbers, true)
}

// wakeAll asks for the judging of every open pull request, behind what people wait for: the rules have
// changed.
func wakeAll(ctx context.Context, tx *store.Tx, queue *jobs.Queue) error {
	numbers, err := numbersOf(ctx, tx, `select id from pull_requests where state = 'open' order by id for update`)
	if err != nil {
		return fmt.Errorf("look for the open pull requests: %w", err)
	}
	return wantAll(ctx, tx, queue, numbers, true)
}

// WakeAbout asks for the judging of the open pull requests that somebody opened, pushed to or reviewed,
// behind what people wait for: what they may do has changed. 0 stands for people who are not named; all open
// pull requests are judged then. It comes before anything else that the caller locks.
func WakeAbout(ctx context.Context, tx *store.Tx, queue *jobs.Queue, person int64) error {
	const about = `select id from pull_requests p where state = 'open' and ($1 = 0 or author_id = $1
or exists (select 1 from pushes where pull_request = p.id and pusher_id = $1)
or exists (select 1 from reviews where pull_request = p.id and reviewer_id = $1)) order by id for update`
	numbers, err := numbersOf(ctx, tx, about, person)
	if err != nil {
		return fmt.Errorf("look for the open pull requests of %d: %w", person, err)
	}
	return wantAll(ctx, tx, queue, numbers, true)
}

// WakeClusters asks for the judging of the open pull requests that lean on what a cluster can do, behind what
// people wait for: those whose report names it, and those of [WakeLacking]. It comes before anything else that the
// caller locks.
func WakeClusters(ctx context.Context, tx *store.Tx, queue *jobs.Queue, cluster string) error {
	const query = `select id from pull_requests where state = 'open' and (report @? $2::jsonpath
or jsonb_path_exists(report, '$.**.cluster ? (@ == $name)', jsonb_build_object('name', $1::text))) order by id for update`
	numbers, err := numbersOf(ctx, tx, query, cluster, lacking)
	if err != nil {
		return fmt.Errorf("look for the open pull requests that lean on cluster %s: %w", cluster, err)
	}
	return wantAll(ctx, tx, queue, numbers, true)
}

// WakeLacking asks for the judging of the open pull requests that found no cluster, not all they ask for on one,
// or that one refused: what a cluster has more than before matters to nobody else. It comes before anything else
// that the caller locks.
func WakeLacking(ctx context.Context, tx *store.Tx, queue *jobs.Queue) error {
	const query = `select id from pull_requests where state = 'open' and report @? $1::jsonpath order by id for update`
	numbers, err := numbersOf(ctx, tx, query, lacking)
	if err != nil {
		return fmt.Errorf("look for the open pull requests that lack something on clusters: %w", err)
	}
	return wantAll(ctx, tx, queue, numbers, true)
}

// lacking is the JSON path of the problems that a cluster may mend by having more than before.
var lacking = func() string {
	var codes []string
	for _, code := range []domain.Code{
		domain.NoEligibleCluster, domain.ClusterUnreachable, domain.StorageClassUnknown, domain.CapabilityUnknown, domain.ClusterRefused,
	} {
		codes = append(codes, fmt.Sprintf("@ == %q", code))
	}
	return "$.**.code ? (" + strings.Join(codes, " || ") + ")"
}()

func numbersOf(ctx context.Context, tx *store.Tx, query string, args ...any) ([]int, error) {
	rows, err := tx.PGX.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[int])
}

func wantAll(ctx context.Context, tx *store.Tx, queue *jobs.Queue, numbers []int, low bool) error {
	for _, n := range numbers {
		if err := want(ctx, tx, queue, jobs.JudgePullRequest{Number: n, Low: low}); err != nil {
			return err
		}
	}
	return nil
}
