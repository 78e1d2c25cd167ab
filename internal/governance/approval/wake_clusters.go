package approval

import (
	"context"
	"fmt"
	"strings"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
)

// WakeClusters asks for the judging of the open pull requests that lean on what a cluster can do, behind what
// people wait for: those whose report names it, and those that found no cluster or no storage class, for it may
// have them now. It comes before anything else that the caller locks.
func WakeClusters(ctx context.Context, tx *store.Tx, queue *jobs.Queue, cluster string) error {
	const query = `select id from pull_requests where state = 'open' and (report @? $2::jsonpath
or jsonb_path_exists(report, '$.**.cluster ? (@ == $name)', jsonb_build_object('name', $1::text))) order by id for update`
	var codes []string
	for _, code := range []domain.Code{domain.NoEligibleCluster, domain.ClusterUnreachable, domain.StorageClassUnknown} {
		codes = append(codes, fmt.Sprintf("@ == %q", code))
	}
	numbers, err := numbersOf(ctx, tx, query, cluster, "$.**.code ? ("+strings.Join(codes, " || ")+")")
	if err != nil {
		return fmt.Errorf("look for the open pull requests that lean on cluster %s: %w", cluster, err)
	}
	return wantAll(ctx, tx, queue, numbers, true)
}
