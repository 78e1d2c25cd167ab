package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/bot/comment"
	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/pullrequest"
	"kv-shepherd.io/shepherd/gitops"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
	"kv-shepherd.io/shepherd/internal/store"
)

// judgeForge is what a judging asks the forge: the pull request as it is now, its reviews, who the forge takes its
// commits' people for, and what no webhook may have told: who dismissed and pushed, and whether it was asked for anew.
type judgeForge interface {
	PullRequest(ctx context.Context, number int) (forge.PullRequest, error)
	Reviews(ctx context.Context, number int) ([]forge.Review, error)
	Commits(ctx context.Context, number int) (commits []forge.Commit, complete bool, err error)
	Dismissals(ctx context.Context, number int) ([]forge.Dismissal, error)
	Restarted(ctx context.Context, number int) (time.Time, error)
	Movements(ctx context.Context, branch string) ([]forge.Movement, error)
}

// Settings are what the server's configuration says about judging.
type Settings struct {
	Administrators []spec.Person
	Limits         []policy.LimitRule
	SoloAdmin      bool          // the only platform administrator may change the platform alone
	Registries     []string      // where the images of new VMs may come from; anywhere when empty
	Grace          time.Duration // how long a plan is on show before an approval can accept it
}

// Judge recomputes pull requests.
type Judge struct {
	pool     *pgxpool.Pool
	db       *store.DB
	gateway  *approval.Gateway
	queue    *jobs.Queue
	forge    judgeForge
	mirror   *gitops.Mirror
	rules    *RuleBook
	people   *People
	previews previewer
	repo     Repository
	self     forge.Person
	settings Settings
	now      func() time.Time
	log      *slog.Logger
}

// JudgeDeps is what a Judge is made of.
type JudgeDeps struct {
	Pool     *pgxpool.Pool
	DB       *store.DB
	Gateway  *approval.Gateway
	Queue    *jobs.Queue
	Forge    judgeForge
	Mirror   *gitops.Mirror
	Rules    *RuleBook
	People   *People
	Previews previewer // nil: no cluster is asked
	Repo     Repository
	Self     forge.Person
	Settings Settings
	Now      func() time.Time
	Log      *slog.Logger
}

// NewJudge gives a judge.
func NewJudge(d JudgeDeps) *Judge {
	return &Judge{
		pool: d.Pool, db: d.DB, gateway: d.Gateway, queue: d.Queue, forge: d.Forge, mirror: d.Mirror, rules: d.Rules,
		people: d.People, previews: d.Previews, repo: d.Repo, self: d.Self, settings: d.Settings, now: d.Now, log: d.Log,
	}
}

// pullLock is the name of the lock under which a pull request is judged and told of.
func pullLock(number int) string { return fmt.Sprintf("pull/%d", number) }

// busy is how long a job waits when another one holds what it needs.
const busy = 250 * time.Millisecond

// patience is how long a job stays for a lock that somebody else holds before it comes back later: the
// telling that a judging asks for begins before the judging has ended.
const (
	patience = 200 * time.Millisecond
	glance   = 10 * time.Millisecond
)

// locked runs do under a lock, and asks to come back later where somebody else holds it, or was faster
// in moving what do builds on.
func locked(ctx context.Context, pool *pgxpool.Pool, name string, do func(context.Context) error) error {
	for begun := time.Now(); ; {
		err := store.WithLock(ctx, pool, name, do)
		switch {
		case errors.Is(err, store.ErrLocked) && time.Since(begun) < patience:
			time.Sleep(glance)
		case errors.Is(err, store.ErrLocked), errors.Is(err, store.ErrLockLost), errors.Is(err, approval.ErrMoved):
			return jobs.Later(busy, err)
		default:
			return err
		}
	}
}

// Run judges one pull request.
func (j *Judge) Run(ctx context.Context, args jobs.JudgePullRequest) error {
	return locked(ctx, j.pool, pullLock(args.Number), func(ctx context.Context) error {
		err := j.run(ctx, args.Number)
		if jobs.IsLater(err) {
			// This job comes back, and stands for all that is asked for until then.
			err = errors.Join(err, j.waits(ctx, args.Number))
		}
		return err
	})
}

