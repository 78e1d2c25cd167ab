package policy

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// rounds is how many random worlds each property is tried on.
const rounds = 300

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

func randomEnvironments(r *rand.Rand) []domain.Environment {
	return pick(r, nil, []domain.Environment{domain.Test}, []domain.Environment{domain.Prod}, both)
}

func randomBinding(r *rand.Rand) *spec.RoleBinding {
	rb := &spec.RoleBinding{
		Role: string(pick(r, append(Roles(), "wizard")...)), System: pick(r, "", "shop", "blog"),
		AllowedEnvironments: randomEnvironments(r),
	}
	for range r.IntN(3) {
		id := r.Int64N(4)
		rb.People = append(rb.People, spec.Person{Login: fmt.Sprintf("p%d", pick(r, id, id, id, 9)), ID: id})
	}
	if r.IntN(3) == 0 {
		rb.Teams = append(rb.Teams, pick(r, ops, security, dba))
	}
	return rb
}

func randomSources(r *rand.Rand) Sources {
	s := Sources{Roles: map[string]*spec.RoleBinding{}}
	for i := range r.IntN(5) {
		s.Roles[fmt.Sprintf("r%d", i)] = randomBinding(r)
	}
	if r.IntN(3) == 0 {
		s.Systems = append(s.Systems, SystemPeople{System: "shop", Owners: []spec.Person{{Login: "p1", ID: 1}}})
	}
	return s
}

func randomPerson(r *rand.Rand) Person {
	id := r.Int64N(4)
	p := Person{ID: id, Login: fmt.Sprintf("p%d", id), Bot: r.IntN(6) == 0}
	if r.IntN(2) == 0 {
		p.Teams = []TeamID{teamID(pick(r, ops, security, dba))}
	}
	return p
}

func randomRequirement(r *rand.Rand, op domain.Operation) Requirement {
	req := Requirement{Operation: op, Approvals: 1}
	if r.IntN(2) == 0 {
		req.From.Roles = []string{string(pick(r, Roles()...))}
	}
	if r.IntN(3) == 0 {
		req.From.Teams = []spec.Team{pick(r, ops, security, dba)}
	}
	return req
}

// TestMoreBindingsNeverTakeAway: whatever was allowed stays allowed when a binding is added.
func TestMoreBindingsNeverTakeAway(t *testing.T) {
	t.Parallel()
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 1))
		fewer := randomSources(r)
		more := fewer
		more.Roles = maps.Clone(fewer.Roles)
		more.Roles[pick(r, "a", "z")] = randomBinding(r)
		a, b := NewBindings(fewer), NewBindings(more)
		p := randomPerson(r)
		for _, op := range domain.Operations() {
			for _, env := range []domain.Environment{"", domain.Test, domain.Prod} {
				scope := Scope{pick(r, "shop", "blog", ""), env}
				req := randomRequirement(r, op)
				if a.CanDo(p, op, scope).Allowed && !b.CanDo(p, op, scope).Allowed ||
					Eligible(a, p, req, scope).Allowed && !Eligible(b, p, req, scope).Allowed {
					t.Fatalf("seed %d: %v loses %s %v", seed, p, op, scope)
				}
			}
		}
	}
}

// TestTeamsNeededAreEnough: looking up just the teams that are needed gives the same answers as knowing
// all of a person's teams.
func TestTeamsNeededAreEnough(t *testing.T) {
	t.Parallel()
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 2))
		b := NewBindings(randomSources(r))
		known := randomPerson(r)
		asked := known
		asked.Teams = nil
		op := pick(r, domain.Operations()...)
		scope := Scope{pick(r, "shop", "blog", ""), pick(r, "", domain.Test, domain.Prod)}
		req := randomRequirement(r, op)
		perm, _ := Needs(op)
		for _, team := range b.TeamsNeeded(Ask{Person: asked, Permission: perm, Scope: scope}, req.Ask(asked, scope)) {
			if known.in(team) {
				asked.Teams = append(asked.Teams, teamID(team))
			}
		}
		if b.CanDo(known, op, scope).Allowed != b.CanDo(asked, op, scope).Allowed ||
			Eligible(b, known, req, scope).Allowed != Eligible(b, asked, req, scope).Allowed {
			t.Fatalf("seed %d: %+v with the teams %v is judged otherwise for %s %v %+v", seed, known, asked.Teams, op, scope, req.From)
		}
	}
}

