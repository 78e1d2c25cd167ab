package policy

import (
	"maps"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// TeamID is the number of an organisation and of one of its teams.
type TeamID struct{ Org, Team int64 }

// Person is somebody as the forge knows them now. An ID of zero is somebody it could not tell.
type Person struct {
	ID    int64
	Login string
	Bot   bool
	Teams []TeamID // those that the person was found an active member of
}

// String is how the person is shown.
func (p Person) String() string {
	if p.Login == "" {
		return "somebody unknown"
	}
	return p.Login
}

// Scope is what a question about permissions is asked of. An empty System asks for everything; an
// empty Environment is that of things that have none.
type Scope struct {
	System      string
	Environment domain.Environment
}

// String is the scope as the end of a sentence: "on shop in prod".
func (s Scope) String() string { return place(s.System, environmentsOf(s.Environment)) }

// Sources is everything that gives people roles.
type Sources struct {
	Roles   map[string]*spec.RoleBinding // by name, as spec.Platform holds them
	Systems []SystemPeople
	// Administrators are the platform administrators of the server's configuration, whom git cannot
	// remove. An empty Login leaves the decision to the ID.
	Administrators []spec.Person
}

// SystemPeople are the people who hold system-admin on a system in test, because it is theirs.
type SystemPeople struct {
	System  string
	Owners  []spec.Person
	Creator spec.Person // zero when not known
}

// grant is one role given to one person or one team.
type grant struct {
	source       string // what gives it, for people
	role         Role
	person       spec.Person
	team         spec.Team
	system       string // global when empty
	environments []domain.Environment
}

// configured is the source of the grants that git cannot take away.
const configured = "the server's configuration"

// Bindings answers who may do what. It is immutable and safe for concurrent use.
type Bindings struct {
	grants  []grant
	systems map[string]bool
}

// NewBindings flattens the sources. A binding with an unknown role, a person or team without a
// number, and a platform-admin binding with a scope grant nothing.
func NewBindings(s Sources) *Bindings {
	b := &Bindings{systems: map[string]bool{}}
	for _, name := range slices.Sorted(maps.Keys(s.Roles)) {
		b.grants = append(b.grants, roleGrants(name, s.Roles[name])...)
	}
	for _, sys := range s.Systems {
		b.systems[sys.System] = true
		b.grants = append(b.grants, systemGrants(sys)...)
	}
	for _, admin := range s.Administrators {
		b.grants = append(b.grants, grant{
			source: configured, role: RolePlatformAdmin, person: admin,
			environments: []domain.Environment{domain.Test, domain.Prod},
		})
	}
	return b
}

// WithCreator returns bindings in which the person owns a system that does not exist yet, so that a
// pull request can create a system and what is in it. For a system that exists, or somebody who may
// not create one, the bindings are returned as they are.
func (b *Bindings) WithCreator(system string, p Person) *Bindings {
	if system == "" || p.Login == "" || b.systems[system] || !b.Can(p, SystemCreate, Scope{}).Allowed {
		return b
	}
	made := &Bindings{grants: slices.Clone(b.grants), systems: maps.Clone(b.systems)}
	made.systems[system] = true
	creator := spec.Person{Login: p.Login, ID: p.ID}
	made.grants = append(made.grants, systemGrants(SystemPeople{System: system, Creator: creator})...)
	return made
}

func roleGrants(name string, rb *spec.RoleBinding) []grant {
	if rb == nil {
		return nil
	}
	role := Role(rb.Role)
	if !role.Known() || role == RolePlatformAdmin && rb.System != "" {
		return nil
	}
	base := grant{
		source: spec.Ref{Kind: spec.KindRoleBinding, Name: name}.Path(),
		role:   role, system: rb.System, environments: rb.AllowedEnvironments,
	}
	if len(base.environments) == 0 {
		base.environments = []domain.Environment{domain.Test}
	}
	var out []grant
	for _, p := range rb.People {
		if p.Login == "" {
			continue // a number alone names nobody here, see names
		}
		g := base
		g.person = p
		out = append(out, g)
	}
	for _, t := range rb.Teams {
		g := base
		g.team = t
		out = append(out, g)
	}
	return out
}

func systemGrants(s SystemPeople) []grant {
	if s.System == "" {
		return nil
	}
	base := grant{role: RoleSystemAdmin, system: s.System, environments: []domain.Environment{domain.Test}}
	var out []grant
	for _, p := range s.Owners {
		if p.Login == "" {
			continue
		}
		g := base
		g.person, g.source = p, "owners of "+s.System
		out = append(out, g)
	}
	if s.Creator.ID != 0 && s.Creator.Login != "" {
		g := base
		g.person, g.source = s.Creator, "creator of "+s.System
		out = append(out, g)
	}
	return out
}

// names reports whether the grant is for the person. about is true when it would be, were it not that
// login and id disagree.
func (g grant) names(p Person) (granted, about bool) {
	if g.person.ID == 0 && g.person.Login == "" {
		return !p.Bot && p.in(g.team), false
	}
	id := g.person.ID != 0 && g.person.ID == p.ID
	login := strings.EqualFold(g.person.Login, p.Login)
	configured := g.person.Login == "" // only the server's configuration may leave it out
	return id && (login || configured), id || login && p.Login != ""
}

// covers reports whether the grant holds on the system.
func (g grant) covers(system string) bool { return g.system == "" || g.system == system }

func (g grant) in(e domain.Environment) bool { return slices.Contains(g.environments, e) }

// String is the grant as people read it: "operator on shop in test (platform/roles/ops.yaml)".
func (g grant) String() string {
	s := string(g.role)
	if g.role != RolePlatformAdmin {
		s += " " + place(g.system, g.environments)
	}
	if g.team.TeamID != 0 {
		s += " through team " + teamName(g.team)
	}
	return s + " (" + g.source + ")"
}

func place(system string, envs []domain.Environment) string {
	s := "everywhere"
	if system != "" {
		s = "on " + system
	}
	if len(envs) > 0 {
		s += " in " + joinEnvironments(envs)
	}
	return s
}

func environmentsOf(e domain.Environment) []domain.Environment {
	if e == "" {
		return nil
	}
	return []domain.Environment{e}
}

func joinEnvironments(envs []domain.Environment) string {
	words := make([]string, len(envs))
	for i, e := range envs {
		words[i] = string(e)
	}
	return strings.Join(words, " and ")
}

func teamName(t spec.Team) string { return t.Organization + "/" + t.Team }