// waits marks that a judge job waits.
func (j *Judge) waits(ctx context.Context, number int) error {
	if err := j.db.PullRequest.Update().Where(pullrequest.ID(number)).SetQueued(true).Exec(ctx); err != nil {
		return fmt.Errorf("judge #%d: %w", number, err)
	}
	return nil
}

func (j *Judge) run(ctx context.Context, number int) error {
	wanted, err := j.begin(ctx, number)
	if err != nil || wanted == 0 {
		return err
	}
	pull, err := j.forge.PullRequest(ctx, number)
	if errors.Is(err, forge.ErrNotFound) {
		return jobs.Never(fmt.Errorf("judge #%d: %w", number, err))
	}
	if err != nil {
		return fmt.Errorf("judge #%d: %w", number, err)
	}
	switch {
	case pull.Merged && pull.BaseRef == j.repo.Branch:
		return j.absorbed(ctx, pull)
	case !pull.Open:
		return j.cancel(ctx, pull, wanted, "the pull request was closed")
	case pull.BaseRef != j.repo.Branch:
		return j.cancel(ctx, pull, wanted, "the pull request aims at another branch")
	}
	return j.open(ctx, pull, wanted)
}

// walking is how long a merged pull request waits for the walker before it looks again.
const walking = 2 * time.Second

// begin clears the flag first, so that whatever happens from now on asks for another judging. 0 means
// that there is nothing to do.
func (j *Judge) begin(ctx context.Context, number int) (wanted int64, err error) {
	err = j.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		row, err := tx.PullRequest.UpdateOneID(number).SetQueued(false).Save(ctx)
		if ent.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("begin the judging of #%d: %w", number, err)
		}
		if row.Wanted > row.Judged && row.State != pullrequest.StateMerged {
			wanted = row.Wanted
		}
		return nil
	})
	return wanted, err
}

// open judges an open pull request against the governed branch.
func (j *Judge) open(ctx context.Context, pull forge.PullRequest, wanted int64) error {
	head, err := j.fetch(ctx, pull)
	if err != nil {
		return fmt.Errorf("judge #%d: %w", pull.Number, err)
	}
	cursor, merged, err := j.mergedSince(ctx, pull.Number, head.tip)
	if merged || err != nil {
		return err
	}
	in, err := j.input(ctx, pull, head)
	if err != nil {
		return fmt.Errorf("judge #%d: %w", pull.Number, err)
	}
	report, err := j.preview(ctx, pull.Number, in, bounded(judge.Judge(in)))
	if err != nil {
		return fmt.Errorf("judge #%d: %w", pull.Number, err)
	}
	c, err := j.convene(ctx, pull, head, report, in)
	if err != nil {
		return fmt.Errorf("judge #%d: %w", pull.Number, err)
	}
	if taken, err := j.takeOver(ctx, pull.Number, c); err != nil {
		return fmt.Errorf("judge #%d: %w", pull.Number, err)
	} else if taken {
		return j.open(ctx, pull, wanted) // the world is another one now
	}
	if report.Automatic, err = j.automatic(ctx, pull, head, in, report, c); err != nil {
		return fmt.Errorf("judge #%d: %w", pull.Number, err)
	}
	submission := approval.Submission{Pull: pullOf(pull), Judged: wanted, Report: report, Vetoed: c.vetoed(), Held: in.World.Claims, Cursor: cursor}
	if err := j.gateway.Submit(ctx, submission); err != nil {
		return fmt.Errorf("submit #%d: %w", pull.Number, err)
	}
	_, err = j.decide(ctx, pull.Number, c)
	return err
}

