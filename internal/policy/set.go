package policy

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/google/cel-go/cel"
	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/policies"
)

// Options are what the server's configuration, and nothing in git, says about policy.
type Options struct {
	// AllowLoosen lists the operations for which the platform may ask for less than the default.
	AllowLoosen []domain.Operation
}

// Set is the policy in force: the default and the platform's own, compiled. It is immutable and safe
// for concurrent use.
type Set struct {
	Approvals Approvals
	rules     []rule
}

// Compiler makes sets. It is safe for concurrent use and keeps the last few, by content.
type Compiler struct {
	env      *cel.Env
	defaults map[string]spec.Policy

	mu    sync.Mutex
	cache []compiled // the most recently used first
}

type compiled struct {
	key      [sha256.Size]byte
	set      *Set
	problems domain.Problems
}

// cacheSize covers the accepted platform and the heads of a few open pull requests that change it.
const cacheSize = 16

// NewCompiler prepares a compiler. It fails only if the built-in policy is broken.
func NewCompiler() (*Compiler, error) {
	e, err := newEnv()
	if err != nil {
		return nil, err
	}
	c := &Compiler{env: e}
	if c.defaults, err = defaults(policies.Files); err != nil {
		return nil, err
	}
	if _, problems := c.Compile(nil, Options{}); len(problems) > 0 {
		return nil, fmt.Errorf("compile built-in policy: %w", problems[0])
	}
	return c, nil
}

// builtIn is what people are told instead of a file of the built-in policies.
const builtIn = "the built-in policy"

// defaults decodes the built-in policies, strictly, by name.
func defaults(files fs.FS) (map[string]spec.Policy, error) {
	names, err := fs.Glob(files, "*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list built-in policies: %w", err)
	}
	out := map[string]spec.Policy{}
	for _, name := range names {
		raw, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read built-in policy %s: %w", name, err)
		}
		var p spec.Policy
		if err := yaml.UnmarshalStrict(raw, &p); err != nil {
			return nil, fmt.Errorf("decode built-in policy %s: %w", name, err)
		}
		out[name] = p
	}
	return out, nil
}

// Compile makes the set of the built-in policy and the platform's, by name as spec.Platform holds
// them. The problems say what is wrong with the platform's, each with its file's path. The set is
// usable all the same: a rule that does not compile counts as true.
func (c *Compiler) Compile(platform map[string]*spec.Policy, opts Options) (*Set, domain.Problems) {
	raw, err := json.Marshal(struct {
		Platform map[string]*spec.Policy
		Opts     Options
	}{platform, opts})
	if err != nil { // strings and numbers always marshal
		return c.build(platform, opts)
	}
	key := sha256.Sum256(raw)
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.IndexFunc(c.cache, func(e compiled) bool { return e.key == key }); i >= 0 {
		hit := c.cache[i]
		c.cache = slices.Insert(slices.Delete(c.cache, i, i+1), 0, hit)
		return hit.set, slices.Clone(hit.problems)
	}
	set, problems := c.build(platform, opts)
	c.cache = slices.Insert(c.cache, 0, compiled{key, set, problems})
	if len(c.cache) > cacheSize {
		c.cache = c.cache[:cacheSize]
	}
	return set, slices.Clone(problems)
}

func (c *Compiler) build(platform map[string]*spec.Policy, opts Options) (*Set, domain.Problems) {
	set := &Set{Approvals: Approvals{AllowLoosen: slices.Clone(opts.AllowLoosen)}}
	var problems domain.Problems
	for _, name := range slices.Sorted(maps.Keys(c.defaults)) {
		p := c.defaults[name]
		set.Approvals.Default = append(set.Approvals.Default, named(builtIn, p.Approvals)...)
		problems = append(problems, set.addRules(c.env, builtIn, p.Rules)...)
	}
	for _, name := range slices.Sorted(maps.Keys(platform)) {
		p, source := platform[name], spec.Ref{Kind: spec.KindPolicy, Name: name}.Path()
		if p == nil {
			continue
		}
		rules := named(source, p.Approvals)
		set.Approvals.Platform = append(set.Approvals.Platform, rules...)
		for _, r := range rules {
			problems = append(problems, checkApprovalRule(r)...)
		}
		problems = append(problems, set.addRules(c.env, source, p.Rules)...)
	}
	return set, append(problems, set.Approvals.ambiguities()...)
}

func named(source string, rules []spec.ApprovalRule) (out []NamedRule) {
	for _, r := range rules {
		out = append(out, NamedRule{Source: source, ApprovalRule: r})
	}
	return out
}

// addRules compiles the rules into the set.
func (s *Set) addRules(e *cel.Env, source string, rules []spec.Rule) (problems domain.Problems) {
	for _, r := range rules {
		made := compileRule(e, source, r)
		if made.err != nil {
			problems = append(problems, problem(source, fmt.Sprintf("rule %s: %s", r.Name, made.err),
				"Until it is mended, the rule counts as true."))
		}
		s.rules = append(s.rules, made)
	}
	return problems
}

// ask evaluates all CEL rules, the built-in ones first.
func (s *Set) ask(f Facts) []Verdict {
	if len(s.rules) == 0 {
		return nil
	}
	vars := values(f)
	out := make([]Verdict, len(s.rules))
	for i, r := range s.rules {
		out[i] = r.ask(vars)
	}
	return out
}

// checkApprovalRule finds what can never have been meant.
func checkApprovalRule(r NamedRule) (problems domain.Problems) {
	say := func(format string, args ...any) {
		problems = append(problems, problem(r.Source, "approval rule "+r.Name+": "+fmt.Sprintf(format, args...), ""))
	}
	if r.Approvals < 0 {
		say("%d approvals are fewer than none", r.Approvals)
	}
	for _, op := range r.Operations {
		if _, known := Needs(op); !known {
			say("operation %q is not known", op)
		}
	}
	for _, e := range r.Environments {
		if !knownEnvironment(e) {
			say("environment %q is not known", e)
		}
	}
	for _, role := range r.From.Roles {
		if !Role(role).Known() {
			say("role %q is not known", role)
		}
	}
	for _, t := range r.From.Teams {
		if t.TeamID == 0 || t.OrganizationID == 0 {
			say("team %s has no number", teamName(t))
		}
	}
	return problems
}

// ambiguities asks for every operation, environment and system that the rules name, so that rules
// which contradict each other are found when they are written.
func (a Approvals) ambiguities() (problems domain.Problems) {
	systems := []string{""}
	for _, r := range a.Platform {
		systems = append(systems, r.Systems...)
	}
	slices.Sort(systems)
	systems = slices.Compact(systems)
	seen := map[AmbiguityError]bool{}
	for _, op := range domain.Operations() {
		for _, env := range environmentsFor(op) {
			for _, system := range systems {
				_, err := a.Required(Request{op, env, system})
				var ambiguous AmbiguityError
				if errors.As(err, &ambiguous) && !seen[ambiguous] {
					seen[ambiguous] = true
					problems = append(problems, problem(ambiguous.Path, ambiguous.Error(),
						"Make one of them name more of operation, environment and system than the other."))
				}
			}
		}
	}
	return problems
}

func environmentsFor(op domain.Operation) []domain.Environment {
	if hasEnvironment(op) {
		return []domain.Environment{domain.Test, domain.Prod}
	}
	return []domain.Environment{""}
}

func problem(path, message, hint string) domain.Problem {
	return domain.Problem{Code: domain.PolicyDenied, Severity: domain.Error, Path: path, Message: message, Hint: hint}
}
