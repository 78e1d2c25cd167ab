// Package app puts the server together: every New and every worker's function, a flat inventory.
package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"kv-shepherd.io/shepherd/bot"
	"kv-shepherd.io/shepherd/bot/forge/github"
	"kv-shepherd.io/shepherd/gitops"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/api"
	"kv-shepherd.io/shepherd/internal/budget"
	"kv-shepherd.io/shepherd/internal/config"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/policy"
	"kv-shepherd.io/shepherd/internal/provider"
	"kv-shepherd.io/shepherd/internal/seal"
	"kv-shepherd.io/shepherd/internal/service"
	"kv-shepherd.io/shepherd/internal/store"
)

// App is the server, put together and not yet running.
type App struct {
	Config  config.Config
	Log     *slog.Logger
	Pool    *pgxpool.Pool
	DB      *store.DB
	Forge   *github.Client
	Mirror  *gitops.Mirror
	Rules   *bot.RuleBook
	Repo    bot.Repository
	Handler http.Handler
	// Linger is for how long a server that is told to stop still answers, with "not ready": who sends it
	// requests needs a moment to notice.
	Linger time.Duration

	scratch  string // a folder to be removed
	id       string
	runner   *jobs.Runner
	follower *service.Follower
	metrics  *api.Metrics
	limiter  *budget.Limiter // nil where there is no database
	answers  *budget.Answers
}

