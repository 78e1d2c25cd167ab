package bot

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"kv-shepherd.io/shepherd/bot/comment"
	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/effect"
	"kv-shepherd.io/shepherd/ent/pullrequest"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/gitops"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
	"kv-shepherd.io/shepherd/internal/store"
)

// groupForge is what a group's checks are written to.
type groupForge interface{ checkForge }

// Grouper tells merge queues whether what they are about to merge was approved. It writes no tickets:
// after the merge the walker has the last word, as always.
type Grouper struct {
	judge  *Judge
	forge  groupForge
	record record
}

// NewGrouper gives a grouper.
func NewGrouper(j *Judge, f groupForge) *Grouper {
	return &Grouper{judge: j, forge: f, record: record{j.db, j.now}}
}

// Run posts the checks on a group's head. Its difference against its base has to be, digest by digest,
// what open pull requests ask for, as it was approved there.
func (g *Grouper) Run(ctx context.Context, args jobs.CheckMergeGroup) error {
	if err := g.walked(ctx); err != nil {
		return fmt.Errorf("check the group %.8s: %w", args.Head, err)
	}
	if merged, err := g.merged(ctx, gitops.SHA(args.Head)); err != nil || merged {
		return err
	}
	view, err := g.view(ctx, gitops.SHA(args.Head), gitops.SHA(args.Base))
	if err != nil {
		return fmt.Errorf("check the group %.8s: %w", args.Head, err)
	}
	if err := g.remember(ctx, args, view); err != nil {
		return err
	}
	validate, approval := comment.Group(view)
	for _, check := range []forge.Check{validate, approval} {
		if err := g.say(ctx, args.Head, check); err != nil {
			return fmt.Errorf("check the group %.8s: %w", args.Head, err)
		}
	}
	return nil
}

// say posts a check on a group's head, unless it is the last that was said there.
func (g *Grouper) say(ctx context.Context, head string, check forge.Check) error {
	key := checkKey(head, check.Name)
	e, err := g.judge.db.Effect.Get(ctx, key)
	switch {
	case err == nil && e.Status == effect.StatusDone && e.Result == check.ExternalID:
		return nil
	case err != nil && !ent.IsNotFound(err):
		return fmt.Errorf("look what was said: %w", err)
	}
	return g.record.post(ctx, g.forge, posting{key: key, check: check})
}

// groupPrefix is that of the keys of groups' checks. The effect's note is the group's base, its result the
// numbers of its pull requests.
const groupPrefix = "group:"

// remember keeps whose changes a group has, for those that lose an approval while they are queued.
func (g *Grouper) remember(ctx context.Context, args jobs.CheckMergeGroup, v comment.GroupView) error {
	numbers := ","
	for _, c := range v.Changes {
		numbers += fmt.Sprintf("%d,", c.PullRequest)
	}
	err := g.judge.db.Effect.Create().SetID(groupPrefix + args.Head).SetNote(args.Base).SetStatus(effect.StatusDone).SetResult(numbers).
		OnConflictColumns(effect.FieldID).Ignore().Exec(ctx)
	if err != nil {
		return fmt.Errorf("remember the group %.8s: %w", args.Head, err)
	}
	return nil
}

// queuedFor is how long a group is looked at again.
const queuedFor = 24 * time.Hour

// regroup has the groups checked again that a pull request is queued in which cannot be merged any more. Those
// that are merged or given up meanwhile are left alone.
func (t *Teller) regroup(ctx context.Context, number int, check forge.Check) error {
	if check.Conclusion == forge.Success {
		return nil
	}
	rows, err := t.db.Effect.Query().Where(effect.IDGT(groupPrefix), effect.IDLT(groupPrefix+"g"),
		effect.ResultContains(fmt.Sprintf(",%d,", number)), effect.CreatedAtGT(t.now().Add(-queuedFor))).All(ctx)
	if err != nil || len(rows) == 0 {
		return err
	}
	return t.db.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		for _, e := range rows {
			job := jobs.CheckMergeGroup{Head: strings.TrimPrefix(e.ID, groupPrefix), Base: e.Note}
			if err := t.queue.Add(ctx, tx.PGX, job); err != nil {
				return err
			}
		}
		return nil
	})
}

// walked waits until what was merged already is accepted: a queue asks once, and the next group stands on it.
func (g *Grouper) walked(ctx context.Context) error {
	j := g.judge
	repo, err := j.db.Repository.Get(ctx, j.repo.ID)
	if ent.IsNotFound(err) || err == nil && (repo.Cursor == "" || repo.Blocked != "") {
		return nil // the walker stands still, and the judging says why
	}
	if err != nil {
		return fmt.Errorf("read the repository: %w", err)
	}
	if err := j.mirror.Fetch(ctx, gitops.BranchRef(j.repo.Branch)); err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	tip, err := j.mirror.Branch(j.repo.Branch)
	if err != nil {
		return fmt.Errorf("find branch %s: %w", j.repo.Branch, err)
	}
	if string(tip) != repo.Cursor {
		return jobs.Later(busy, fmt.Errorf("%s has not been walked to", tip.Short()))
	}
	return nil
}

