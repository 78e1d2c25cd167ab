package forgetest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// User is a person (or a bot) of a server. Its methods do what the person could do on the forge's pages; they fail
// with an *Error where the forge refuses.
type User struct {
	s *Server
	a *account
}

// User finds a person by login and makes them if they are new. Their numeric id is derived from the login.
func (s *Server) User(login string) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.userNamed(login, 0)
}

// UserWithID is User with a numeric id for a new person.
func (s *Server) UserWithID(login string, id int64) *User {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.userNamed(login, id)
}

func (s *Server) userNamed(login string, id int64) *User {
	a := s.account(login)
	if a == nil {
		a = s.addAccount(login, "User", id)
	}
	return &User{s: s, a: a}
}

func (s *Server) addAccount(login, kind string, id int64) *account {
	if id == 0 || s.accounts[id] != nil {
		id = s.idFor(login)
	}
	a := &account{id: id, login: login, kind: kind, createdAt: s.now(), members: map[int64]string{}, basePermission: "read"}
	a.email = login + "@example.com"
	switch kind {
	case "Organization":
		a.name = login
	case "User":
		a.name = strings.ToUpper(login[:1]) + login[1:]
	case "Bot":
		a.email = noreplyEmail(id, login)
	}
	s.accounts[id] = a
	return a
}

// Login is the person's current login.
func (u *User) Login() string {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	return u.a.login
}

// ID is the person's numeric id, which never changes.
func (u *User) ID() int64 { return u.a.id }

// Email is the address with which the person signs commits.
func (u *User) Email() string {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	return u.a.email
}

// Rename gives the person another login. The old one is free for somebody else.
func (u *User) Rename(login string) {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	u.a.login = login
}

// Token makes a personal access token for the person. Each call makes another one.
func (u *User) Token() string {
	u.s.mu.Lock()
	defer u.s.mu.Unlock()
	return u.s.newToken(&token{user: u.a})
}

func (u *User) actor() *actor { return &actor{user: u.a, token: &token{user: u.a}} }

// Organization is an organisation of a server.
type Organization struct {
	s *Server
	a *account
}

// Organization finds an organisation by login and makes it if it is new.
func (s *Server) Organization(login string) *Organization {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.orgNamed(login)
}

func (s *Server) orgNamed(login string) *Organization {
	a := s.account(login)
	if a == nil {
		a = s.addAccount(login, "Organization", 0)
	}
	return &Organization{s: s, a: a}
}

// ID is the organisation's numeric id.
func (o *Organization) ID() int64 { return o.a.id }

// SetBasePermission says what every member may do in every repository. A new organisation has "read".
func (o *Organization) SetBasePermission(permission string) {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	o.a.basePermission = permission
}

// SetMember makes a person a member ("member", "admin") or, with an empty role, takes them out of the organisation
// and its teams.
func (o *Organization) SetMember(u *User, role string) {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	had := o.a.members[u.a.id]
	who := u.actor()
	membership := obj{"membership": nil}
	switch {
	case role != "":
		o.a.members[u.a.id] = role
		if had == "" {
			membership["membership"] = o.s.smallMembershipView(o.a, u.a)
			o.s.emitOrg(who, o.a, "organization", "member_added", membership)
		}
	case had != "":
		membership["membership"] = o.s.smallMembershipView(o.a, u.a)
		delete(o.a.members, u.a.id)
		for _, t := range o.a.teams {
			o.s.removeFromTeam(who, t, u.a)
		}
		o.s.emitOrg(who, o.a, "organization", "member_removed", membership)
	}
}

// Team is a team of an organisation.
type Team struct {
	s *Server
	t *team
}

// Team finds a team by slug and makes it if it is new.
func (o *Organization) Team(slug string) *Team {
	o.s.mu.Lock()
	defer o.s.mu.Unlock()
	for _, t := range o.a.teams {
		if t.slug == slug {
			return &Team{s: o.s, t: t}
		}
	}
	t := &team{id: o.s.nextID(), org: o.a, slug: slug, name: slug, members: map[int64]*teamMember{}, repos: map[int64]string{}}
	o.a.teams = append(o.a.teams, t)
	o.s.emitOrg(&actor{user: o.a}, o.a, "team", "created", obj{"team": o.s.teamView(t)})
	return &Team{s: o.s, t: t}
}

// ID is the team's numeric id.
func (t *Team) ID() int64 { return t.t.id }

// Add makes people active members of the team and, where they are not, of the organisation.
func (t *Team) Add(people ...*User) {
	for _, u := range people {
		t.SetMember(u, "member", "active")
	}
}

