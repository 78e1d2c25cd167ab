package policy

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// celFacts is a change in which every variable has a value.
func celFacts() Facts {
	return Facts{
		Change: Change{
			Operation: domain.CreateVM, Environment: domain.Test,
			Ref: spec.Ref{Kind: spec.KindVirtualMachine, System: "shop", Service: "redis", Namespace: "test-shop", Index: 3},
			Wanted: map[string]any{
				"size": "medium", "gpu": float64(2), "nothing": nil,
				"networks": []any{map[string]any{"name": "lan", "ip": "10.0.0.3"}, map[string]any{"name": "dmz"}},
			},
		},
		Request:   PullRequest{Number: 12, Reason: "winter sale", Operations: map[domain.Operation]int{domain.CreateVM: 2}},
		Author:    alice,
		Bindings:  NewBindings(fleet()),
		Size:      &Size{Name: "medium", Cores: 4, Memory: 8 << 30, GPUs: 1},
		Template:  &Template{Name: "ubuntu-24.04", Version: 3, Status: spec.TemplateActive, Source: "containerDisk"},
		Namespace: &Namespace{Name: "test-shop", Environment: domain.Test},
		Usage:     &Usage{Namespace: Span{Before: Amount{VMs: 3}, After: Amount{VMs: 5, Memory: 40 << 30}}},
	}
}

// sharedEnv saves each test making its own: an environment is immutable.
var sharedEnv = sync.OnceValues(newEnv)

// judgeRule compiles one rule and asks it.
func judgeRule(t testing.TB, r spec.Rule, f Facts) Verdict {
	t.Helper()
	e, err := sharedEnv()
	if err != nil {
		t.Fatal(err)
	}
	return compileRule(e, "platform/policies/p.yaml", r).ask(values(f))
}

func TestExpressions(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		expression string
		want       string // true, false, or part of the error
	}{
		{`change.operation == "CREATE_VM" && change.kind == "VirtualMachine"`, "true"},
		{`change.name == "test-shop-shop-redis-03" && change.index == 3`, "true"},
		{`change.path.startsWith("systems/shop/")`, "true"},
		{`request.operations.CREATE_VM == 2 && request.operations["DELETE_VM"] == 0`, "true"},
		{`request.reason.size() < 20 && size(request.reason) > 5`, "true"},
		{`size.cores > 4`, "false"},
		{`size.memory >= 8 * 1024 * 1024 * 1024`, "true"},
		{`"operator" in author.roles && !author.bot`, "true"},
		{`sets.intersects(author.roles, ["viewer", "approver"])`, "false"},
		{`usage.namespace.after.vms - usage.namespace.before.vms == 2`, "true"},
		{`change.wanted.gpu > 1`, "true"},
		{`change.wanted.networks.exists(n, has(n.ip) && n.ip == "10.0.0.3")`, "true"},
		{`change.wanted.nothing == null`, "true"},
		{`has(change.accepted.size)`, "false"},
		{`template.image.matches("^registry[.]example/")`, "false"},
		{`duration("1h") > duration("30m")`, "true"},
		{`timestamp("2026-11-23T10:00:00Z").getDayOfWeek() == 1`, "true"},
		// Two ways to be undecided that CEL itself settles: one side is enough.
		{`change.wanted.missing == 1 || true`, "true"},
		{`change.wanted.missing == 1 && false`, "false"},

		{`change.wanted.missing == 1`, "no such key: missing"},
		{`change.wanted.size > 3`, "no such overload"},
		{`1 / (size.cores - 4) > 1`, "division by zero"},
		{`size.cores + 9223372036854775807 > 1`, "integer overflow"},
		{`change.opertion == "x"`, "1:7: undefined field 'opertion'"},
		{`namespace.name == "x"`, "1:1: namespace is a reserved word, the variable is called namespaceObject"},
		{`chnge.operation == "x"`, "1:1: undeclared reference to 'chnge'"},
		{`size.cores == "4"`, "found no matching overload for '_==_'"},
		{`size.cores`, "the expression gives int and has to give bool"},
		{`change.wanted.flag`, "the expression gives dyn and has to give bool"},
		{`change.operation ==`, "Syntax error"},
		{``, "Syntax error"},
		{`now() > timestamp("2026-11-23T10:00:00Z")`, "undeclared reference to 'now'"},
		{`timestamp("2026-11-23T10:00:00Z").getHours("Europe/Berlin") > 1`, "found no matching overload for 'getHours'"},
		{`"aa".replace("a", "aaaa") == ""`, "undeclared reference to 'replace'"},
		{`change.name.matches("(")`, "invalid matches argument"},
		{`duration("soon") > duration("1h")`, "invalid duration argument"},
		{`shepherd.size{cores: 3}.cores == 3`, "cannot be made in a rule"},
		{strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200), "recursion"},
		{`[1].exists(a, [1].exists(b, [1].exists(c, true)))`, "comprehension exceeds nesting limit"},
		{`"` + strings.Repeat("x", maxExpression) + `" == ""`, "4104 bytes, and 4096 are the most"},
		{manyRounds, "cost limit exceeded"},
	} {
		name := tt.expression
		if len(name) > 60 {
			name = name[:60]
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := judgeRule(t, spec.Rule{Name: "r", Effect: "deny", Expression: tt.expression, Message: "the message"}, celFacts())
			switch tt.want {
			case "true":
				if v.Outcome != Deny || v.Message != "the message" || v.Code != domain.PolicyDenied {
					t.Errorf("got %+v, want a denial with its message", v)
				}
			case "false":
				if v.Outcome != Allow || v.Code != "" {
					t.Errorf("got %+v, want it allowed", v)
				}
			default:
				if v.Outcome != Deny || !strings.Contains(v.Message, tt.want) || !strings.Contains(v.Message, "rule r of platform/policies/p.yaml") {
					t.Errorf("got %s %q, want a denial about %q", v.Outcome, v.Message, tt.want)
				}
			}
		})
	}
}