// merged reports whether the branch has the group already: the walker has had the last word.
func (g *Grouper) merged(ctx context.Context, head gitops.SHA) (bool, error) {
	if err := g.judge.mirror.FetchCommits(ctx, head); err != nil {
		return false, fmt.Errorf("fetch the group %s: %w", head.Short(), err)
	}
	tip, err := g.judge.mirror.Branch(g.judge.repo.Branch)
	if err != nil {
		return false, err
	}
	return g.judge.mirror.IsAncestor(ctx, head, tip)
}

func (g *Grouper) view(ctx context.Context, head, base gitops.SHA) (comment.GroupView, error) {
	report, err := g.report(ctx, head, base)
	out := comment.GroupView{Report: report}
	if err != nil || len(report.Changes) == 0 {
		return out, err
	}
	asked, err := g.asked(ctx)
	if err != nil {
		return out, err
	}
	for _, c := range report.Changes {
		grouped := comment.Grouped{Change: c}
		for _, a := range asked {
			if change, ok := a.report.Change(c.Path); ok && change.Digest == c.Digest {
				grouped.PullRequest = a.number
				if grouped.Why = a.missing(change); grouped.Why == "" {
					grouped.Passed = true
					break
				}
			}
		}
		out.Changes = append(out.Changes, grouped)
	}
	return out, nil
}

// ofPeople are the problems that belong to those who ask, of whom a group has several.
var ofPeople = []domain.Code{domain.PermissionDenied, domain.AuthorUnknown, domain.PolicyDenied, domain.DuplicatePendingRequest}

// anybody asks for a group in the place of them all, and may ask for everything: what builds on something else
// would be refused along with it.
var anybody = policy.Person{ID: math.MaxInt64, Login: "merge-queue"}

// report judges what the group brings. Who may ask for it was judged with each pull request.
func (g *Grouper) report(ctx context.Context, head, base gitops.SHA) (judge.Report, error) {
	j := g.judge
	if err := j.mirror.FetchCommits(ctx, base, head); err != nil {
		return judge.Report{}, fmt.Errorf("fetch: %w", err)
	}
	h := heads{base: base, tip: base, head: head}
	files, err := j.files(ctx, h)
	if err != nil || len(files) == 0 {
		return judge.Report{Head: string(head)}, err
	}
	in, err := j.base(ctx, 0, files)
	if err != nil {
		return judge.Report{}, err
	}
	in.Head, in.World.Claims, in.Author = string(head), nil, anybody
	admins := append(slices.Clone(j.settings.Administrators), spec.Person{ID: anybody.ID, Login: anybody.Login})
	in.Bindings = policy.NewBindings(policy.Sources{Roles: in.Platform.Bindings, Administrators: admins})
	// The groups before this one are judged by themselves: the branch, not they, must be as it is accepted.
	if h.tip, err = j.mirror.Branch(j.repo.Branch); err != nil {
		return judge.Report{}, fmt.Errorf("find branch %s: %w", j.repo.Branch, err)
	}
	if err := j.nextPlatform(ctx, &in, h); err != nil {
		return judge.Report{}, err
	}
	report := judge.Judge(in)
	report.Problems = slices.DeleteFunc(report.Problems, func(p domain.Problem) bool { return p.Path == "" }) // of a batch, which a group is not
	for i := range report.Changes {
		c := &report.Changes[i]
		c.Problems = slices.DeleteFunc(c.Problems, func(p domain.Problem) bool { return slices.Contains(ofPeople, p.Code) })
	}
	return report, nil
}

// petition is an open pull request, with what was judged of it last.
type petition struct {
	number  int
	report  judge.Report
	tickets map[string]*ent.Ticket
}

func (g *Grouper) asked(ctx context.Context) ([]petition, error) {
	rows, err := g.judge.db.PullRequest.Query().Where(pullrequest.StateEQ(pullrequest.StateOpen), pullrequest.ReportNotNil()).
		Select(pullrequest.FieldID, pullrequest.FieldReport).Order(ent.Asc(pullrequest.FieldID)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the open pull requests: %w", err)
	}
	approved, err := g.judge.db.Ticket.Query().Where(ticket.StatusEQ(ticket.StatusAPPROVED)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the approved tickets: %w", err)
	}
	var out []petition
	for _, row := range rows {
		p := petition{number: row.ID, tickets: map[string]*ent.Ticket{}}
		if err := json.Unmarshal(row.Report, &p.report); err != nil {
			return nil, fmt.Errorf("read the report on #%d: %w", row.ID, err)
		}
		for _, t := range approved {
			if t.PullRequest == row.ID {
				p.tickets[t.Path] = t
			}
		}
		out = append(out, p)
	}
	return out, nil
}

// missing is what a change still needs in its pull request; empty for nothing.
func (p petition) missing(c judge.Change) string {
	t := p.tickets[c.Path]
	switch {
	case p.report.Blocking(), p.report.Draft, p.report.Fork:
		return "is part of a pull request that cannot be merged"
	case c.Unconfirmed():
		return "is not confirmed"
	case c.Requirement.Approvals == 0:
		return ""
	case t == nil || agreedDigest(t) != c.Digest:
		return "is not approved as it is"
	}
	return ""
}
