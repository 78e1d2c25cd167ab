package app

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/bot"
	"kv-shepherd.io/shepherd/bot/forge/github"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/gitops"
	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/doctor"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/seal"
	"kv-shepherd.io/shepherd/internal/store"
)

// lookTimeout bounds each part of an examination: what does not answer is a finding.
const lookTimeout = 30 * time.Second

// Examine gathers what a doctor judges. It only reads, needs no server, and goes on where something cannot be
// reached: that is a fact too. Its error is about this machine alone.
func Examine(ctx context.Context, cfg config.Config, log *slog.Logger) (doctor.Facts, error) {
	scratch, err := os.MkdirTemp("", "shepherd-doctor")
	if err != nil {
		return doctor.Facts{}, err
	}
	cfg.DataDir = scratch
	a := &App{Config: cfg, Log: log, Repo: bot.Repository{ID: cfg.Repository.ID, Branch: cfg.Repository.Branch}, scratch: scratch}
	defer a.Close()
	f := doctor.Facts{Configuration: settings(cfg)}
	f.Forge, f.Protection = a.examineForge(ctx)
	f.Database, f.Clusters = a.examineDatabase(ctx)
	return f, nil
}

// settings are what of the configuration is judged.
func settings(cfg config.Config) doctor.Configuration {
	c := doctor.Configuration{
		Grace: time.Duration(cfg.Approval.Grace), Deployments: cfg.GitHub.Deployments, Branch: cfg.Repository.Branch,
		SweepEvery: time.Duration(cfg.Repository.SweepEvery), CheckEvery: time.Duration(cfg.Clusters.CheckEvery),
	}
	if err := cfg.Check(); err != nil {
		c.Problems = strings.Split(err.Error(), "\n")
	}
	if keys, err := seal.ParseKeyring(cfg.EncryptionKeys); err == nil {
		c.Keys = keys.IDs()
	} else if !cfg.EncryptionKeys.Empty() {
		c.Problems = append(c.Problems, "encryptionKeys: "+err.Error())
	}
	return c
}

func (a *App) examineForge(ctx context.Context) (f doctor.Forge, p doctor.Protection) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	asked := time.Now()
	if clock, err := github.Clock(ctx, a.Config.GitHub.BaseURL); err == nil {
		f.Timed, f.Skew = true, skew(clock, asked, time.Now(), time.Second)
	}
	if a.Config.GitHub.App.ID != 0 {
		if app, err := github.Inspect(ctx, a.forgeConfig()); err != nil {
			f.AppUnseen = err.Error()
		} else {
			f.App = &app
		}
	}
	if err := a.openForge(ctx); a.Forge == nil {
		f.Unseen = err.Error()
		return f, p
	}
	repo, err := a.Forge.Repository(ctx)
	there, branchErr := a.Forge.HasBranch(ctx, a.Config.Repository.Branch)
	if err = errors.Join(err, branchErr); err != nil {
		f.Unseen = err.Error()
		return f, p
	}
	f.Repository, f.Branch = repo.Owner+"/"+repo.Name, there
	if p.Protection, err = a.Forge.Protection(ctx, a.Config.Repository.Branch); err != nil {
		p.Unseen = err.Error()
	}
	return f, p
}

// skew is how far a clock is from ours: 0 when it showed a time between asking and the answer, give or take its
// resolution.
func skew(clock, asked, answered time.Time, resolution time.Duration) time.Duration {
	switch {
	case clock.After(answered):
		return clock.Sub(answered)
	case clock.Add(resolution).Before(asked):
		return clock.Add(resolution).Sub(asked)
	}
	return 0
}

func (a *App) examineDatabase(ctx context.Context) (d doctor.Database, c doctor.Clusters) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	pool, err := OpenStore(ctx, a.Config)
	if err == nil {
		a.Pool, a.DB = pool, store.New(pool)
		d, err = readServer(ctx, pool)
	}
	if err == nil {
		switch err = a.current(ctx); {
		case errors.Is(err, ErrMigrationsPending):
			d.Pending = true
			return d, doctor.Clusters{Unseen: err.Error()}
		case err == nil:
			err = a.readActivity(ctx, &d)
		}
	}
	if err != nil {
		return doctor.Database{Unseen: err.Error()}, doctor.Clusters{Unseen: err.Error()}
	}
	return d, a.examineClusters(ctx)
}

