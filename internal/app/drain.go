package app

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// How long a stopping server lets requests finish, and jobs that were cut off; its configuration says how long it
// lingers, and lets jobs go on.
const httpGrace, cutOffGrace = 5 * time.Second, 5 * time.Second

// stop ends a server that says already that it is not ready. From now on it begins no job, and those that run
// finish; for as long as it lingers it takes webhooks all the same, because whoever sends them may not have
// heard yet: they are stored, and another process works on them.
func (a *App) stop(server *http.Server, linger time.Duration) error {
	var (
		group    sync.WaitGroup
		finished error
	)
	group.Go(func() { finished = a.finish() })
	time.Sleep(linger)
	ctx, cancel := context.WithTimeout(context.Background(), httpGrace)
	defer cancel()
	err := server.Shutdown(ctx)
	group.Wait()
	return errors.Join(err, finished)
}

// finish waits for the jobs that run, and cuts off those that take too long.
func (a *App) finish() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(a.Config.Drain.Jobs))
	defer cancel()
	soft := a.runner.Stop(ctx)
	if soft == nil {
		return nil
	}
	a.Log.Warn("jobs were cut off; they run again", "error", soft)
	ctx, cancel = context.WithTimeout(context.Background(), cutOffGrace)
	defer cancel()
	return a.runner.StopAndCancel(ctx)
}

// drain answers "not ready" from the moment that the server begins to stop.
func (a *App) drain(draining *atomic.Bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if draining.Load() && r.URL.Path == "/health/ready" {
			http.Error(w, "draining", http.StatusServiceUnavailable)
			return
		}
		a.Handler.ServeHTTP(w, r)
	})
}
