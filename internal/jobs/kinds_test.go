package jobs

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/riverqueue/river"
)

var eventID = uuid.MustParse("00000000-0000-4000-8000-000000000001")

// all are the kinds with every argument set.
var all = []river.JobArgs{
	AnswerCommands{Number: 7},
	CheckClusters{},
	CheckMergeGroup{Head: "c2", Base: "c1"},
	EventJob{EventID: eventID, Cluster: "prod-1"},
	Heartbeat{},
	JudgePullRequest{Number: 7},
	MergePullRequest{Number: 7, Head: "c2"},
	OfferUndo{From: "c1", To: "c2"},
	PrepareRedo{From: "c1", To: "c2", Base: "c3", Undo: 9},
	PruneDeliveries{},
	Remind{RepositoryID: 42},
	RouteDelivery{DeliveryID: "d1"},
	SweepDeliveries{RepositoryID: 42},
	SweepPullRequests{RepositoryID: 42},
	TellPullRequest{Number: 7},
	VerifyVM{EventID: eventID, Cluster: "prod-1"},
	WalkBranch{RepositoryID: 42},
}

// What is in a database today has to be understood tomorrow: kinds and arguments are never renamed. A
// line or an argument may be added, not changed.
var golden = []string{
	`answer_commands {"number": 7} in default, priority 2, 25 attempts`,
	`check_clusters {} in default, priority 1, 1 attempts`,
	`check_merge_group {"base": "c1", "head": "c2"} in default, priority 2, 25 attempts`,
	`event_job {"event_id": "00000000-0000-4000-8000-000000000001"} in cluster_prod-1, priority 1, 12 attempts`,
	`heartbeat {} in default, priority 1, 1 attempts`,
	`judge_pull_request {"number": 7} in default, priority 3, 25 attempts`,
	`merge_pull_request {"head": "c2", "number": 7} in default, priority 3, 25 attempts`,
	`offer_undo {"to": "c2", "from": "c1"} in default, priority 1, 25 attempts`,
	`prepare_redo {"to": "c2", "base": "c3", "from": "c1", "undo": 9} in default, priority 1, 25 attempts`,
	`prune_deliveries {} in default, priority 4, 1 attempts`,
	`remind {"repository_id": 42} in default, priority 4, 25 attempts`,
	`route_delivery {"delivery_id": "d1"} in default, priority 1, 25 attempts`,
	`sweep_deliveries {"repository_id": 42} in default, priority 4, 3 attempts`,
	`sweep_pull_requests {"repository_id": 42} in default, priority 4, 3 attempts`,
	`tell_pull_request {"number": 7} in default, priority 2, 25 attempts`,
	`verify_vm {"event_id": "00000000-0000-4000-8000-000000000001"} in cluster_prod-1, priority 3, 25 attempts`,
	`walk_branch {"repository_id": 42} in default, priority 1, 25 attempts`,
}

func TestKindsAreNeverRenamed(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	enqueue(t, pool, all...)
	got := lines(t, pool, `select format('%s %s in %s, priority %s, %s attempts', kind, args, queue, priority, max_attempts) from river_job order by kind`)
	if diff := cmp.Diff(golden, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Every kind has a worker, which is given what was queued.
func TestEveryKindIsWorked(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	done := make(chan string, len(all))
	exec := executor{execute: func(_ context.Context, id uuid.UUID) error {
		done <- fmt.Sprint(EventJob{EventID: id})
		return nil
	}}
	run(t, pool, Config{Clusters: []string{"prod-1"}}, Workers{
		RouteDelivery: note[RouteDelivery](done), JudgePullRequest: note[JudgePullRequest](done), TellPullRequest: note[TellPullRequest](done),
		WalkBranch: note[WalkBranch](done), OfferUndo: note[OfferUndo](done), PrepareRedo: note[PrepareRedo](done),
		AnswerCommands: note[AnswerCommands](done), MergePullRequest: note[MergePullRequest](done), CheckMergeGroup: note[CheckMergeGroup](done), Remind: note[Remind](done),
		VerifyVM: note[VerifyVM](done), Heartbeat: note[Heartbeat](done), CheckClusters: note[CheckClusters](done), PruneDeliveries: note[PruneDeliveries](done), Sweep: note[SweepPullRequests](done), SweepDeliveries: note[SweepDeliveries](done), Event: exec,
	})
	enqueue(t, pool, all...)
	var got, want []string
	for _, args := range all {
		switch a := args.(type) { // the cluster is no argument
		case EventJob:
			a.Cluster = ""
			args = a
		case VerifyVM:
			a.Cluster = ""
			args = a
		}
		want = append(want, fmt.Sprint(args))
		got = append(got, <-done)
	}
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func note[A river.JobArgs](done chan<- string) func(context.Context, A) error {
	return func(_ context.Context, args A) error {
		done <- fmt.Sprint(args)
		return nil
	}
}

// Every name that a cluster may have makes a queue that River takes.
func TestClusterQueues(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	names := []string{"a", "prod-1", "east-2b", "a-b-c-d", strings.Repeat("x", 40)}
	r, err := NewRunner(pool, Config{Logger: quiet(), Clusters: names}, Workers{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := r.WorkOn(t.Context(), append(names, "west")); err != nil {
			t.Error(err)
		}
	}
	if got := ClusterQueue(""); got != river.QueueDefault {
		t.Errorf("without a cluster: %s", got)
	}
	if got := ClusterQueue("prod-1"); got != "cluster_prod-1" {
		t.Errorf("of prod-1: %s", got)
	}
}

// A job is there if and only if its transaction is.
func TestAddIsPartOfTheTransaction(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	q, err := NewQueue()
	if err != nil {
		t.Fatal(err)
	}
	tx, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Add(t.Context(), tx, WalkBranch{RepositoryID: 1}); err != nil {
		t.Fatal(err)
	}
	if err := q.AddMany(t.Context(), tx, nil); err != nil {
		t.Errorf("none at all: %v", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := q.Add(t.Context(), tx, WalkBranch{}); err == nil || !strings.Contains(err.Error(), "queue walk_branch") {
		t.Errorf("in a transaction that is over: %v", err)
	}
	if err := q.AddMany(t.Context(), tx, []river.JobArgs{WalkBranch{}}); err == nil {
		t.Error("many in a transaction that is over")
	}
	if got := lines(t, pool, `select kind from river_job`); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
}

func TestPeriodic(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	run(t, pool, Config{Periodic: []Periodic{{Every: HeartbeatEvery, Args: func() river.JobArgs { return Heartbeat{} }}}},
		Workers{Heartbeat: func(context.Context, Heartbeat) error { return nil }, Event: executor{}})
	eventually(t, "the first heartbeat", func() bool {
		at, err := LastHeartbeat(t.Context(), pool)
		if err != nil {
			t.Fatal(err)
		}
		return !at.IsZero()
	})
}
