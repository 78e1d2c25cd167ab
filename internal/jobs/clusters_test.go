package jobs

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/riverqueue/river"
)

const untouched = `select state || ' ' || attempt || ' times, ' || count(*) from river_job where queue = 'cluster_b' group by state, attempt`

// A cluster that is added is worked on at once. The jobs of one that is not worked on stay as they are, while
// others run, and are taken when it is worked on again.
func TestWorkOn(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	done := make(chan string, 100)
	r := run(t, pool, Config{Clusters: []string{"b"}}, Workers{VerifyVM: note[VerifyVM](done), Event: executor{}})
	workOn := func(names ...string) {
		t.Helper()
		if err := r.WorkOn(t.Context(), names); err != nil {
			t.Fatal(err)
		}
	}
	workOn("a")
	backlog := make([]river.JobArgs, 50)
	for i := range backlog {
		backlog[i] = VerifyVM{EventID: uuid.New(), Cluster: "b"}
	}
	enqueue(t, pool, backlog...)
	enqueue(t, pool, VerifyVM{EventID: eventID, Cluster: "a"})
	<-done
	time.Sleep(2 * pollInterval) // whoever still looked for them would have taken them
	if diff := cmp.Diff([]string{"available 0 times, 50"}, lines(t, pool, untouched)); diff != "" {
		t.Error(diff)
	}
	workOn("a", "b")
	for range backlog {
		<-done
	}
}

// A job that runs when its cluster is closed is not cut off and holds up no other cluster; its own is opened again
// once it has ended.
func TestWorkOnLetsJobsFinish(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	began, end, done := make(chan bool, 9), make(chan bool), make(chan string, 9)
	verify := func(ctx context.Context, args VerifyVM) error {
		if args.EventID == eventID {
			began <- true
			select {
			case <-end:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		done <- fmt.Sprint(ctx.Err())
		return nil
	}
	r := run(t, pool, Config{Clusters: []string{"b"}}, Workers{VerifyVM: verify, Event: executor{}})
	enqueue(t, pool, VerifyVM{EventID: eventID, Cluster: "b"})
	<-began
	start := time.Now()
	for _, names := range [][]string{nil, {"a"}, {"a", "b"}} {
		if err := r.WorkOn(t.Context(), names); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("it was waited for the job: %s", took)
	}
	enqueue(t, pool, VerifyVM{EventID: uuid.New(), Cluster: "a"}, VerifyVM{EventID: uuid.New(), Cluster: "b"})
	if got := <-done; got != "<nil>" {
		t.Error(got)
	}
	close(end)
	if got := <-done; got != "<nil>" {
		t.Errorf("the job was cut off: %s", got)
	}
	eventually(t, "the queue to be opened again", func() bool {
		if err := r.WorkOn(t.Context(), []string{"a", "b"}); err != nil {
			t.Fatal(err)
		}
		return len(done) == 1
	})
}