// readServer asks PostgreSQL about itself.
func readServer(ctx context.Context, pool *pgxpool.Pool) (d doctor.Database, err error) {
	const query = `select current_setting('server_version_num')::int / 10000,
current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int, clock_timestamp()`
	var clock time.Time
	asked := time.Now()
	err = pool.QueryRow(ctx, query).Scan(&d.Version, &d.MaxConnections, &clock)
	d.Skew = skew(clock, asked, time.Now(), time.Microsecond)
	d.PoolSize = int(pool.Config().MaxConns)
	return d, err
}

// readActivity reads what servers have left behind.
func (a *App) readActivity(ctx context.Context, d *doctor.Database) error {
	var options []string
	if err := a.Pool.QueryRow(ctx, `select coalesce(reloptions, '{}') from pg_class where oid = 'river_job'::regclass`).Scan(&options); err != nil {
		return err
	}
	d.JobOptions = map[string]string{}
	for _, option := range options {
		name, value, _ := strings.Cut(option, "=")
		d.JobOptions[name] = value
	}
	repo, err := a.DB.Repository.Get(ctx, a.Repo.ID)
	switch {
	case ent.IsNotFound(err):
	case err != nil:
		return err
	default:
		d.Baseline, d.Blocked = repo.PlatformCommit != "", repo.Blocked
		d.LastSweep, d.Fetched = since(repo.LastSweepAt), since(repo.DeliveriesSweptTo)
	}
	beat, err := jobs.LastHeartbeat(ctx, a.Pool)
	if err != nil {
		return err
	}
	if !beat.IsZero() {
		d.Heartbeat = since(&beat)
	}
	var last *time.Time
	err = a.Pool.QueryRow(ctx, `select max(received_at) from deliveries where sent_at is null`).Scan(&last)
	d.LastDelivery = since(last)
	return err
}

// since is how long ago something was, at least a moment; 0 when it never was.
func since(at *time.Time) time.Duration {
	if at == nil {
		return 0
	}
	return max(time.Since(*at), time.Millisecond)
}

func (a *App) examineClusters(ctx context.Context) (c doctor.Clusters) {
	rows, err := a.DB.Cluster.Query().Order(ent.Asc("id")).All(ctx)
	if err != nil {
		return doctor.Clusters{Unseen: err.Error()}
	}
	for _, r := range rows {
		one := doctor.Cluster{Name: r.ID, Health: string(r.Health), Message: r.HealthMessage, Key: r.KeyID, Checked: since(r.CheckedAt)}
		if r.PausedUntil != nil && r.PausedUntil.After(time.Now()) {
			one.Paused, one.PausedReason = time.Until(*r.PausedUntil), r.PausedReason
		}
		c.Registered = append(c.Registered, one)
	}
	if c.Platform, err = a.acceptedClusters(ctx); err != nil && !errors.Is(err, errNoBaseline) {
		c.PlatformUnseen = err.Error()
	}
	return c
}

var errNoBaseline = errors.New("there is no baseline yet")

// acceptedClusters are those that the accepted platform names, with their status.
func (a *App) acceptedClusters(ctx context.Context) (map[string]string, error) {
	repo, err := a.DB.Repository.Get(ctx, a.Repo.ID)
	switch {
	case ent.IsNotFound(err) || err == nil && repo.PlatformCommit == "":
		return nil, errNoBaseline
	case err != nil:
		return nil, err
	case a.Rules == nil:
		return nil, errors.New("the repository cannot be reached")
	}
	if err := a.Mirror.FetchCommits(ctx, gitops.SHA(repo.PlatformCommit)); err != nil {
		return nil, err
	}
	rules, _, err := a.Rules.At(ctx, repo.PlatformCommit)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for name, c := range rules.Platform.Clusters {
		out[name] = string(c.Status)
	}
	return out, nil
}
