package bot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/accepted"
	"kv-shepherd.io/shepherd/ent/pullrequest"
	"kv-shepherd.io/shepherd/ent/repository"
	"kv-shepherd.io/shepherd/gitops"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
)

// Baseline accepts a commit as the start: its platform and its systems and services. VMs are accepted
// only where a live machine stands behind them: one that the database knows, or one that is found on a
// cluster and is just what would be applied. Nothing is applied.
type Baseline struct {
	Judge  *Judge
	Fleet  Fleet
	DB     *store.DB
	Mirror *gitops.Mirror
	Rules  *RuleBook
	Repo   Repository
	Log    *slog.Logger
}

// BaselineResult is what was accepted and what was not.
type BaselineResult struct {
	Commit            string
	Systems, Services int
	// Recognised are the VMs that were found alive.
	Recognised []string
	// Waiting are the VMs in git that nobody has approved and no live machine stands behind.
	Waiting []string
}

// Bounds of what a baseline reads.
const (
	maxBaselineFiles = 200000
	maxBaselineBytes = 1 << 30
)

// Set reads the commit and makes it the cursor and the accepted platform. It fails, with every problem,
// when a document of the platform, a system or a service is not valid.
func (b *Baseline) Set(ctx context.Context, commit string, by audit.Actor) (BaselineResult, domain.Problems, error) {
	out := BaselineResult{Commit: commit}
	if err := b.onBranch(ctx, gitops.SHA(commit)); err != nil {
		return out, nil, err
	}
	if _, problems, err := b.Rules.At(ctx, commit); err != nil {
		return out, problems, err
	}
	documents, problems, err := b.read(ctx, gitops.SHA(commit))
	if err != nil || problems.Blocking() {
		return out, problems, errors.Join(err, blocked(problems))
	}
	err = b.DB.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		out.Systems, out.Services, out.Waiting = 0, 0, nil
		return b.accept(ctx, tx, &out, documents, by)
	})
	if err != nil {
		return out, problems, err
	}
	if out.Recognised, err = b.recognise(ctx, commit, only(documents, out.Waiting), by); err != nil {
		return out, problems, fmt.Errorf("recognise live machines: %w", err)
	}
	out.Waiting = slices.DeleteFunc(out.Waiting, func(path string) bool { return slices.Contains(out.Recognised, path) })
	return out, problems, nil
}

// only picks the documents of the paths.
func only(documents []document, paths []string) (out []document) {
	wanted := map[string]bool{}
	for _, p := range paths {
		wanted[p] = true
	}
	for _, d := range documents {
		if wanted[d.ref.Path()] {
			out = append(out, d)
		}
	}
	return out
}

func blocked(problems domain.Problems) error {
	if !problems.Blocking() {
		return nil
	}
	return errors.New("the commit has errors")
}

func (b *Baseline) onBranch(ctx context.Context, commit gitops.SHA) error {
	if err := b.Mirror.Fetch(ctx, gitops.BranchRef(b.Repo.Branch)); err != nil {
		return fmt.Errorf("fetch: %w", err)
	}
	tip, err := b.Mirror.Branch(b.Repo.Branch)
	if err != nil {
		return fmt.Errorf("find branch %s: %w", b.Repo.Branch, err)
	}
	in, err := b.Mirror.IsAncestor(ctx, commit, tip)
	if err != nil {
		return fmt.Errorf("find %s: %w", commit.Short(), err)
	}
	if !in {
		return fmt.Errorf("%s is not on branch %s", commit.Short(), b.Repo.Branch)
	}
	return nil
}

// document is a file that the baseline accepts.
type document struct {
	ref  spec.Ref
	data []byte
	doc  *spec.Document
}

func (b *Baseline) read(ctx context.Context, commit gitops.SHA) ([]document, domain.Problems, error) {
	files, err := b.Mirror.ReadTree(ctx, commit, "systems", maxBaselineFiles, maxBaselineBytes)
	if err != nil && !errors.Is(err, gitops.ErrNotFound) {
		return nil, nil, fmt.Errorf("read systems/: %w", err)
	}
	var out []document
	var problems domain.Problems
	for _, f := range files {
		ref, isGoverned, found := spec.ParsePath(f.Path)
		problems = append(problems, found...)
		if !isGoverned || found.Blocking() {
			continue
		}
		d := document{ref: ref, data: f.Data}
		if !f.Mode.IsFile() {
			problems = append(problems, domain.Problem{Code: domain.PathInvalid, Severity: domain.Error, Path: f.Path, Message: "it is a " + f.Mode.String(), Hint: "put a regular file there"})
			continue
		}
		if ref.Kind != spec.KindVirtualMachine {
			d.doc, found = spec.Parse(ref, f.Data)
			problems = append(problems, found...)
		}
		out = append(out, d)
	}
	return out, problems, nil
}