// New puts the server together. It reaches the database and the forge, and starts nothing. Close it.
func New(ctx context.Context, cfg config.Config, log *slog.Logger) (*App, error) {
	a, err := open(ctx, cfg, log, "")
	if err != nil {
		return nil, err
	}
	if err := a.wire(ctx); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// NewAside puts together what a command needs that runs beside a server: the database, the forge and a
// mirror of its own.
func NewAside(ctx context.Context, cfg config.Config, log *slog.Logger) (*App, error) {
	dir, err := os.MkdirTemp("", "shepherd-mirror")
	if err != nil {
		return nil, fmt.Errorf("make a place for the mirror: %w", err)
	}
	cfg.DataDir = dir
	return open(ctx, cfg, log, dir)
}

// open reaches what every part works on. scratch is removed with the App.
func open(ctx context.Context, cfg config.Config, log *slog.Logger, scratch string) (*App, error) {
	a := &App{
		Config: cfg, Log: log, Repo: bot.Repository{ID: cfg.Repository.ID, Branch: cfg.Repository.Branch},
		id: processID(), scratch: scratch, Linger: time.Duration(cfg.Drain.Linger),
	}
	if err := a.reach(ctx); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

func (a *App) reach(ctx context.Context) (err error) {
	if err := a.Config.Check(); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	if a.Pool, err = store.Open(ctx, a.Config.Database.Reveal()); err != nil {
		return err
	}
	a.DB = store.New(a.Pool)
	if err := a.current(ctx); err != nil {
		return err
	}
	a.metrics = api.NewMetrics(a.Pool, a.Log)
	a.limiter = budget.New(a.Pool, budget.Options{Content: contentRates(a.Config), Held: a.metrics.Held, Log: a.Log, Now: time.Now})
	a.answers = budget.NewAnswers(a.Pool, a.Log)
	return a.openForge(ctx)
}

// Baseline puts together what accepts a commit as the start.
func (a *App) Baseline() (*bot.Baseline, error) {
	queue, err := jobs.NewQueue()
	if err != nil {
		return nil, err
	}
	clusters, _, err := NewClusters(a.Config, a.Pool, a.Log)
	if err != nil {
		return nil, err
	}
	judging := bot.NewJudge(bot.JudgeDeps{
		Pool: a.Pool, DB: a.DB, Gateway: approval.New(a.DB, queue, time.Now), Queue: queue, Mirror: a.Mirror, Rules: a.Rules, Repo: a.Repo, Now: time.Now, Log: a.Log,
		Settings: bot.Settings{Administrators: administrators(a.Config)},
	})
	return &bot.Baseline{Judge: judging, Fleet: clusters, DB: a.DB, Mirror: a.Mirror, Rules: a.Rules, Repo: a.Repo, Log: a.Log}, nil
}

// OpenStore opens the database alone, for commands that need nothing else.
func OpenStore(ctx context.Context, cfg config.Config) (*pgxpool.Pool, error) {
	if cfg.Database.Empty() {
		return nil, errors.New("configuration: database: set it, or DATABASE_URL, to PostgreSQL's address")
	}
	return store.Open(ctx, cfg.Database.Reveal())
}

// NewClusters opens the keeper of clusters' credentials.
func NewClusters(cfg config.Config, pool *pgxpool.Pool, log *slog.Logger) (*service.Clusters, provider.Options, error) {
	options := provider.Options{Logger: log}
	keys, err := seal.ParseKeyring(cfg.EncryptionKeys)
	if err != nil {
		return nil, options, fmt.Errorf("configuration: encryptionKeys: %w", err)
	}
	return service.NewClusters(store.New(pool), keys, options, time.Now), options, nil
}

func processID() string {
	host, _ := os.Hostname() // only for people: the rest makes it unique
	return fmt.Sprintf("%s-%d-%s", host, os.Getpid(), uuid.NewString()[:8])
}

// forgeConfig says who speaks to the forge, and of what.
func (a *App) forgeConfig() github.Config {
	cfg := a.Config
	out := github.Config{
		BaseURL: cfg.GitHub.BaseURL, RepositoryID: cfg.Repository.ID, UserAgent: "kubevirt-shepherd", Logger: a.Log,
	}
	if a.limiter != nil {
		out.Limiter, out.Answers, out.Asked = a.limiter, a.answers, a.metrics.Asked
	}
	if cfg.GitHub.App.ID == 0 {
		out.Token = cfg.GitHub.Token.Reveal()
		return out
	}
	out.App = &github.AppConfig{
		ID: cfg.GitHub.App.ID, InstallationID: cfg.GitHub.App.InstallationID, PrivateKeyPEM: []byte(cfg.GitHub.App.PrivateKey.Reveal()),
	}
	return out
}

// openForge reaches the forge and prepares the mirror.
func (a *App) openForge(ctx context.Context) (err error) {
	cfg := a.Config
	if a.Forge, err = github.New(ctx, a.forgeConfig()); err != nil {
		return fmt.Errorf("open the forge: %w", err)
	}
	a.Mirror, err = gitops.Open(ctx, gitops.Options{
		Dir: filepath.Join(cfg.DataDir, "mirror"), URL: a.Forge.CloneURL(), Auth: a.Forge.GitCredentials, Logger: a.Log,
	})
	if err != nil {
		return fmt.Errorf("open the mirror: %w", err)
	}
	compiler, err := policy.NewCompiler()
	if err != nil {
		return err
	}
	a.Rules = bot.NewRuleBook(a.Mirror, compiler, policy.Options{AllowLoosen: cfg.Policy.AllowLoosen})
	return nil
}

// wire makes the workers and the handler.
func (a *App) wire(ctx context.Context) error {
	cfg := a.Config
	self, err := a.Forge.Self(ctx)
	if err != nil {
		return fmt.Errorf("ask the forge who we are: %w", err)
	}
	queue, err := jobs.NewQueue()
	if err != nil {
		return err
	}
	clusters, _, err := NewClusters(cfg, a.Pool, a.Log)
	if err != nil {
		return err
	}
	connections := clusters.Registry()
	a.metrics.Clusters(pauses(connections))
	grace := time.Duration(cfg.Approval.Grace)
	gateway := approval.New(a.DB, queue, time.Now)
	router := bot.NewRouter(a.DB, queue, github.Parse, a.Repo, self, time.Now)
	judging := bot.NewJudge(bot.JudgeDeps{
		Pool: a.Pool, DB: a.DB, Gateway: gateway, Queue: queue, Forge: a.Forge, Mirror: a.Mirror, Rules: a.Rules,
		People: bot.NewPeople(a.DB, a.Forge, time.Duration(cfg.Approval.TeamCache), time.Now), Repo: a.Repo, Self: self, Now: time.Now, Log: a.Log,
		Previews: service.NewPreviewer(service.PreviewerDeps{DB: a.DB, Clusters: connections, Log: a.Log, Now: time.Now}),
		Settings: bot.Settings{
			Administrators: administrators(cfg), Limits: limitRules(cfg.Limits), SoloAdmin: cfg.Approval.SoloAdmin, Grace: grace,
			Registries: cfg.Policy.Registries,
		},
	})
	telling := bot.TellerDeps{
		Pool: a.Pool, DB: a.DB, Gateway: gateway, Forge: a.Forge, Grace: grace, Interval: time.Duration(cfg.Approval.CommentInterval),
		RemindAfter: time.Duration(cfg.Approval.RemindAfter), AutoMerge: cfg.Approval.AutoMerge, Queue: queue, Now: time.Now, Log: a.Log,
	}
	if cfg.GitHub.Deployments {
		telling.Deployments = a.Forge
	}
	teller := bot.NewTeller(telling)
	commander := bot.NewCommander(judging, teller, a.Forge, cfg.Approval.PushModifiedSpecs, a.Log)
	merger := bot.NewMerger(judging, teller, a.Forge, a.Log)
	grouper := bot.NewGrouper(judging, a.Forge)
	walker := bot.NewWalker(judging, a.Forge, a.Log)
	sweeper := bot.NewSweeper(a.DB, queue, a.Forge, a.Repo, a.Log, time.Now)
	intake := bot.NewIntake(a.envelope(), a.DB, queue, a.Log, time.Now, a.metrics.Delivery)
	redeliverer := bot.NewRedeliverer(intake, router, a.Forge, a.Repo)
	undoer := bot.NewUndoer(judging, a.Forge, queue, time.Now)
	vms := service.NewVMs(service.VMsDeps{
		Pool: a.Pool, DB: a.DB, Gateway: gateway, Clusters: connections, Environment: a.environment,
		Log: a.Log, Now: time.Now, Observe: a.metrics.Step,
	})
	names, err := a.DB.Cluster.Query().IDs(ctx)
	if err != nil {
		return fmt.Errorf("read the clusters: %w", err)
	}
	a.runner, err = jobs.NewRunner(a.Pool, jobs.Config{
		Logger: a.Log.With("part", "jobs"), ID: a.id, Middleware: []rivertype.Middleware{a.metrics.Middleware()}, Clusters: names,
		Periodic: []jobs.Periodic{
			{Every: jobs.HeartbeatEvery, Args: func() river.JobArgs { return jobs.Heartbeat{} }},
			{Every: time.Duration(cfg.Repository.WalkEvery), Args: func() river.JobArgs { return jobs.WalkBranch{RepositoryID: a.Repo.ID} }},
			{Every: time.Duration(cfg.Clusters.CheckEvery), Args: func() river.JobArgs { return jobs.CheckClusters{} }},
			{Every: jobs.PruneEvery, Args: func() river.JobArgs { return jobs.PruneDeliveries{} }},
			{Every: remindEvery, Args: func() river.JobArgs { return jobs.Remind{RepositoryID: a.Repo.ID} }},
			{Every: time.Duration(cfg.Repository.SweepEvery), Args: func() river.JobArgs { return jobs.SweepPullRequests{RepositoryID: a.Repo.ID} }},
			{Every: time.Duration(cfg.Repository.SweepEvery), Args: func() river.JobArgs { return jobs.SweepDeliveries{RepositoryID: a.Repo.ID} }},
		},
	}, jobs.Workers{
		RouteDelivery:    router.Route,
		JudgePullRequest: a.timed("judge", judging.Run),
		TellPullRequest:  teller.Run,
		WalkBranch:       walker.Run,
		OfferUndo:        undoer.Undo,
		PrepareRedo:      undoer.Redo,
		VerifyVM:         vms.Verify,
		Heartbeat:        func(context.Context, jobs.Heartbeat) error { return nil }, // that it was done is all there is to it
		Sweep:            sweeper.Run,
		SweepDeliveries:  redeliverer.Run,
		AnswerCommands:   commander.Run,
		MergePullRequest: merger.Run,
		CheckMergeGroup:  grouper.Run,
		Remind:           teller.Remind,
		CheckClusters:    service.NewHealth(clusters, queue, a.Log).Run,
		PruneDeliveries:  a.prune,
		Event:            vms,
	})
	if err != nil {
		return err
	}
	a.follower = service.NewFollower(clusters, a.runner, gateway, a.Log)
	a.Handler = api.New(api.Options{
		Webhooks: intake,
		Metrics:  a.metrics.Handler(),
		Ready:    a.checks(),
	})
	return nil
}

// pauses is for how long each paused cluster has been so.
func pauses(clusters *provider.Registry) func() map[string]time.Duration {
	return func() map[string]time.Duration {
		out := map[string]time.Duration{}
		for _, p := range clusters.Paused() {
			out[p.Cluster] = time.Since(p.Since)
		}
		return out
	}
}

// remindEvery is how often the age of what waits is looked at.
const remindEvery = time.Hour

// timed measures a step that users wait for.
func (a *App) timed(step string, do func(context.Context, jobs.JudgePullRequest) error) func(context.Context, jobs.JudgePullRequest) error {
	return func(ctx context.Context, args jobs.JudgePullRequest) error {
		began := time.Now()
		err := do(ctx, args)
		if err == nil {
			a.metrics.Step(step, time.Since(began))
		}
		return err
	}
}

func (a *App) envelope() bot.Envelope {
	var secrets [][]byte
	for _, s := range a.Config.GitHub.WebhookSecrets {
		secrets = append(secrets, []byte(s.Reveal()))
	}
	return bot.Envelope{
		Verify:   func(h http.Header, body []byte) error { return github.Verify(h, body, secrets) },
		Delivery: github.Delivery,
	}
}

// environment is what the accepted platform says of a cluster.
func (a *App) environment(ctx context.Context, cluster string) (domain.Environment, error) {
	repo, err := a.DB.Repository.Get(ctx, a.Repo.ID)
	if err != nil {
		return "", fmt.Errorf("read the repository: %w", err)
	}
	rules, _, err := a.Rules.At(ctx, repo.PlatformCommit)
	if errors.Is(err, gitops.ErrNoCommit) {
		if err := a.Mirror.FetchCommits(ctx, gitops.SHA(repo.PlatformCommit)); err != nil {
			return "", fmt.Errorf("fetch the accepted platform: %w", err)
		}
		rules, _, err = a.Rules.At(ctx, repo.PlatformCommit)
	}
	if err != nil {
		return "", err
	}
	c, p := rules.Platform.Cluster(cluster)
	if p != nil {
		return "", *p
	}
	return c.Environment, nil
}

// prune deletes what is not needed any more.
func (a *App) prune(ctx context.Context, args jobs.PruneDeliveries) error {
	deliveries := bot.NewPruner(a.DB, time.Duration(a.Config.Retention.Deliveries), a.Log, time.Now)
	return errors.Join(deliveries.Run(ctx, args), a.answers.Prune(ctx))
}

func contentRates(cfg config.Config) (out []budget.Rate) {
	for _, r := range cfg.GitHub.ContentLimits {
		out = append(out, budget.Rate(r))
	}
	return out
}

// limitRules are the configuration's limits as rules: the general ones come first.
func limitRules(l config.Limits) []policy.LimitRule {
	rate := func(perHour *int) *policy.Rate {
		if perHour == nil {
			return nil
		}
		return &policy.Rate{Requests: *perHour, Per: time.Hour}
	}
	out := []policy.LimitRule{{
		Creates: &l.Creates, Deletes: &l.Deletes, Modifications: &l.Modifications, PowerOperations: &l.PowerOperations, Rate: rate(&l.PerHour),
	}}
	for _, r := range l.Rules {
		out = append(out, policy.LimitRule{
			Environment: r.Environment, Role: policy.Role(r.Role), Creates: r.Creates, Deletes: r.Deletes, Modifications: r.Modifications,
			PowerOperations: r.PowerOperations, Rate: rate(r.PerHour),
		})
	}
	return out
}

func administrators(cfg config.Config) []spec.Person {
	var out []spec.Person
	for _, p := range cfg.Administrators {
		out = append(out, spec.Person(p))
	}
	return out
}

// Close frees what New took.
func (a *App) Close() {
	if a.Mirror != nil {
		if err := a.Mirror.Close(); err != nil {
			a.Log.Warn("close the mirror", "error", err)
		}
	}
	if a.Pool != nil {
		a.Pool.Close()
	}
	if a.scratch != "" {
		if err := os.RemoveAll(a.scratch); err != nil {
			a.Log.Warn("remove the scratch folder", "error", err)
		}
	}
}
