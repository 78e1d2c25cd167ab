package forgetest

import (
	"fmt"
	"slices"
	"strings"
)

// ID is the repository's numeric id.
func (r *Repository) ID() int64 { return r.r.id }

// Owner is the login of the account that the repository belongs to.
func (r *Repository) Owner() string { return r.r.owner.login }

// Name is the repository's current name.
func (r *Repository) Name() string {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.r.name
}

// FullName is owner/name.
func (r *Repository) FullName() string { return r.Owner() + "/" + r.Name() }

// DefaultBranch is the branch that is governed unless said otherwise.
func (r *Repository) DefaultBranch() string { return r.r.defaultBranch }

// CloneURL is the address for git, without credentials.
func (r *Repository) CloneURL() string { return r.s.URL() + "/" + r.FullName() + ".git" }

// CloneURLFor is the address for git with a person's token in it.
func (r *Repository) CloneURLFor(u *User) string {
	url := r.CloneURL()
	scheme := len("http://")
	if url[:scheme] != "http://" {
		scheme = len("https://")
	}
	return url[:scheme] + "x-access-token:" + u.Token() + "@" + url[scheme:]
}

// Dir is the bare git repository on disk.
func (r *Repository) Dir() string { return r.r.dir }

// Head is the commit at a branch's tip, "" if there is no such branch.
func (r *Repository) Head(branch string) string {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.r.branch(branch)
}

// Branches lists the names of all branches in order.
func (r *Repository) Branches() []string {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	var out []string
	for ref := range r.r.refs {
		if name, isBranch := cutBranch(ref); isBranch {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// File reads a file at a branch, tag or commit. ok is false if it is not there.
func (r *Repository) File(ref, path string) (content []byte, ok bool) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	tree, found := r.r.treeOf(ref)
	if !found {
		return nil, false
	}
	entry, found, err := r.r.store.lookup(tree, path)
	if err != nil || !found || entry.kind() != "blob" {
		return nil, false
	}
	_, data, err := r.r.store.read(entry.sha)
	return data, err == nil
}

// CommitInfo is what a test wants to know about a commit.
type CommitInfo struct {
	SHA            string
	Tree           string
	Parents        []string
	Message        string
	AuthorEmail    string
	CommitterEmail string
}

// Commit reads a commit by branch, tag or id.
func (r *Repository) Commit(ref string) (CommitInfo, error) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	sha, found := r.r.resolve(ref)
	if !found {
		return CommitInfo{}, fmt.Errorf("no commit at %q", ref)
	}
	c, err := r.r.store.commit(sha)
	if err != nil {
		return CommitInfo{}, err
	}
	return CommitInfo{
		SHA: sha, Tree: c.tree, Parents: slices.Clone(c.parents), Message: c.message,
		AuthorEmail: c.author.email, CommitterEmail: c.committer.email,
	}, nil
}

// SetPermission makes a person a collaborator with admin, maintain, write, triage or read; "none" ends it.
func (r *Repository) SetPermission(u *User, permission string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	had := r.r.perms[u.a.id]
	action := "added"
	switch {
	case permission == "none" || permission == "":
		delete(r.r.perms, u.a.id)
		action = "removed"
	default:
		r.r.perms[u.a.id] = permission
		if had != "" {
			action = "edited"
		}
	}
	payload := obj{"member": r.s.userView(u.a)}
	switch action {
	case "added":
		payload["changes"] = obj{"permission": obj{"to": permission}}
	case "edited":
		payload["changes"] = obj{"old_permission": obj{"from": had}}
	}
	r.s.emit(&actor{user: r.r.owner}, r.r, "member", action, payload)
}

// Permission is what a person may do, by whatever way.
func (r *Repository) Permission(u *User) string {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	return r.r.permission(u.a)
}

// Protect sets a branch's protection.
func (r *Repository) Protect(branch string, p Protection) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.r.protection[branch] = p
}

// AllowMerging leaves only these ways to merge ("merge", "squash", "rebase"); a new repository allows all three.
func (r *Repository) AllowMerging(methods ...string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	r.r.noMerging = map[string]bool{}
	for m := range methodNames {
		r.r.noMerging[m] = !slices.Contains(methods, m)
	}
}

// Unprotect ends a branch's protection.
func (r *Repository) Unprotect(branch string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	delete(r.r.protection, branch)
}

// AddHook adds a repository webhook and pings it. No events means all. It returns the hook's id.
func (r *Repository) AddHook(url, secret string, events ...string) int64 {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if len(events) == 0 {
		events = []string{"*"}
	}
	h := &hook{id: r.s.nextID(), repo: r.r, url: url, secret: secret, events: events, active: true, createdAt: r.s.now()}
	r.r.hooks = append(r.r.hooks, h)
	r.s.ping(h, &actor{user: r.r.owner})
	return h.id
}

// Deliveries lists what a repository hook has sent, oldest first.
func (r *Repository) Deliveries(hookID int64) []Delivery {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	for _, h := range r.r.hooks {
		if h.id == hookID {
			return h.list()
		}
	}
	return nil
}

// Delivery is one attempt to deliver an event, as the forge remembers it.
type Delivery struct {
	ID         int64
	GUID       string
	Event      string
	Action     string
	Redelivery bool
	Done       bool // the attempt is over
	StatusCode int  // 0 when nobody answered
	Status     string
	Payload    []byte
}

func (h *hook) list() []Delivery {
	out := make([]Delivery, 0, len(h.deliveries))
	for _, d := range h.deliveries {
		out = append(out, Delivery{
			ID: d.id, GUID: d.guid, Event: d.event, Action: d.action, Redelivery: d.redelivery, Done: d.done,
			StatusCode: d.code, Status: d.status, Payload: d.body,
		})
	}
	return out
}

// Rename gives the repository another name. Until another repository takes the old one, requests for it are redirected.
func (r *Repository) Rename(name string) {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	was := r.r.name
	r.r.formerNames = append(r.r.formerNames, strings.ToLower(r.r.fullName()))
	r.r.name = name
	r.s.emit(&actor{user: r.r.owner}, r.r, "repository", "renamed", obj{"changes": obj{"repository": obj{"name": obj{"from": was}}}})
}

// Fork makes a copy of the repository that belongs to a person.
func (u *User) Fork(r *Repository) (*Repository, error) {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	if !atLeast(r.r.permission(u.a), "read") {
		return nil, notFound()
	}
	if f := u.s.repository(u.a.login, r.r.name); f != nil {
		return &Repository{s: u.s, r: f}, nil
	}
	f, err := u.s.addRepository(u.a, r.r.name, RepositoryOptions{Private: r.r.private, DefaultBranch: r.r.defaultBranch})
	if err != nil {
		return nil, err
	}
	f.parent = r.r
	if _, err := u.s.git.run(f.dir, nil, "fetch", "-q", r.r.dir, "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"); err != nil {
		return nil, fmt.Errorf("copy to the fork: %w", err)
	}
	if f.refs, err = u.s.git.listRefs(f.dir); err != nil {
		return nil, err
	}
	u.s.emit(u.actor(), r.r, "fork", "", obj{"forkee": u.s.repoView(f)})
	return &Repository{s: u.s, r: f}, nil
}
