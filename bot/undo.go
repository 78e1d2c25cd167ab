package bot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/ent/accepted"
	"kv-shepherd.io/shepherd/ent/event"
	"kv-shepherd.io/shepherd/gitops"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/jobs"
	"kv-shepherd.io/shepherd/internal/store"
)

// undoForge writes branches and opens pull requests.
type undoForge interface {
	CommitFiles(ctx context.Context, branch, parent string, edits []forge.FileEdit, message string) (sha string, err error)
	OpenPullRequest(ctx context.Context, p forge.NewPullRequest) (forge.PullRequest, error)
	FindPullRequest(ctx context.Context, head, base string) (forge.PullRequest, error)
	CreateComment(ctx context.Context, number int, body string) (forge.Posted, error)
	FindComment(ctx context.Context, number int, marker string) (id int64, body string, err error)
}

// Undoer takes quarantined content back, and prepares to ask for it again. Both are pull requests like
// any other: people merge them, and the judge judges them.
type Undoer struct {
	judge  *Judge
	forge  undoForge
	queue  *jobs.Queue
	record record
}

// NewUndoer gives an undoer.
func NewUndoer(j *Judge, f undoForge, queue *jobs.Queue, now func() time.Time) *Undoer {
	return &Undoer{judge: j, forge: f, queue: queue, record: record{j.db, now}}
}

// The keys of the effects: the last commit of the span that was quarantined. The effect's note is the
// commit before it.
const (
	undoPrefix = "undo:"
	redoPrefix = "redo:"
)

// redoBranch is where the content of a span can be asked for again.
func redoBranch(commit string) string { return "shepherd/redo-" + gitops.SHA(commit).Short() }

// redoMarker is the hidden first line of the remark that names the redo.
const redoMarker = "<!-- shepherd: redo -->"

// undoBranch is where the content of a span is taken back.
func undoBranch(commit string) string { return "shepherd/undo-" + gitops.SHA(commit).Short() }

// Undo opens the pull request that restores what was accepted at the paths of a span.
func (u *Undoer) Undo(ctx context.Context, args jobs.OfferUndo) error {
	return u.once(ctx, args.To, deed{
		key: undoPrefix + args.To, note: args.From,
		do: func(ctx context.Context) (string, error) { return u.offer(ctx, args) },
		look: func(ctx context.Context) (string, error) { // it may have been merged or closed meanwhile
			pull, err := u.forge.FindPullRequest(ctx, undoBranch(args.To), u.judge.repo.Branch)
			return pull.URL, err
		},
	})
}

// offer writes the undo and opens its pull request; no address where there is nothing to take back.
func (u *Undoer) offer(ctx context.Context, args jobs.OfferUndo) (string, error) {
	tip, err := u.tip(ctx)
	if err != nil {
		return "", err
	}
	paths, err := u.paths(ctx, args.From, args.To)
	if err != nil {
		return "", err
	}
	left, err := u.restore(ctx, tip, paths)
	if err != nil || len(left) == 0 {
		return "", err // somebody took it back already
	}
	// On the span itself, not on the tip: an attempt after another finds its commit again, however far
	// the branch has gone on.
	edits, err := u.restore(ctx, gitops.SHA(args.To), paths)
	if err != nil || len(edits) == 0 {
		return "", err
	}
	branch := undoBranch(args.To)
	title := "Undo what was merged without approval in " + gitops.SHA(args.To).Short()
	if err := u.write(ctx, branch, args.To, edits, title+"\n\nRestores the accepted content of the paths below."); err != nil {
		return "", fmt.Errorf("write the undo: %w", err)
	}
	pull, err := u.forge.OpenPullRequest(ctx, forge.NewPullRequest{
		Title: title, Head: branch, Base: u.judge.repo.Branch, Body: undoBody(args.To, edits),
	})
	if err != nil {
		return "", fmt.Errorf("open the undo: %w", err)
	}
	return pull.URL, nil
}

func undoBody(commit string, edits []forge.FileEdit) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Commit %s changed governed files without passing Shepherd. **Nothing of it was applied.**\n\n", commit)
	b.WriteString("Merging this restores what was accepted. It needs no approval and changes no cluster.\n\n")
	for _, e := range edits {
		what := "restored"
		if e.Content == nil {
			what = "removed"
		}
		fmt.Fprintf(&b, "- `%s` %s\n", e.Path, what)
	}
	b.WriteString("\nTo ask for the same content properly: merge this, then open a pull request from the branch that Shepherd prepares and names here.\n")
	return b.String()
}

// Redo prepares the branch that asks again for what an undo took back, and says so on the undo.
func (u *Undoer) Redo(ctx context.Context, args jobs.PrepareRedo) error {
	return u.once(ctx, args.To, deed{
		key: redoPrefix + args.To, note: args.From,
		do: func(ctx context.Context) (string, error) { return u.prepare(ctx, args) },
		look: func(ctx context.Context) (string, error) {
			_, _, err := u.forge.FindComment(ctx, args.Undo, redoMarker)
			return redoBranch(args.To), err
		},
	})
}

// prepare writes the redo's branch and names it; it returns nothing where there is nothing to ask for again.
func (u *Undoer) prepare(ctx context.Context, args jobs.PrepareRedo) (string, error) {
	tip, err := u.tip(ctx)
	if err != nil {
		return "", err
	}
	paths, err := u.paths(ctx, args.From, args.To)
	if err != nil {
		return "", err
	}
	if paths, err = u.stopped(ctx, args.To, paths); err != nil {
		return "", err
	}
	edits, err := u.repeat(ctx, gitops.SHA(args.To), paths)
	if err != nil || len(edits) == 0 {
		return "", err
	}
	branch := redoBranch(args.To)
	message := "Ask again for what " + gitops.SHA(args.To).Short() + " brought without approval"
	if err := u.write(ctx, branch, cmp.Or(args.Base, string(tip)), edits, message); err != nil {
		return "", fmt.Errorf("write the redo: %w", err)
	}
	body := redoMarker + "\nThe same content is ready to be asked for properly: open a pull request from `" + branch + "`."
	posted, err := u.forge.CreateComment(ctx, args.Undo, body)
	return posted.URL, err
}

