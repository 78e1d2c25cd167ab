package jobs

import (
	"testing"
	"time"
)

func TestLastHeartbeat(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	last := func() time.Time {
		t.Helper()
		at, err := LastHeartbeat(t.Context(), pool)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	beat := func(kind, state string, ago time.Duration) {
		t.Helper()
		_, err := pool.Exec(t.Context(), `insert into river_job (args, kind, max_attempts, state, finalized_at)
values ('{}', $1, 1, $2::text::river_job_state, case when $2::text <> 'available' then now() - $3::interval end)`, kind, state, ago)
		if err != nil {
			t.Fatal(err)
		}
	}
	if at := last(); !at.IsZero() {
		t.Errorf("none yet: %s", at)
	}
	beat("heartbeat", "available", 0)
	beat("heartbeat", "discarded", 0)
	beat("walk_branch", "completed", 0)
	beat("heartbeat", "completed", 2*time.Hour)
	if at := last(); !at.IsZero() {
		t.Errorf("none that counts: %s", at)
	}
	beat("heartbeat", "completed", 30*time.Second)
	beat("heartbeat", "completed", 20*time.Second)
	if ago := time.Since(last()); ago < 19*time.Second || ago > 40*time.Second {
		t.Errorf("%s ago", ago)
	}
	pool.Close()
	if _, err := LastHeartbeat(t.Context(), pool); err == nil {
		t.Error("no error without a database")
	}
}
