package bot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/gitops"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/judge"
)

// pushers names, for each file, who pushed a generation in which its meaning moved. Our own pushes are
// nobody's.
func (j *Judge) pushers(ctx context.Context, pull forge.PullRequest, h heads, files []judge.File, planned map[string]judge.Planned) (map[string][]forge.Person, error) {
	moves, err := j.movements(ctx, pull)
	if err != nil {
		return nil, err
	}
	out := map[string][]forge.Person{}
	for _, m := range moves {
		if m.who.ID == j.self.ID {
			continue
		}
		paths, err := j.moved(ctx, m, h, files, planned)
		if err != nil {
			return nil, err
		}
		for _, p := range paths {
			if !slices.Contains(out[p], m.who) {
				out[p] = append(out[p], m.who)
			}
		}
	}
	return out, nil
}

// moved lists the files whose meaning a push changed. A state before or after that nobody has any more
// counts as different in everything.
func (j *Judge) moved(ctx context.Context, m movement, h heads, files []judge.File, planned map[string]judge.Planned) ([]string, error) {
	if len(files) == 0 {
		return nil, nil
	}
	before := m.before
	if before == "" {
		before = h.base
	}
	err := j.mirror.FetchCommits(ctx, before, m.after)
	if errors.Is(err, gitops.ErrNoCommit) {
		return filePaths(files), nil
	}
	if err != nil {
		return nil, fmt.Errorf("fetch a pushed commit: %w", err)
	}
	changes, err := j.mirror.Diff(ctx, before, m.after, filePaths(files)...)
	if err != nil {
		return nil, fmt.Errorf("compare a push: %w", err)
	}
	var out []string
	for _, c := range changes {
		same, err := j.sameMeaning(ctx, c.Path, before, m.after)
		if err != nil {
			return nil, err
		}
		agreed, err := j.agreed(ctx, c.Path, m.after, planned)
		if err != nil {
			return nil, err
		}
		if !same && !agreed {
			out = append(out, c.Path)
		}
	}
	return out, nil
}

func (j *Judge) sameMeaning(ctx context.Context, path string, a, b gitops.SHA) (bool, error) {
	left, err := j.meaning(ctx, path, a)
	if err != nil {
		return false, err
	}
	right, err := j.meaning(ctx, path, b)
	return left != nil && bytes.Equal(left, right), err
}

// agreed reports whether a path at a commit says just what an approver planned for it: whoever brought git
// there has contributed nothing of their own.
func (j *Judge) agreed(ctx context.Context, path string, commit gitops.SHA, planned map[string]judge.Planned) (bool, error) {
	want := planned[path].ModifiedSpec
	if len(want) == 0 {
		return false, nil
	}
	have, err := j.meaning(ctx, path, commit)
	return bytes.Equal(have, want), err
}

// meaning is the canonical spec of a path at a commit; nil for what cannot be read.
func (j *Judge) meaning(ctx context.Context, path string, commit gitops.SHA) ([]byte, error) {
	ref, governed, problems := spec.ParsePath(path)
	if !governed || problems.Blocking() {
		return nil, nil
	}
	c, err := content(ctx, j.mirror, commit, path)
	if err != nil || c == nil || c.Problem != nil {
		return nil, err
	}
	doc, _ := spec.Parse(ref, c.Data)
	if doc == nil {
		return nil, nil
	}
	return spec.Canonical(doc), nil
}

func filePaths(files []judge.File) []string {
	out := make([]string, len(files))
	for i, f := range files {
		out[i] = f.Path
	}
	return out
}

// contribution is who made one change, and whether that is all.
type contribution struct {
	people       map[int64]string // id → how
	logins       map[int64]string
	unattributed string
}

// maxCommits is how many commits of a pull request forges tell of.
const maxCommits = 250

// webFlow is the account in whose name GitHub commits what people do on its pages. It is nobody.
const webFlow = "web-flow"

// contributions names the contributors of every change: the author of the pull request, those who
// pushed it, the authors and committers of the commits that touched it, and, for prod, co-authors.
func (j *Judge) contributions(ctx context.Context, pull forge.PullRequest, h heads, report judge.Report, pushers map[string][]forge.Person, planned map[string]judge.Planned) (map[string]*contribution, error) {
	out := map[string]*contribution{}
	var paths []string
	for _, c := range report.Changes {
		paths = append(paths, c.Path)
		made := &contribution{people: map[int64]string{pull.Author.ID: "author of the pull request"}, logins: map[int64]string{pull.Author.ID: pull.Author.Login}}
		for _, p := range pushers[c.Path] {
			made.add(p, "pushed it")
			if !p.Known() {
				made.unattributed = "who pushed it was not seen, and the forge does not say"
			}
		}
		out[c.Path] = made
	}
	commits, complete, err := j.forge.Commits(ctx, pull.Number)
	if err != nil {
		return nil, fmt.Errorf("read the commits: %w", err)
	}
	known := map[gitops.SHA]forge.Commit{}
	for _, c := range commits {
		known[gitops.SHA(c.SHA)] = c
	}
	if complete {
		err = j.commitPeople(ctx, pull, h, report, paths, known, planned, out)
	}
	if !complete || errors.Is(err, gitops.ErrTooLarge) {
		for _, made := range out {
			made.unattributed = fmt.Sprintf("the pull request has more than %d commits, too many to know who contributed", maxCommits)
		}
		return out, nil
	}
	return out, err
}