// mergedSince asks once more where the branch has gone on and the walker has not come there yet: the pull request
// may have been merged after it was read and before the branch was. Against that branch it would ask for nothing
// any more, and its approvals would be ended before the walker has seen them. It returns how far the walker has come;
// empty where it has not begun.
func (j *Judge) mergedSince(ctx context.Context, number int, tip gitops.SHA) (cursor string, merged bool, err error) {
	repo, err := j.db.Repository.Get(ctx, j.repo.ID)
	if ent.IsNotFound(err) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("judge #%d: read the repository: %w", number, err)
	}
	if gitops.SHA(repo.Cursor) == tip {
		return repo.Cursor, false, nil
	}
	now, err := j.forge.PullRequest(ctx, number)
	if err != nil {
		return "", false, fmt.Errorf("judge #%d: %w", number, err)
	}
	if !now.Merged || now.BaseRef != j.repo.Branch {
		return repo.Cursor, false, nil
	}
	return repo.Cursor, true, j.absorbed(ctx, now)
}

// bounded refuses what cannot be shown: nobody approves what was cut off.
func bounded(report judge.Report) judge.Report {
	v := comment.View{State: comment.Open, Report: report}
	for _, c := range report.Changes {
		v.Rows = append(v.Rows, comment.Row{Change: c})
	}
	if !comment.Fits(v) {
		report.Problems = append(report.Problems, domain.Problem{
			Code: domain.BatchTooLarge, Severity: domain.Error,
			Message: fmt.Sprintf("%d changes are more than one comment can show, and nobody can approve what is not shown", len(report.Changes)),
			Hint:    "split the pull request",
		})
	}
	return report
}

// fetch brings the branch and the pull request's head into the mirror. The head is the one that the
// forge named: a push since then asks for its own judging.
func (j *Judge) fetch(ctx context.Context, pull forge.PullRequest) (heads, error) {
	if err := j.mirror.Fetch(ctx, gitops.BranchRef(j.repo.Branch), gitops.PullRef(pull.Number)); err != nil {
		return heads{}, fmt.Errorf("fetch: %w", err)
	}
	tip, err := j.mirror.Branch(j.repo.Branch)
	if err != nil {
		return heads{}, fmt.Errorf("find branch %s: %w", j.repo.Branch, err)
	}
	head := gitops.SHA(pull.HeadSHA)
	if err := j.mirror.FetchCommits(ctx, head); err != nil {
		return heads{}, fmt.Errorf("fetch head %s: %w", head.Short(), err)
	}
	base, err := j.mirror.MergeBase(ctx, tip, head)
	if err != nil {
		return heads{}, fmt.Errorf("find the merge base: %w", err)
	}
	return heads{base: base, tip: tip, head: head}, nil
}

// heads are the three commits that a judging compares.
type heads struct{ base, tip, head gitops.SHA }

// governed are the folders that a judging looks at; what lies elsewhere is not governed.
var governed = []string{"systems", "platform", "access", ".github", ".gitea", "CODEOWNERS", "docs/CODEOWNERS"}