// once does something about a span, alone, and tells its pull request afterwards.
func (u *Undoer) once(ctx context.Context, span string, d deed) error {
	d.noted = func(ctx context.Context, tx *store.Tx, _ string) error {
		const merged = `select coalesce(max(id), 0) from pull_requests where merge_report->>'head' = $1`
		var number int
		if err := tx.PGX.QueryRow(ctx, merged, span).Scan(&number); err != nil || number == 0 {
			return err
		}
		return approval.Tell(ctx, tx, u.queue, number)
	}
	return locked(ctx, u.judge.pool, d.key, func(ctx context.Context) error {
		_, err := u.record.once(ctx, d)
		return err
	})
}

// write puts edits on a branch of the bot's own. A process may have died between that and noting it down, and
// people may have gone on with the branch since: what is there then stays as it is.
func (u *Undoer) write(ctx context.Context, branch, parent string, edits []forge.FileEdit, message string) error {
	_, err := u.forge.CommitFiles(ctx, branch, parent, edits, message)
	if !errors.Is(err, forge.ErrConflict) {
		return err
	}
	m := u.judge.mirror
	if m.Fetch(ctx, gitops.BranchRef(branch)) != nil {
		return err // it is not there: what was in the way is something else
	}
	if _, gone := m.Branch(branch); gone != nil {
		return err
	}
	return nil
}

func (u *Undoer) tip(ctx context.Context) (gitops.SHA, error) {
	m, branch := u.judge.mirror, u.judge.repo.Branch
	if err := m.Fetch(ctx, gitops.BranchRef(branch)); err != nil {
		return "", fmt.Errorf("fetch: %w", err)
	}
	return m.Branch(branch)
}

// paths are the governed ones that the span changed.
func (u *Undoer) paths(ctx context.Context, from, to string) ([]string, error) {
	changes, err := u.judge.mirror.Diff(ctx, gitops.SHA(from), gitops.SHA(to), governed...)
	if err != nil {
		return nil, fmt.Errorf("read the span: %w", err)
	}
	var out []string
	for _, c := range changes {
		if _, governed, _ := spec.ParsePath(c.Path); governed {
			out = append(out, c.Path)
		}
	}
	return out, nil
}

// stopped are the paths of the span that did not pass. What passed is accepted, and may have changed since.
func (u *Undoer) stopped(ctx context.Context, to string, paths []string) ([]string, error) {
	passed, err := u.judge.db.Event.Query().Where(event.MergeCommit(to)).Select(event.FieldPath).Strings(ctx)
	if err != nil {
		return nil, fmt.Errorf("read what passed: %w", err)
	}
	return slices.DeleteFunc(paths, func(p string) bool { return slices.Contains(passed, p) }), nil
}

// repeat is what the span left at the paths, as far as it can be asked for again: documents, and their
// absence.
func (u *Undoer) repeat(ctx context.Context, to gitops.SHA, paths []string) ([]forge.FileEdit, error) {
	brought, err := u.contentAt(ctx, to, paths)
	if err != nil {
		return nil, err
	}
	var edits []forge.FileEdit
	for i, path := range paths {
		if brought[i].data != nil || !brought[i].there {
			edits = append(edits, forge.FileEdit{Path: path, Content: brought[i].data})
		}
	}
	return edits, nil
}

// restore is what has to change at the tip so that the paths hold what is accepted. Paths whose
// meaning is the accepted one are left alone.
func (u *Undoer) restore(ctx context.Context, tip gitops.SHA, paths []string) ([]forge.FileEdit, error) {
	rows, err := u.judge.db.Accepted.Query().Where(accepted.IDIn(paths...)).All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the accepted specs: %w", err)
	}
	documents := map[string][]byte{}
	for _, row := range rows {
		documents[row.ID] = row.Document
	}
	repo, err := u.judge.db.Repository.Get(ctx, u.judge.repo.ID)
	if err != nil {
		return nil, fmt.Errorf("read the repository: %w", err)
	}
	now, err := u.contentAt(ctx, tip, paths)
	if err != nil {
		return nil, err
	}
	platform, err := u.contentAt(ctx, gitops.SHA(repo.PlatformCommit), paths)
	if err != nil {
		return nil, err
	}
	var edits []forge.FileEdit
	for i, path := range paths {
		want := documents[path]
		if ref, _, problems := spec.ParsePath(path); !problems.Blocking() && ref.Platform() {
			want = platform[i].data
		}
		if now[i].there != (want != nil) || string(now[i].data) != string(want) {
			edits = append(edits, forge.FileEdit{Path: path, Content: want})
		}
	}
	return edits, nil
}

// held is what a commit has at a path: there without data is something that is no regular file, or one
// that is too large to be a document.
type held struct {
	data  []byte
	there bool
}

func (u *Undoer) contentAt(ctx context.Context, commit gitops.SHA, paths []string) ([]held, error) {
	out := make([]held, len(paths))
	for i, path := range paths {
		c, err := content(ctx, u.judge.mirror, commit, path)
		if err != nil {
			return nil, err
		}
		out[i].there = c != nil
		if c != nil && c.Problem == nil {
			out[i].data = c.Data
		}
	}
	return out, nil
}