// manyRounds goes round sixteen thousand times if nothing stops it.
var manyRounds = func() string {
	list := "[" + strings.TrimSuffix(strings.Repeat("1,", 128), ",") + "]"
	return list + ".all(a, " + list + ".all(b, a + b + a + b + a + b > 0)) && false"
}()

func TestCostLimitIsQuick(t *testing.T) {
	t.Parallel()
	start := time.Now()
	v := judgeRule(t, spec.Rule{Name: "r", Effect: "deny", Expression: manyRounds, Message: "m"}, celFacts())
	if v.Outcome != Deny || !strings.Contains(v.Message, "cost limit") {
		t.Errorf("got %+v", v)
	}
	if d := time.Since(start); d > 2*time.Second {
		t.Errorf("took %s", d)
	}
}

func TestEffects(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		rule spec.Rule
		want Outcome
	}{
		{spec.Rule{Effect: "deny", Expression: "true"}, Deny},
		{spec.Rule{Effect: "warn", Expression: "true"}, Warn},
		{spec.Rule{Effect: "deny", Expression: "false"}, Allow},
		{spec.Rule{Effect: "warn", Expression: "false"}, Allow},
		{spec.Rule{Effect: "deny", Expression: "change.wanted.missing == 1"}, Deny},
		{spec.Rule{Effect: "warn", Expression: "change.wanted.missing == 1"}, Warn},
		{spec.Rule{Effect: "deny", Expression: "nonsense"}, Deny},
		{spec.Rule{Effect: "warn", Expression: "nonsense"}, Warn},
		{spec.Rule{Effect: "Warn", Expression: "false"}, Deny},
		{spec.Rule{Effect: "", Expression: "false"}, Deny},
	} {
		tt.rule.Name = "r"
		v := judgeRule(t, tt.rule, celFacts())
		if v.Outcome != tt.want || (v.Outcome != Allow) != (v.Message != "") {
			t.Errorf("%s %q: got %s %q, want %s", tt.rule.Effect, tt.rule.Expression, v.Outcome, v.Message, tt.want)
		}
	}
}

// TestVariablesHaveValues holds the list of variables and their values together: each is there for
// every operation, of the type that it is declared with.
func TestVariablesHaveValues(t *testing.T) {
	t.Parallel()
	samples := map[string]string{
		"string": ` == ""`, "int": " == 0", "bool": " == false", "list(string)": " == ['x']",
		"map(string, int)": ".CREATE_VM == 0", "map(string, dyn)": ".exists(k, k == 'none')",
	}
	for _, v := range Variables() {
		if v.Doc == "" || samples[v.Type] == "" {
			t.Errorf("%s: no words or no known type %q", v.Name, v.Type)
		}
		for _, op := range domain.Operations() {
			f := Facts{Bindings: NewBindings(Sources{}), Change: Change{Operation: op},
				Size: &Size{}, Template: &Template{}, Namespace: &Namespace{}, Usage: &Usage{}}
			got := judgeRule(t, spec.Rule{Name: "r", Effect: "deny", Expression: v.Name + samples[v.Type]}, f)
			if strings.Contains(got.Message, "cannot be evaluated") {
				t.Errorf("%s: %s", op, got.Message)
			}
		}
	}
}