func (made *contribution) add(p forge.Person, how string) {
	if _, already := made.people[p.ID]; !already && p.Known() {
		made.people[p.ID] = how
		made.logins[p.ID] = p.Login
	}
}

// named are the contributors for people to read, in the order of their logins.
func (made *contribution) named() (out []approval.Contributor) {
	if made == nil {
		return nil
	}
	for id, how := range made.people {
		if login := made.logins[id]; login != "" {
			out = append(out, approval.Contributor{Login: login, How: how})
		}
	}
	slices.SortFunc(out, func(a, b approval.Contributor) int { return strings.Compare(a.Login, b.Login) })
	return out
}

func (j *Judge) commitPeople(ctx context.Context, pull forge.PullRequest, h heads, report judge.Report, paths []string, known map[gitops.SHA]forge.Commit, planned map[string]judge.Planned, out map[string]*contribution) error {
	commits, err := j.mirror.Commits(ctx, h.base, h.head, maxCommits)
	if err != nil {
		return fmt.Errorf("list the commits: %w", err)
	}
	moves, err := j.movements(ctx, pull)
	if err != nil {
		return err
	}
	for _, c := range commits {
		touched, err := j.touched(ctx, c, paths)
		if err != nil {
			return err
		}
		for _, path := range touched {
			agreed, err := j.agreed(ctx, path, c.SHA, planned)
			if err != nil {
				return err
			}
			if agreed {
				continue
			}
			change, _ := report.Change(path)
			if err := j.attribute(ctx, c, known[c.SHA], moves, change.Environment, out[path]); err != nil {
				return err
			}
		}
	}
	return nil
}

// touched lists the paths whose meaning a commit itself changed: a merge changes what differs from all parents, and
// who gives a file another form changes nothing.
func (j *Judge) touched(ctx context.Context, c gitops.Commit, paths []string) ([]string, error) {
	parents := c.Parents
	if len(parents) == 0 {
		parents = []gitops.SHA{""}
	}
	left := paths
	for _, parent := range parents {
		if len(left) == 0 {
			return nil, nil
		}
		changes, err := j.mirror.Diff(ctx, parent, c.SHA, left...)
		if err != nil {
			return nil, fmt.Errorf("compare commit %s: %w", c.SHA.Short(), err)
		}
		if left, err = j.meant(ctx, changes, parent, c.SHA); err != nil {
			return nil, err
		}
	}
	return left, nil
}

// meant lists the paths among those that differ between two commits that do not mean the same in them.
func (j *Judge) meant(ctx context.Context, changes []gitops.FileChange, a, b gitops.SHA) (out []string, err error) {
	for _, c := range changes {
		same := false
		if a != "" {
			if same, err = j.sameMeaning(ctx, c.Path, a, b); err != nil {
				return nil, err
			}
		}
		if !same {
			out = append(out, c.Path)
		}
	}
	return out, nil
}

// attribute adds a commit's people. One that the forge does not know belongs to its pusher; where that
// is not known either, nothing can be said of who may approve.
func (j *Judge) attribute(ctx context.Context, c gitops.Commit, f forge.Commit, moves []movement, env domain.Environment, made *contribution) error {
	how := "wrote commit " + c.SHA.Short()
	if f.Committer.Login != webFlow {
		made.add(f.Committer, "committed "+c.SHA.Short())
	}
	made.add(f.Author, how)
	if env == domain.Prod {
		for _, id := range coAuthors(c.Message) {
			made.add(forge.Person{ID: id}, "co-author of commit "+c.SHA.Short()+" (to let them approve, have it committed without the trailer)")
		}
	}
	if f.Author.Known() && f.Committer.Known() {
		return nil
	}
	pusher, err := j.pusherOf(ctx, c.SHA, moves)
	if err != nil {
		return err
	}
	if !pusher.Known() {
		made.unattributed = fmt.Sprintf("commit %s is by somebody whom the forge does not know, and who pushed it was not seen", c.SHA.Short())
	}
	made.add(pusher, "pushed commit "+c.SHA.Short()+", whose author the forge does not know")
	return nil
}

func (j *Judge) pusherOf(ctx context.Context, commit gitops.SHA, moves []movement) (forge.Person, error) {
	for _, m := range moves {
		if !j.mirror.Has(m.after) {
			continue
		}
		in, err := j.mirror.IsAncestor(ctx, commit, m.after)
		if err != nil {
			return forge.Person{}, fmt.Errorf("look for the push of %s: %w", commit.Short(), err)
		}
		if in && m.before != "" && j.mirror.Has(m.before) {
			before, err := j.mirror.IsAncestor(ctx, commit, m.before)
			if err != nil {
				return forge.Person{}, fmt.Errorf("look for the push of %s: %w", commit.Short(), err)
			}
			in = !before
		}
		if in {
			return m.who, nil
		}
	}
	return forge.Person{}, nil
}

// noReply is the address under which GitHub lets people commit without showing their own; it holds the
// number of the account.
var noReply = regexp.MustCompile(`(?mi)^co-authored-by:.*<(\d+)\+[^@>]*@users\.noreply\.[^>]*>\s*$`)

func coAuthors(message string) []int64 {
	var out []int64
	for _, m := range noReply.FindAllStringSubmatch(message, 20) {
		if id, err := strconv.ParseInt(m[1], 10, 64); err == nil {
			out = append(out, id)
		}
	}
	return out
}