// files reads what differs between the merge base and the head, and whether the branch has moved on
// under it.
func (j *Judge) files(ctx context.Context, h heads) ([]judge.File, error) {
	changes, err := j.mirror.Diff(ctx, h.base, h.head, governed...)
	if err != nil {
		return nil, fmt.Errorf("compare with the merge base: %w", err)
	}
	moved := map[string]bool{}
	if h.tip != h.base && len(changes) > 0 {
		since, err := j.mirror.Diff(ctx, h.base, h.tip, pathsOf(changes)...)
		if err != nil {
			return nil, fmt.Errorf("compare with the branch: %w", err)
		}
		for _, c := range since {
			moved[c.Path] = true
		}
	}
	var out []judge.File
	for _, c := range changes {
		f := judge.File{Path: c.Path, Stale: moved[c.Path]}
		if f.Head, err = content(ctx, j.mirror, h.head, c.Path); err != nil {
			return nil, err
		}
		if f.Tip, err = content(ctx, j.mirror, h.tip, c.Path); err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	return out, nil
}

func pathsOf(changes []gitops.FileChange) []string {
	out := make([]string, len(changes))
	for i, c := range changes {
		out[i] = c.Path
	}
	return out
}

// input gathers all that the report depends on.
func (j *Judge) input(ctx context.Context, pull forge.PullRequest, h heads) (judge.Input, error) {
	files, err := j.files(ctx, h)
	if err != nil {
		return judge.Input{}, err
	}
	in, err := j.base(ctx, pull.Number, files)
	if err != nil {
		return judge.Input{}, err
	}
	in.Head, in.Draft, in.Fork = pull.HeadSHA, pull.Draft, pull.Fork
	if err := j.nextPlatform(ctx, &in, h); err != nil {
		return judge.Input{}, err
	}
	return in, j.request(ctx, &in, pull, h)
}

// base is the part of the input that pull requests and merges share.
func (j *Judge) base(ctx context.Context, number int, files []judge.File) (judge.Input, error) {
	repo, err := j.db.Repository.Get(ctx, j.repo.ID)
	if ent.IsNotFound(err) || err == nil && repo.PlatformCommit == "" {
		return judge.Input{}, jobs.Later(time.Minute, errNoBaseline)
	}
	if err != nil {
		return judge.Input{}, fmt.Errorf("read the repository: %w", err)
	}
	if err := j.mirror.FetchCommits(ctx, gitops.SHA(repo.PlatformCommit)); err != nil {
		return judge.Input{}, fmt.Errorf("fetch the accepted platform: %w", err)
	}
	rules, _, err := j.rules.At(ctx, repo.PlatformCommit)
	if err != nil {
		return judge.Input{}, err
	}
	planned, err := j.planned(ctx, number)
	if err != nil {
		return judge.Input{}, err
	}
	world, specs, owners, err := lookUp(ctx, j.db, number, files, planned)
	if err != nil {
		return judge.Input{}, err
	}
	if err := j.acceptedPlatform(ctx, rules.Commit, files, specs); err != nil {
		return judge.Input{}, err
	}
	return judge.Input{
		PlatformCommit: rules.Commit, Number: number, Platform: rules.Platform, Policies: rules.Policies,
		Bindings: policy.NewBindings(policy.Sources{Roles: rules.Platform.Bindings, Systems: owners, Administrators: j.settings.Administrators}),
		Files:    files, Accepted: specs, World: world, Planned: planned, Now: j.now(),
		Registries: j.settings.Registries,
	}, nil
}

// acceptedPlatform adds what the accepted platform commit has at platform paths: it, not the database,
// holds the rules.
func (j *Judge) acceptedPlatform(ctx context.Context, commit string, files []judge.File, specs map[string]judge.Accepted) error {
	for _, f := range files {
		ref, governed, problems := spec.ParsePath(f.Path)
		if !governed || problems.Blocking() || !ref.Platform() {
			continue
		}
		c, err := content(ctx, j.mirror, gitops.SHA(commit), f.Path)
		if err != nil {
			return err
		}
		if c == nil || c.Problem != nil {
			continue
		}
		if doc, _ := spec.Parse(ref, c.Data); doc != nil {
			specs[f.Path] = judge.Accepted{Spec: spec.Canonical(doc)}
		}
	}
	return nil
}

// mirrorContent is a file as a commit has it; nil where it has none that can be read.
func (j *Judge) mirrorContent(ctx context.Context, commit, path string) ([]byte, error) {
	c, err := content(ctx, j.mirror, gitops.SHA(commit), path)
	if err != nil || c == nil || c.Problem != nil {
		return nil, err
	}
	return c.Data, nil
}

func pullOf(p forge.PullRequest) approval.Pull {
	state := "closed"
	switch {
	case p.Merged:
		state = "merged"
	case p.Open:
		state = "open"
	}
	return approval.Pull{
		Number: p.Number, Title: p.Title, URL: p.URL, Author: audit.Actor{ID: p.Author.ID, Login: p.Author.Login},
		HeadSHA: p.HeadSHA, BaseRef: p.BaseRef, State: state, Draft: p.Draft, Fork: p.Fork, UpdatedAt: p.UpdatedAt,
	}
}