func TestMissingFacts(t *testing.T) {
	t.Parallel()
	reads := map[string]string{
		"size": "size.cores > 99", "template": "template.version > 99",
		"usage": "usage.system.after.vms > 99", "namespaceObject": `namespaceObject.name == "x"`,
	}
	for _, op := range domain.Operations() {
		for name, expression := range reads {
			f := Facts{Bindings: NewBindings(Sources{}), Change: Change{Operation: op}}
			got := judgeRule(t, spec.Rule{Name: "r", Effect: "deny", Expression: expression, Message: "m"}, f)
			sized := op == domain.CreateVM || op == domain.ModifyVM
			needed := sized || name == "namespaceObject" && hasEnvironment(op)
			if (got.Outcome == Deny) != needed {
				t.Errorf("%s without %s: got %s %q", op, name, got.Outcome, got.Message)
			}
			if needed && !strings.HasSuffix(got.Message, "the "+strings.TrimSuffix(name, "Object")+" of this change is not known") {
				t.Errorf("%s without %s: got %q", op, name, got.Message)
			}
		}
	}
}

// TestOrderOfMaps asks rules whose answer would depend on the order in which Go walks a map.
func TestOrderOfMaps(t *testing.T) {
	t.Parallel()
	f := celFacts()
	f.Change.Wanted = map[string]any{}
	for _, k := range strings.Split("mfbzaqkdpx", "") {
		f.Change.Wanted[k] = map[string]any{"y": 1, "x": 2, "z": 3}
	}
	for _, tt := range []struct{ expression, want string }{
		{`change.wanted.map(k, k) == ["a", "b", "d", "f", "k", "m", "p", "q", "x", "z"]`, "deny"},
		{`change.wanted.m.map(k, k) == ["x", "y", "z"]`, "deny"},
		{`{"c": 1, "a": 2, "b": 3, "e": 0, "d": 9}.map(k, k) == ["a", "b", "c", "d", "e"]`, "deny"},
		{`{30: 1, 4: 1, -5: 1, 100: 1}.map(k, k) == [-5, 4, 30, 100]`, "deny"},
		{`{true: 1, "a": 1, 3: 1, 2u: 1}.map(k, k) == [true, 3, "a", 2u]`, "deny"},
	} {
		for range 20 {
			v := judgeRule(t, spec.Rule{Name: "r", Effect: "deny", Expression: tt.expression, Message: "m"}, f)
			if string(v.Outcome) != tt.want || v.Message != "m" {
				t.Fatalf("%s: got %s %q", tt.expression, v.Outcome, v.Message)
			}
		}
	}
}

func TestInputs(t *testing.T) {
	t.Parallel()
	f := celFacts()
	f.Change.Wanted["reason"] = strings.Repeat("ü", 500)
	v := judgeRule(t, spec.Rule{Name: "r", Effect: "warn", Expression: `size.cores > 99 || author.bot || has(change.wanted.nope) ||
		change.wanted.networks.exists(n, n.name == "x") || change.wanted.reason == "" || "x" in author.roles || change.environment == ""`}, f)
	want := map[string]string{
		"source": "platform/policies/p.yaml", "effect": "warn", "size.cores": "4", "author.bot": "false",
		"change.wanted.nope": "(absent)", "change.wanted.networks": `[{"ip":"10.0.0.3","name":"lan"},{"name":"dmz"}]`,
		"change.wanted.reason": strings.Repeat("ü", maxInput) + "…", "author.roles": `["operator"]`, "change.environment": "test",
	}
	if diff := cmp.Diff(want, v.Inputs); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func FuzzCompileRule(f *testing.F) {
	for _, s := range []string{
		`change.operation == "CREATE_VM"`, `size.cores > 4 && has(change.wanted.gpu)`, `author.roles.exists(r, r == "x")`,
		`change.wanted.map(k, k)[0]`, `{1: 2}[1] == 2`, `timestamp("2026-11-23T10:00:00Z").getHours() == 1`, "\x00", `"\xff"`,
		`[[[[`, `a.b.c{}`, manyRounds, `b"abc" == b"a" + b"bc"`, `-(-(1)) == 1`, `shepherd.size{}.cores == 0`, `change == shepherd.change{}`,
	} {
		f.Add(s)
	}
	e, err := newEnv()
	if err != nil {
		f.Fatal(err)
	}
	facts := celFacts()
	f.Fuzz(func(t *testing.T, expression string) {
		start := time.Now()
		r := compileRule(e, "platform/policies/p.yaml", spec.Rule{Name: "r", Effect: "deny", Expression: expression, Message: "m"})
		vars := values(facts)
		first := r.ask(vars)
		if r.err != nil && first.Outcome != Deny {
			t.Errorf("does not compile (%v) and yet gives %s", r.err, first.Outcome)
		}
		if diff := cmp.Diff(first, r.ask(vars)); diff != "" {
			t.Errorf("asked twice, two answers:\n%s", diff)
		}
		if n := strings.Count(Text(first), "\n"); n != 1 {
			t.Errorf("one rule takes %d lines", n)
		}
		if d := time.Since(start); d > 5*time.Second {
			t.Errorf("took %s", d)
		}
	})
}
