package github

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"path"
	"strings"
	"unicode/utf8"

	gh "github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/bot/forge"
)

const regularFile = "100644"

// CommitFiles commits edits on top of parent and puts branch there, without a clone. It is made to be run twice: a
// branch whose tip already has this parent and this tree is left as it is, and its tip is returned.
//
// A branch that exists must be at parent, or at an ancestor of parent whose commit the bot wrote; it is moved forward
// only. Anything else, and edits that change nothing, is forge.ErrConflict. GitHub's REST interface has no
// compare-and-set for branches: between the look and the move a push can only make the move fail, unless it rewinds
// the branch.
//
// Five calls, four when there is nothing to do; one more for each file that is not text.
func (c *Client) CommitFiles(ctx context.Context, branch, parent string, edits []forge.FileEdit, message string) (string, error) {
	return c.commit(ctx, branch, parent, edits, message, false)
}

// CommitOnHead commits edits, by the bot, on top of a pull request's head and moves its branch there, with the head as
// a lease: the branch must be at headSHA, else it is forge.ErrConflict and the branch is left alone. It is never made
// and never forced. Edits that are there already change nothing, and the branch's head is returned; a second run after a
// success is one of those, with the old head or the new one.
//
// The head of a fork's pull request is in another repository: ErrConflict, as a rule. GitHub's REST interface has no
// compare-and-set for branches: a push between the look and the move makes the move fail, unless it rewinds the branch
// within that moment.
//
// Five calls, three or four when there is nothing to do; one more for each file that is not text.
func (c *Client) CommitOnHead(ctx context.Context, branch, headSHA string, edits []forge.FileEdit, message string) (string, error) {
	return c.commit(ctx, branch, headSHA, edits, message, true)
}

