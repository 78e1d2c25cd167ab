package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/env"
	"github.com/google/cel-go/common/stdlib"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/ext"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// The limits of a rule. An ordinary one costs less than a hundred; this cost takes a few milliseconds.
const (
	maxExpression = 4096 // bytes
	maxCost       = 20_000
	maxNesting    = 2 // of comprehensions
	maxRecursion  = 64
)

// newEnv declares the variables and the functions: CEL's standard ones without time zones, which are
// read from the machine, and those on sets. None of them can tell the time, and none makes much out of
// little: the cost of a call is known only after it, so that replace or a range could take the memory first.
func newEnv() (*cel.Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, fmt.Errorf("make CEL types: %w", err)
	}
	fields, roots := objects()
	opts := []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(&env.LibrarySubset{ExcludeFunctions: zoned()})),
		cel.CustomTypeAdapter(sortingAdapter{registry}),
		cel.CustomTypeProvider(typeProvider{registry, fields}),
		cel.EagerlyValidateDeclarations(true), cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true),
		ext.Sets(),
		cel.ParserExpressionSizeLimit(maxExpression), cel.ParserRecursionLimit(maxRecursion),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(),
			cel.ValidateTimestampLiterals(), cel.ValidateComprehensionNestingLimit(maxNesting)),
	}
	for name, t := range roots {
		opts = append(opts, cel.Variable(name, t))
	}
	return cel.NewCustomEnv(opts...)
}

// zoned lists the overloads that take the name of a time zone.
func zoned() (out []*env.Function) {
	for _, fn := range stdlib.Functions() {
		for _, o := range fn.OverloadDecls() {
			if strings.HasSuffix(o.ID(), "_with_tz") {
				out = append(out, &env.Function{Name: fn.Name(), Overloads: []*env.Overload{{ID: o.ID()}}})
			}
		}
	}
	return out
}

// rule is a compiled rule. One that did not compile keeps its error and denies.
type rule struct {
	spec.Rule
	source  string
	program cel.Program
	reads   []string // the values that the expression depends on
	err     error
}

func knownEffect(effect string) bool { return effect == "deny" || effect == "warn" }

func compileRule(e *cel.Env, source string, r spec.Rule) rule {
	out := rule{Rule: r, source: source}
	if !knownEffect(r.Effect) {
		out.err = fmt.Errorf("effect %q is neither deny nor warn", r.Effect)
		return out
	}
	if len(r.Expression) > maxExpression {
		out.err = fmt.Errorf("the expression has %d bytes, and %d are the most", len(r.Expression), maxExpression)
		return out
	}
	checked, issues := e.Compile(r.Expression)
	if issues.Err() != nil {
		out.err = compileError(issues)
		return out
	}
	if !checked.OutputType().IsExactType(types.BoolType) {
		out.err = fmt.Errorf("the expression gives %s and has to give bool", checked.OutputType())
		return out
	}
	out.reads = reads(checked.NativeRep())
	out.program, out.err = e.Program(checked, cel.CostLimit(maxCost), cel.CustomDecoratorV2(sortLiterals))
	return out
}

// expressionError is what CEL says of an expression, and the line of the first of it.
type expressionError struct {
	line int
	text string
}

func (e expressionError) Error() string { return e.text }

// compileError puts all of CEL's complaints in one line, with their places.
func compileError(issues *cel.Issues) error {
	out := expressionError{}
	var words []string
	for _, e := range issues.Errors() {
		if out.line == 0 {
			out.line = e.Location.Line()
		}
		words = append(words, fmt.Sprintf("%d:%d: %s", e.Location.Line(), e.Location.Column()+1, e.Message))
	}
	// CEL keeps this word for itself, and it is the first that anybody would try.
	out.text = oneLine(strings.ReplaceAll(strings.Join(words, "; "), "reserved identifier: namespace",
		"namespace is a reserved word, the variable is called namespaceObject"))
	return out
}

// reads lists the longest chains of fields that start at a variable, sorted.
func reads(a *ast.AST) []string {
	var out []string
	roots := ast.MatchDescendants(ast.NavigateAST(a), ast.KindMatcher(ast.IdentKind))
	for _, e := range roots {
		name := e.AsIdent()
		if _, ok := variableRoots[name]; !ok {
			continue
		}
		for parent, ok := e.Parent(); ok && parent.Kind() == ast.SelectKind; parent, ok = parent.Parent() {
			name += "." + parent.AsSelect().FieldName()
		}
		out = append(out, name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

var _, variableRoots = objects()

// ask evaluates the rule. An error counts as the worst that the rule can say.
func (r rule) ask(vars map[string]any) Verdict {
	v := Verdict{Rule: r.Name, Outcome: Allow, Inputs: r.inputs(vars)}
	hit, err := r.evaluate(vars)
	if !hit && err == nil {
		return v
	}
	v.Outcome, v.Code, v.Message = Deny, domain.PolicyDenied, r.Message
	if r.Effect == "warn" {
		v.Outcome = Warn
	}
	if v.Message == "" {
		v.Message = fmt.Sprintf("rule %s of %s says no", r.Name, r.source)
	}
	if err != nil {
		v.Broken = true
		v.Message = fmt.Sprintf("rule %s of %s cannot be evaluated: %s", r.Name, r.source, r.reason(err, vars))
		v.Hint = "A platform administrator has to mend the rule, or what it reads has to be given."
	}
	return v
}

func (r rule) evaluate(vars map[string]any) (bool, error) {
	if r.err != nil {
		return false, r.err
	}
	result, _, err := r.program.Eval(vars)
	if err != nil {
		return false, err
	}
	hit, ok := result.Value().(bool)
	if !ok {
		return false, fmt.Errorf("the expression gave %s instead of bool", result.Type().TypeName())
	}
	return hit, nil
}

// reason is an error in our words where it comes from a fact that is missing, else in CEL's.
func (r rule) reason(err error, vars map[string]any) string {
	for _, path := range r.reads {
		root, _, _ := strings.Cut(path, ".")
		if vars[root] == nil {
			return "the " + strings.TrimSuffix(root, "Object") + " of this change is not known"
		}
	}
	return oneLine(err.Error())
}

func (r rule) inputs(vars map[string]any) map[string]string {
	in := map[string]string{"source": r.source, "effect": r.Effect}
	for _, path := range r.reads {
		in[path] = lookUp(vars, path)
	}
	return in
}

// maxInput bounds a value in a stored verdict, in runes.
const maxInput = 120

// lookUp returns the value at a path of fields as text.
func lookUp(vars map[string]any, path string) string {
	var v any = vars
	for _, field := range strings.Split(path, ".") {
		m, _ := v.(map[string]any)
		inner, ok := m[field]
		if !ok {
			return "(absent)"
		}
		v = inner
	}
	text := ""
	switch v := v.(type) {
	case string:
		text = v
	case bool:
		text = strconv.FormatBool(v)
	default:
		raw, err := json.Marshal(v)
		if err != nil {
			return "(unreadable)"
		}
		text = string(raw)
	}
	if r := []rune(text); len(r) > maxInput {
		text = string(r[:maxInput]) + "…"
	}
	return text
}
