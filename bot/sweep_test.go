package bot

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
)

// openList is a forge that lists pull requests.
type openList []forge.PullRequest

func (l openList) OpenPullRequests(context.Context) ([]forge.PullRequest, error) { return l, nil }

// After an outage hundreds of pull requests have moved. What comes in then is judged before them, also where it is about
// one of them, and a sweep that finds nothing new asks for nothing.
func TestSweepLetsOthersPass(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	var listed openList
	for n := 1; n <= 300; n++ {
		listed = append(listed, forge.PullRequest{Number: n, Open: true, HeadSHA: commit2, BaseRef: "main", UpdatedAt: now()})
	}
	d.exec(`insert into pull_requests (id, head_sha, base_ref, created_at) select n, $1, 'main', now() from generate_series(1, 302) n`, commit1)
	d.exec(`insert into repository (id, branch) values ($1, 'main')`, repo.ID)
	sweep := func(l openList) {
		t.Helper()
		d.ok(NewSweeper(d.db, d.queue, l, repo, slog.New(slog.DiscardHandler), now).Run(t.Context(), jobs.SweepPullRequests{}))
	}
	sweep(listed)
	d.ok(d.db.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		for _, n := range []int{400, 250} {
			if err := approval.Want(ctx, tx, d.queue, n); err != nil {
				return err
			}
		}
		return nil
	}))
	order := d.lines(`select args->>'number' from river_job where kind = 'judge_pull_request' and state = 'available' order by priority, scheduled_at, id`)
	want := []string{"250", "400"}
	for n := 1; n <= 302; n++ { // the last two are not open any more
		if n != 250 {
			want = append(want, fmt.Sprint(n))
		}
	}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Errorf("the order of judging (-want +got):\n%s", diff)
	}

	d.exec(`update pull_requests set head_sha = $1, as_of = $2, judged = wanted, queued = false, state = case when id > 300 then 'closed' else 'open' end`, commit2, now())
	d.exec(`delete from river_job`)
	listed[6].Draft = true
	listed[7].UpdatedAt = listed[7].UpdatedAt.Add(time.Second) // somebody has said something
	sweep(listed)
	listed[6].Draft, listed[7].UpdatedAt = false, listed[8].UpdatedAt
	if diff := cmp.Diff([]string{`judge_pull_request {"number": 7}`, `judge_pull_request {"number": 8}`}, d.jobs()); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
}
