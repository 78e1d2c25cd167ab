package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/riverqueue/river"
	"golang.org/x/net/netutil"

	"kv-shepherd.io/shepherd/internal/api"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
)

// ErrMigrationsPending says that the database is behind this program.
var ErrMigrationsPending = errors.New("migrations are pending: run shepherd migrate up, or serve --migrate")

// maxConnections is how many a server holds at a time: whoever opens more waits for others to end, or to be ended by the
// timeouts below. Each costs some 20 KB, with a webhook in it up to what the intake allows for all together.
const maxConnections = 4096

// Serve serves until ctx ends, then drains: see stop. listening is told the address once webhooks can
// come.
func (a *App) Serve(ctx context.Context, listening func(addr string)) error {
	presence, err := jobs.Attend(ctx, a.Pool, a.id, a.Log, a.again)
	if err != nil {
		return err
	}
	defer presence.Leave(context.WithoutCancel(ctx))
	a.metrics.Presence(func(ctx context.Context) (bool, error) { return presence.Held(ctx, a.Pool) })
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.Config.Listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	ln = netutil.LimitListener(ln, maxConnections)
	// River gets a context of its own: a soft stop lets its jobs finish.
	if err := a.runner.Start(context.WithoutCancel(ctx)); err != nil {
		return errors.Join(fmt.Errorf("start the jobs: %w", err), ln.Close())
	}
	if err := a.missed(ctx); err != nil {
		return errors.Join(err, a.runner.Stop(context.WithoutCancel(ctx)), ln.Close())
	}
	var draining atomic.Bool
	server := &http.Server{Handler: a.drain(&draining), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute}
	failed := make(chan error, 1)
	var wg sync.WaitGroup
	wg.Go(func() { failed <- server.Serve(ln) })
	wg.Go(func() { a.follower.Run(ctx) })
	wg.Go(func() { a.runner.Rescue(ctx) })
	listening(ln.Addr().String())
	linger := a.Linger
	select {
	case <-ctx.Done():
	case err = <-failed:
		linger = 0 // nobody is answered any more
	}
	draining.Store(true)
	err = errors.Join(err, a.stop(server, linger))
	if ctx.Err() == nil {
		return err // the listener broke: do not wait for what follows ctx
	}
	wg.Wait()
	return err
}

// missed looks for what happened while nobody served: at once, not when a leader for periodic jobs is found.
func (a *App) missed(ctx context.Context) error {
	looks := []river.InsertManyParams{
		{Args: jobs.WalkBranch{RepositoryID: a.Repo.ID}}, {Args: jobs.SweepPullRequests{RepositoryID: a.Repo.ID}},
		{Args: jobs.SweepDeliveries{RepositoryID: a.Repo.ID}},
	}
	if _, err := a.runner.InsertMany(ctx, looks); err != nil {
		return fmt.Errorf("look for what was missed: %w", err)
	}
	return nil
}

// again is what follows when the database was away: webhooks were refused, and it may have forgotten some.
func (a *App) again(ctx context.Context) {
	if err := a.missed(ctx); err != nil && ctx.Err() == nil {
		a.Log.WarnContext(ctx, "the periodic sweeps have to do it", "error", err)
	}
}

func (a *App) current(ctx context.Context) error {
	m, err := store.NewMigrator(a.Pool)
	if err != nil {
		return err
	}
	pending, err := m.Pending(ctx)
	if err = errors.Join(err, m.Close()); err != nil {
		return err
	}
	if pending {
		return ErrMigrationsPending
	}
	return nil
}

// checks are what has to be so for the server to be ready.
func (a *App) checks() []api.Check {
	return []api.Check{
		{Name: "database", Run: func(ctx context.Context) error {
			if err := a.Pool.Ping(ctx); err != nil {
				return errors.New("the database does not answer")
			}
			return nil
		}},
		{Name: "migrations", Run: func(ctx context.Context) error {
			err := a.current(ctx)
			if err != nil && !errors.Is(err, ErrMigrationsPending) {
				return errors.New("the migrations' state cannot be read") // anybody may ask: no addresses
			}
			return err
		}},
		{Name: "jobs", Run: func(ctx context.Context) error {
			last, err := jobs.LastHeartbeat(ctx, a.Pool)
			if err != nil {
				return errors.New("the heartbeat cannot be read")
			}
			if time.Since(last) > jobs.HeartbeatStale {
				return fmt.Errorf("no job finished within %s", jobs.HeartbeatStale)
			}
			return nil
		}},
	}
}