// TestWhoCanAreRight: everybody who is named can, under the names that the bindings know them by; and
// whoever can is named, or is in a team that is.
func TestWhoCanAreRight(t *testing.T) {
	t.Parallel()
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 3))
		b := NewBindings(randomSources(r))
		op := pick(r, domain.Operations()...)
		scope := Scope{pick(r, "shop", "blog", ""), pick(r, "", domain.Test, domain.Prod)}
		req := randomRequirement(r, op)
		people, teams := WhoMayApprove(b, req, scope)
		for _, p := range people {
			if d := Eligible(b, Person{ID: p.ID, Login: p.Login}, req, scope); !d.Allowed {
				t.Fatalf("seed %d: %s is named and may not approve %s %v: %s", seed, p.Login, op, scope, d.Why)
			}
		}
		p := randomPerson(r)
		if !Eligible(b, p, req, scope).Allowed {
			continue
		}
		named := false
		for _, q := range people {
			named = named || q.ID == p.ID
		}
		for _, team := range teams {
			named = named || p.in(team)
		}
		if !named {
			t.Fatalf("seed %d: %+v may approve %s %v and is not named among %v %v", seed, p, op, scope, people, teams)
		}
	}
}

// TestMoreDenyRulesNeverAllow: a deny rule that is added, whatever it says, never makes a verdict milder.
func TestMoreDenyRulesNeverAllow(t *testing.T) {
	t.Parallel()
	c, err := NewCompiler()
	if err != nil {
		t.Fatal(err)
	}
	expressions := []string{"true", "false", "size.cores > 2", "change.wanted.missing == 1", "nonsense(", "size.cores",
		`change.environment == "prod"`, `author.bot`, `!author.bot`}
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 4))
		var rules []spec.Rule
		for i := range r.IntN(3) {
			rules = append(rules, spec.Rule{Name: fmt.Sprint(i), Effect: pick(r, "deny", "warn"), Expression: pick(r, expressions...), Message: "m"})
		}
		f := celFacts()
		f.Author, f.Bindings = randomPerson(r), NewBindings(randomSources(r))
		f.Policies, _ = c.Compile(map[string]*spec.Policy{"m": {Rules: rules}}, Options{})
		before := Evaluate(f)
		added := spec.Rule{Name: "added", Effect: "deny", Expression: pick(r, expressions...), Message: "m"}
		f.Policies, _ = c.Compile(map[string]*spec.Policy{"m": {Rules: rules}, pick(r, "a", "z"): {Rules: []spec.Rule{added}}}, Options{})
		if after := Evaluate(f); worse(before.Outcome, after.Outcome) != after.Outcome {
			t.Fatalf("seed %d: %s became %s by adding %q", seed, before.Outcome, after.Outcome, added.Expression)
		}
	}
}

// TestPlatformNeverLoosens: without leave, rules of the platform never ask for less than the default.
func TestPlatformNeverLoosens(t *testing.T) {
	t.Parallel()
	set := compileDefault(t)
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 5))
		rules := Approvals{Default: set.Approvals.Default}
		for i := range 1 + r.IntN(4) {
			rule := approvalRule(fmt.Sprint(i), r.IntN(3))
			if r.IntN(2) == 0 {
				rule.Operations = []domain.Operation{pick(r, domain.Operations()...), pick(r, domain.Operations()...)}
			}
			rule.Environments = randomEnvironments(r)
			rule.Systems = pick(r, nil, []string{"shop"}, []string{"blog"})
			rule.From = pick(r, spec.ApprovalFrom{}, spec.ApprovalFrom{Teams: []spec.Team{dba}}, spec.ApprovalFrom{Roles: []string{"approver"}})
			rules.Platform = append(rules.Platform, rule)
		}
		for _, op := range domain.Operations() {
			for _, env := range environmentsFor(op) {
				base, err := set.Approvals.Required(Request{op, env, "shop"})
				if err != nil {
					t.Fatal(err)
				}
				got, err := rules.Required(Request{op, env, "shop"})
				if err == nil && (got.Approvals < base.Approvals || got.Confirm != base.Confirm) {
					t.Fatalf("seed %d: %s in %q needs %+v, the default is %+v", seed, op, env, got, base)
				}
			}
		}
	}
}