func (b *Baseline) accept(ctx context.Context, tx *store.Tx, out *BaselineResult, documents []document, by audit.Actor) error {
	known, err := tx.Accepted.Query().Where(accepted.Kind(string(spec.KindVirtualMachine))).Select(accepted.FieldID, accepted.FieldSpec).All(ctx)
	if err != nil {
		return fmt.Errorf("read the accepted specs: %w", err)
	}
	have := map[string][]byte{}
	for _, row := range known {
		have[row.ID] = row.Spec
	}
	for _, d := range documents {
		if d.ref.Kind == spec.KindVirtualMachine {
			if !means(d, have[d.ref.Path()]) {
				out.Waiting = append(out.Waiting, d.ref.Path())
			}
			continue
		}
		if err := acceptDocument(ctx, tx, d, out.Commit, by); err != nil {
			return err
		}
		if d.ref.Kind == spec.KindSystem {
			out.Systems++
		} else {
			out.Services++
		}
	}
	err = tx.Repository.Create().SetID(b.Repo.ID).SetBranch(b.Repo.Branch).SetCursor(out.Commit).SetPlatformCommit(out.Commit).SetBlocked("").
		OnConflictColumns(repository.FieldID).Update(func(u *ent.RepositoryUpsert) {
		u.UpdateCursor().UpdatePlatformCommit().UpdateBlocked()
	}).Exec(ctx)
	if err != nil {
		return fmt.Errorf("set the cursor: %w", err)
	}
	if err := b.judgeAgain(ctx, tx); err != nil {
		return err
	}
	return audit.Append(ctx, tx, audit.Entry{Action: audit.BaselineSet, Actor: by, Subject: b.Repo.Branch, Params: map[string]any{
		"commit": out.Commit, "systems": out.Systems, "services": out.Services, "vmsWaiting": len(out.Waiting),
	}})
}

// means reports whether a VM's file means what is accepted, in canonical form; nil where nothing is.
func means(d document, accepted []byte) bool {
	doc, _ := spec.Parse(d.ref, d.data)
	return doc != nil && bytes.Equal(spec.Canonical(doc), accepted)
}

// judgeAgain asks for every open pull request to be looked at by the new rules, and for a walk from the
// new start: whoever waited for the baseline waits no longer.
func (b *Baseline) judgeAgain(ctx context.Context, tx *store.Tx) error {
	queue, err := jobs.NewQueue()
	if err != nil {
		return err
	}
	open, err := tx.PullRequest.Query().Where(pullrequest.StateEQ(pullrequest.StateOpen)).IDs(ctx)
	if err != nil {
		return fmt.Errorf("read the open pull requests: %w", err)
	}
	for _, number := range open {
		if err := approval.Want(ctx, tx, queue, number); err != nil {
			return err
		}
	}
	if err := jobs.HurryJudgings(ctx, tx.PGX); err != nil {
		return err
	}
	return queue.Add(ctx, tx.PGX, jobs.WalkBranch{RepositoryID: b.Repo.ID})
}

func acceptDocument(ctx context.Context, tx *store.Tx, d document, commit string, by audit.Actor) error {
	name := d.ref.System
	if d.ref.Kind == spec.KindService {
		name = d.ref.Service
	}
	err := tx.Accepted.Create().SetID(d.ref.Path()).SetKind(string(d.ref.Kind)).SetName(name).
		SetSystem(d.ref.System).SetService(d.ref.Service).SetSpec(spec.Canonical(d.doc)).SetDocument(d.data).SetCommit(commit).
		SetCreatedBy(by.ID).SetCreatedByLogin(by.Login).
		OnConflictColumns(accepted.FieldID).Update(func(u *ent.AcceptedUpsert) {
		u.UpdateSpec().UpdateDocument().UpdateCommit().UpdateAcceptedAt()
	}).Exec(ctx)
	if err != nil {
		return fmt.Errorf("accept %s: %w", d.ref.Path(), err)
	}
	return nil
}
