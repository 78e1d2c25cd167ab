package forgetest

import (
	"fmt"
	"net/http"
)

// Files maps paths to contents. In a commit, nil content deletes the path.
type Files map[string][]byte

// CommitOption changes how a commit is made.
type CommitOption func(*commitOrder)

// AuthoredBy makes somebody else the commit's author; the address need not belong to anybody.
func AuthoredBy(name, email string) CommitOption {
	return func(o *commitOrder) { o.author = &signature{name: name, email: email} }
}

// CommittedBy makes somebody else the commit's committer.
func CommittedBy(name, email string) CommitOption {
	return func(o *commitOrder) { o.committer = &signature{name: name, email: email} }
}

// WithMode gives a path another mode than 100644: 100755, 120000 for a symbolic link whose target is the content,
// or 160000 for a submodule whose commit id is the content.
func WithMode(path, mode string) CommitOption {
	return func(o *commitOrder) { o.modes[path] = mode }
}

type commitOrder struct {
	branch    string
	base      string
	files     Files
	message   string
	force     bool
	author    *signature
	committer *signature
	modes     map[string]string
}

// Commit puts a commit on a branch and pushes it. A branch that does not exist starts at base (a branch, tag or
// commit; empty: the default branch); where it exists base is ignored. It returns the commit's id.
func (u *User) Commit(r *Repository, branch, base string, files Files, message string, opts ...CommitOption) (string, error) {
	return u.commit(r, commitOrder{branch: branch, base: base, files: files, message: message}, opts)
}

// ForcePush makes a branch anew: one commit with the files on top of base, whatever the branch was before.
func (u *User) ForcePush(r *Repository, branch, base string, files Files, message string, opts ...CommitOption) (string, error) {
	return u.commit(r, commitOrder{branch: branch, base: base, files: files, message: message, force: true}, opts)
}

func (u *User) commit(r *Repository, order commitOrder, opts []CommitOption) (string, error) {
	order.modes = map[string]string{}
	for _, opt := range opts {
		opt(&order)
	}
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	if !u.actor().writes(r.r) {
		return "", refuse(http.StatusForbidden, "Permission to %s.git denied to %s.", r.r.fullName(), u.a.login)
	}
	return u.s.commitFiles(u.actor(), r.r, order)
}

// commitFiles makes the objects of a commit and moves the branch to it.
func (s *Server) commitFiles(who *actor, r *repository, order commitOrder) (string, error) {
	old := r.branch(order.branch)
	parent := old
	if old == "" || order.force {
		parent = ""
		if sha, found := r.resolve(order.base); found {
			parent = sha
		} else if order.base != "" {
			return "", fmt.Errorf("no commit at %q", order.base)
		}
	}
	tree, err := s.treeWith(r, parent, order)
	if err != nil {
		return "", err
	}
	mine := s.signatureOf(who.user)
	c := commit{tree: tree, author: mine, committer: mine, message: order.message}
	if order.author != nil {
		c.author.name, c.author.email = order.author.name, order.author.email
	}
	if order.committer != nil {
		c.committer.name, c.committer.email = order.committer.name, order.committer.email
	}
	if parent != "" {
		c.parents = []string{parent}
	}
	sha, err := r.store.writeCommit(c)
	if err != nil {
		return "", err
	}
	return sha, s.moveRef(who, r, refUpdate{ref: "refs/heads/" + order.branch, old: old, new: sha}, order.force)
}

func (s *Server) treeWith(r *repository, parent string, order commitOrder) (string, error) {
	base := ""
	if parent != "" {
		c, err := r.store.commit(parent)
		if err != nil {
			return "", err
		}
		base = c.tree
	}
	edits := map[string]pathEdit{}
	for path, content := range order.files {
		edit := pathEdit{mode: "100644"}
		if m := order.modes[path]; m != "" {
			edit.mode = m
		}
		switch {
		case content == nil:
		case edit.mode == "160000":
			edit.sha = string(content)
		default:
			sha, err := r.store.write("blob", content)
			if err != nil {
				return "", err
			}
			edit.sha = sha
		}
		edits[path] = edit
	}
	tree, err := r.store.edit(base, edits)
	if err == nil && tree == "" {
		return r.store.emptyTree()
	}
	return tree, err
}

// Push moves a branch to a commit that is already in the repository.
func (u *User) Push(r *Repository, branch, sha string, force bool) error {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	if !u.actor().writes(r.r) {
		return refuse(http.StatusForbidden, "Permission to %s.git denied to %s.", r.r.fullName(), u.a.login)
	}
	if _, found := r.r.resolve(sha); !found {
		return fmt.Errorf("no commit %s", sha)
	}
	return u.s.moveRef(u.actor(), r.r, refUpdate{ref: "refs/heads/" + branch, old: r.r.branch(branch), new: sha}, force)
}

// DeleteBranch deletes a branch. Open pull requests from it are closed.
func (u *User) DeleteBranch(r *Repository, branch string) error {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	old := r.r.branch(branch)
	switch {
	case !u.actor().writes(r.r):
		return refuse(http.StatusForbidden, "Permission to %s.git denied to %s.", r.r.fullName(), u.a.login)
	case old == "":
		return notFound()
	}
	return u.s.moveRef(u.actor(), r.r, refUpdate{ref: "refs/heads/" + branch, old: old}, false)
}

// OpenPull opens a pull request in r. head is a branch, or owner:branch of a fork.
func (u *User) OpenPull(r *Repository, title, head, base, body string, draft bool) (*Pull, error) {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	if err := u.actor().can(r.r, "read", ""); err != nil {
		return nil, err
	}
	p, err := u.s.openPull(u.actor(), r.r, newPull{Title: title, Head: head, Base: base, Body: body, Draft: draft})
	if err != nil {
		return nil, err
	}
	return &Pull{s: u.s, p: p}, nil
}