func (c *Client) commit(ctx context.Context, branch, parent string, edits []forge.FileEdit, message string, lease bool) (string, error) {
	doing := "commit to " + branch
	if err := checkEdits(branch, parent, edits); err != nil {
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	var sha string
	err := c.inRepository(ctx, doing, func(owner, name string) error {
		w := &committer{c: c, owner: owner, name: name, ref: "refs/heads/" + branch, lease: lease}
		var err error
		sha, err = w.commit(ctx, parent, edits, message)
		return err
	})
	if err != nil {
		return "", err
	}
	return sha, nil
}

func checkEdits(branch, parent string, edits []forge.FileEdit) error {
	if !validBranch(branch) || !validSHA(parent) || len(edits) == 0 {
		return fmt.Errorf("%w: branch, parent and edits are needed", forge.ErrRefused)
	}
	seen := map[string]bool{}
	for _, e := range edits {
		clean := e.Path != "" && e.Path != "." && path.Clean("/"+e.Path) == "/"+e.Path
		inGit := strings.EqualFold(strings.SplitN(e.Path, "/", 2)[0], ".git")
		if !clean || inGit || seen[e.Path] {
			return fmt.Errorf("%w: path %q", forge.ErrRefused, e.Path)
		}
		seen[e.Path] = true
	}
	return nil
}

// validBranch keeps a branch's name from changing the path of a request. Git forbids the same characters.
func validBranch(s string) bool {
	return s != "" && len(s) <= 255 && path.Clean("/"+s) == "/"+s &&
		!strings.Contains(s, "..") && !strings.ContainsAny(s, " ~^:?*[\\\x7f") &&
		!strings.ContainsFunc(s, func(r rune) bool { return r < ' ' })
}

// committer writes one commit to one branch.
type committer struct {
	c                *Client
	owner, name, ref string
	lease            bool // the branch must be at the parent
}

func (w *committer) commit(ctx context.Context, parent string, edits []forge.FileEdit, message string) (string, error) {
	git := w.c.gh.Git
	base, _, err := git.GetCommit(ctx, w.owner, w.name, parent)
	if err != nil {
		return "", err
	}
	tree, err := w.tree(ctx, base.GetTree().GetSHA(), edits)
	if err != nil {
		return "", err
	}
	unchanged := tree == base.GetTree().GetSHA()
	if unchanged && !w.lease {
		return "", fmt.Errorf("%w: the edits change nothing", forge.ErrConflict)
	}
	tip, err := w.tip(ctx)
	if err != nil {
		return "", err
	}
	if done, err := w.settled(ctx, tip, parent, tree); err != nil || done || tip == parent && unchanged {
		return tip, err
	}
	made, _, err := git.CreateCommit(ctx, w.owner, w.name, &gh.Commit{
		Message: &message, Tree: &gh.Tree{SHA: &tree}, Parents: []*gh.Commit{{SHA: &parent}},
	}, nil)
	if err != nil {
		return "", err
	}
	return made.GetSHA(), w.move(ctx, tip, made.GetSHA())
}

// tree writes the files: text within the tree, anything else as blobs of their own.
func (w *committer) tree(ctx context.Context, base string, edits []forge.FileEdit) (string, error) {
	if !validSHA(base) {
		return "", errMisfit
	}
	entries := make([]*gh.TreeEntry, 0, len(edits))
	for _, e := range edits {
		entry := &gh.TreeEntry{Path: gh.String(e.Path), Mode: gh.String(regularFile), Type: gh.String("blob")}
		switch {
		case e.Content == nil: // an entry without content and hash removes the path
		case utf8.Valid(e.Content) && !bytes.ContainsRune(e.Content, 0):
			entry.Content = gh.String(string(e.Content))
		default:
			blob, _, err := w.c.gh.Git.CreateBlob(ctx, w.owner, w.name, &gh.Blob{
				Content: gh.String(base64.StdEncoding.EncodeToString(e.Content)), Encoding: gh.String("base64"),
			})
			if err != nil {
				return "", err
			}
			entry.SHA = blob.SHA
		}
		entries = append(entries, entry)
	}
	tree, _, err := w.c.gh.Git.CreateTree(ctx, w.owner, w.name, base, entries)
	if err != nil {
		return "", err
	}
	if !validSHA(tree.GetSHA()) {
		return "", errMisfit
	}
	return tree.GetSHA(), nil
}

// tip is the commit of the branch, empty when there is no such branch.
func (w *committer) tip(ctx context.Context) (string, error) {
	ref, _, err := w.c.gh.Git.GetRef(ctx, w.owner, w.name, w.ref)
	switch {
	case status(err) == http.StatusNotFound:
		return "", nil
	case err != nil:
		return "", err
	case ref.GetRef() != w.ref || !validSHA(ref.GetObject().GetSHA()):
		return "", errMisfit
	}
	return ref.GetObject().GetSHA(), nil
}

// settled judges where the branch is: done, free to move, or in the way.
func (w *committer) settled(ctx context.Context, tip, parent, tree string) (done bool, err error) {
	switch {
	case tip == parent:
		return false, nil
	case w.lease:
		return w.mustStay(ctx, tip, parent, tree)
	case tip == "":
		return false, nil
	}
	return w.mayMoveOn(ctx, tip, parent, tree)
}

// holds reports whether the tip is the very commit that is to be made.
func (w *committer) holds(ctx context.Context, tip, parent, tree string) (bool, error) {
	commit, _, err := w.c.gh.Git.GetCommit(ctx, w.owner, w.name, tip)
	if err != nil {
		return false, err
	}
	return commit.GetTree().GetSHA() == tree && len(commit.Parents) == 1 && commit.Parents[0].GetSHA() == parent, nil
}

// mustStay lets nobody move the branch but the commit itself.
func (w *committer) mustStay(ctx context.Context, tip, parent, tree string) (done bool, err error) {
	if tip == "" {
		return false, fmt.Errorf("%w: the branch is gone", forge.ErrConflict)
	}
	done, err = w.holds(ctx, tip, parent, tree)
	if err == nil && !done {
		err = fmt.Errorf("%w: the branch is at %s", forge.ErrConflict, tip)
	}
	return done, err
}

// mayMoveOn lets a branch that the bot wrote be moved forward to the parent.
func (w *committer) mayMoveOn(ctx context.Context, tip, parent, tree string) (done bool, err error) {
	if done, err := w.holds(ctx, tip, parent, tree); err != nil || done {
		return done, err
	}
	self, err := w.c.Self(ctx)
	if err != nil {
		return false, err
	}
	between, _, err := w.c.gh.Repositories.CompareCommits(ctx, w.owner, w.name, tip, parent, &gh.ListOptions{PerPage: 1})
	if err != nil {
		return false, err
	}
	ours := between.GetBaseCommit().GetSHA() == tip && between.GetBaseCommit().GetAuthor().GetID() == self.ID
	if !ours || between.GetStatus() != "ahead" {
		return false, fmt.Errorf("%w: the branch is at %s", forge.ErrConflict, tip)
	}
	return false, nil
}

// move creates the branch, or moves it forward from tip.
func (w *committer) move(ctx context.Context, tip, sha string) error {
	ref := &gh.Reference{Ref: &w.ref, Object: &gh.GitObject{SHA: &sha}}
	var err error
	if tip == "" {
		_, _, err = w.c.gh.Git.CreateRef(ctx, w.owner, w.name, ref)
	} else {
		_, _, err = w.c.gh.Git.UpdateRef(ctx, w.owner, w.name, ref, false)
	}
	return err
}
