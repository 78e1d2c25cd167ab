package policy

import (
	"crypto/sha256"
	"encoding/json"
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
	findings findings
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
	set, found := c.compile(platform, opts)
	return set, found.problems(nil)
}

// CompilePlatform is Compile for the policies of a platform whose files were read: its problems carry
// lines too.
func (c *Compiler) CompilePlatform(platform *spec.Platform, opts Options) (*Set, domain.Problems) {
	set, found := c.compile(platform.Policies, opts)
	return set, found.problems(platform)
}

func (c *Compiler) compile(platform map[string]*spec.Policy, opts Options) (*Set, findings) {
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
		return hit.set, hit.findings
	}
	set, found := c.build(platform, opts)
	c.cache = slices.Insert(c.cache, 0, compiled{key, set, found})
	if len(c.cache) > cacheSize {
		c.cache = c.cache[:cacheSize]
	}
	return set, found
}

func (c *Compiler) build(platform map[string]*spec.Policy, opts Options) (*Set, findings) {
	set := &Set{Approvals: Approvals{AllowLoosen: slices.Clone(opts.AllowLoosen)}}
	var found findings
	for _, name := range slices.Sorted(maps.Keys(c.defaults)) {
		p := c.defaults[name]
		set.Approvals.Default = append(set.Approvals.Default, named(builtIn, p.Approvals)...)
		found = append(found, set.addRules(c.env, builtIn, p.Rules)...)
	}
	for _, name := range slices.Sorted(maps.Keys(platform)) {
		p, source := platform[name], spec.Ref{Kind: spec.KindPolicy, Name: name}.Path()
		if p == nil {
			continue
		}
		rules := named(source, p.Approvals)
		set.Approvals.Platform = append(set.Approvals.Platform, rules...)
		for i, r := range rules {
			found = append(found, checkApprovalRule(r, fmt.Sprintf("spec.approvals[%d]", i))...)
		}
		found = append(found, set.addRules(c.env, source, p.Rules)...)
	}
	return set, append(found, set.Approvals.ambiguities()...)
}

func named(source string, rules []spec.ApprovalRule) (out []NamedRule) {
	for _, r := range rules {
		out = append(out, NamedRule{Source: source, ApprovalRule: r})
	}
	return out
}

// addRules compiles the rules into the set.
func (s *Set) addRules(e *cel.Env, source string, rules []spec.Rule) (found findings) {
	for i, r := range rules {
		made := compileRule(e, source, r)
		if made.err != nil {
			found = append(found, ruleFinding(made, i))
		}
		s.rules = append(s.rules, made)
	}
	return found
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