// SetMember sets a person's role ("member", "maintainer") and state ("active", "pending") in the team.
func (t *Team) SetMember(u *User, role, state string) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	_, had := t.t.members[u.a.id]
	t.t.members[u.a.id] = &teamMember{user: u.a, role: role, state: state}
	if state != "active" {
		return
	}
	if t.t.org.members[u.a.id] == "" {
		t.t.org.members[u.a.id] = "member"
	}
	if !had {
		t.s.emitMembership(u.actor(), t.t, u.a, "added")
	}
}

// Remove takes a person out of the team.
func (t *Team) Remove(u *User) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	t.s.removeFromTeam(u.actor(), t.t, u.a)
}

// Delete deletes the team. Its members stay in the organisation.
func (t *Team) Delete() {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	org := t.t.org
	org.teams = slices.DeleteFunc(slices.Clone(org.teams), func(o *team) bool { return o == t.t })
	t.s.emitOrg(&actor{user: org}, org, "team", "deleted", obj{"team": t.s.teamView(t.t)})
}

// Grant gives the team's members a permission in a repository.
func (t *Team) Grant(r *Repository, permission string) {
	t.s.mu.Lock()
	defer t.s.mu.Unlock()
	t.t.repos[r.r.id] = permission
	t.s.emit(&actor{user: t.t.org}, r.r, "team", "added_to_repository", obj{"team": t.s.teamView(t.t)})
}

func (s *Server) removeFromTeam(who *actor, t *team, u *account) {
	if t.members[u.id] == nil {
		return
	}
	delete(t.members, u.id)
	s.emitMembership(who, t, u, "removed")
}

func (s *Server) emitMembership(who *actor, t *team, u *account, action string) {
	s.emitOrg(who, t.org, "membership", action, obj{"scope": "team", "member": s.userView(u), "team": s.teamView(t)})
}

// Repository is a repository of a server.
type Repository struct {
	s *Server
	r *repository
}

// RepositoryOptions says how a new repository is set up.
type RepositoryOptions struct {
	// ID is the numeric id. 0: the next free one.
	ID int64
	// DefaultBranch is "main" if it is empty.
	DefaultBranch string
	// Private hides the repository from those who have no permission in it.
	Private bool
	// Files are in the first commit. Nil: a README.md alone. Empty but not nil: no commit at all.
	Files Files
}

// Repository finds a repository and makes it, with its organisation and a first commit, if it is new. It panics if
// the server's directory cannot be written.
func (s *Server) Repository(owner, name string) *Repository {
	s.mu.Lock()
	r := s.repository(owner, name)
	s.mu.Unlock()
	if r != nil {
		return &Repository{s: s, r: r}
	}
	repo, err := s.CreateRepository(owner, name, RepositoryOptions{})
	if err != nil {
		panic(fmt.Sprintf("forgetest: create repository %s/%s: %v", owner, name, err))
	}
	return repo
}

// CreateRepository makes a repository. The owner becomes an organisation if nobody has that login yet.
func (s *Server) CreateRepository(owner, name string, opts RepositoryOptions) (*Repository, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.repository(owner, name) != nil {
		return nil, invalid("Repository", "name", "custom", "name already exists on this account")
	}
	acc := s.account(owner)
	if acc == nil {
		acc = s.orgNamed(owner).a
	}
	r, err := s.addRepository(acc, name, opts)
	if err != nil {
		return nil, err
	}
	if opts.Files == nil {
		opts.Files = Files{"README.md": []byte("# " + name + "\n")}
	}
	if len(opts.Files) > 0 {
		in := commitOrder{branch: r.defaultBranch, files: opts.Files, message: "Initial commit"}
		if _, err := s.commitFiles(&actor{user: acc}, r, in); err != nil {
			return nil, err
		}
	}
	return &Repository{s: s, r: r}, nil
}

func (s *Server) addRepository(owner *account, name string, opts RepositoryOptions) (*repository, error) {
	if opts.DefaultBranch == "" {
		opts.DefaultBranch = "main"
	}
	if opts.ID == 0 {
		opts.ID = s.nextID()
	}
	if s.repos[opts.ID] != nil {
		return nil, fmt.Errorf("repository id %d is taken", opts.ID)
	}
	dir := filepath.Join(s.opts.Dir, "repos", itoa(opts.ID)+".git")
	if err := initBare(dir, opts.DefaultBranch); err != nil {
		return nil, err
	}
	now := s.now()
	r := &repository{
		id: opts.ID, owner: owner, name: name, private: opts.Private, defaultBranch: opts.DefaultBranch, dir: dir,
		store: newStore(dir, s.git), createdAt: now, pushedAt: now, refs: map[string]string{}, perms: map[int64]string{},
		issues: map[int]*issue{}, protection: map[string]Protection{}, queues: map[string][]*MergeGroup{}, runsBySHA: map[string][]*checkRun{},
		statuses: map[string][]*commitStatus{}, comments: map[int64]*comment{}, memo: map[string]any{},
	}
	s.repos[r.id] = r
	return r, nil
}
