package command

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

var (
	redis = spec.Ref{Kind: spec.KindVirtualMachine, System: "shop", Service: "redis", Namespace: "prod-shop", Index: 1}
	web   = spec.Ref{Kind: spec.KindVirtualMachine, System: "shop", Service: "web", Namespace: "prod-shop", Index: 2}

	one = map[string]spec.Ref{redis.VMName(): redis}
	two = map[string]spec.Ref{redis.VMName(): redis, web.VMName(): web}
)

// plain is a plan as a test compares it.
type plain struct {
	Cluster, StorageClass string
	TemplateVersion       int
	Modified, Raw         string
	Reason                string
	Line                  int
}

func shown(plans Plans) map[string]plain {
	m := map[string]plain{}
	for name, p := range plans {
		s := plain{Cluster: p.Cluster, StorageClass: p.StorageClass, TemplateVersion: p.TemplateVersion, Raw: string(p.ModifiedRaw), Reason: p.Reason, Line: p.Line}
		if p.Modified != nil {
			s.Modified = string(spec.Canonical(p.Modified))
		}
		m[name] = s
	}
	return m
}

const (
	large   = `{"disk":"200Gi","power":"running","reason":"more memory","size":"large","template":"ubuntu-24.04"}`
	phased  = `{"disk":"200Gi","power":"running","reason":"medium is being phased out","size":"large","template":"ubuntu-24.04"}`
	rawFlow = "{template: ubuntu-24.04, size: large, disk: 200Gi, power: running}\n"
	rawText = "  template: ubuntu-24.04\n  size: large\n  disk: 200Gi\n  power: running\n  reason: more memory\n"
)

func TestPlans(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		text  string
		names map[string]spec.Ref
		want  map[string]plain
	}{
		"the design's example": {
			"cluster: prod-east\nstorageClass: fast\ntemplateVersion: 3\nmodifiedSpec: " + rawFlow + "reason: medium is being phased out\n", one,
			map[string]plain{"prod-shop-shop-redis-01": {"prod-east", "fast", 3, phased, rawFlow, "medium is being phased out", 1}},
		},
		"a spec in lines, at the end": {
			"reason: because\nmodifiedSpec:\n" + rawText, one,
			map[string]plain{"prod-shop-shop-redis-01": {"", "", 0, large, rawText, "because", 1}},
		},
		"a spec in lines, in the middle, with comments": {
			"modifiedSpec: # the whole\n\n" + rawText + "# why\nreason: because\n", one,
			map[string]plain{"prod-shop-shop-redis-01": {"", "", 0, large, rawText + "# why\n", "because", 1}},
		},
		"one choice": {
			"\n# there\ncluster: prod-east", one,
			map[string]plain{"prod-shop-shop-redis-01": {Cluster: "prod-east", Line: 3}},
		},
		"in JSON": {
			`{"cluster": "prod-east", "templateVersion": 2}`, one,
			map[string]plain{"prod-shop-shop-redis-01": {Cluster: "prod-east", TemplateVersion: 2, Line: 1}},
		},
		"one VM by name": {
			"vms:\n  prod-shop-shop-redis-01:\n    cluster: prod-east\n", one,
			map[string]plain{"prod-shop-shop-redis-01": {Cluster: "prod-east", Line: 2}},
		},
		"one of two": {
			"vms: {prod-shop-shop-web-02: {storageClass: slow}}", two,
			map[string]plain{"prod-shop-shop-web-02": {StorageClass: "slow", Line: 1}},
		},
		"both, with specs": {
			"---\nvms:\n  prod-shop-shop-redis-01:\n    reason: because\n    modifiedSpec:\n" + indent(rawText, "    ") +
				"  prod-shop-shop-web-02:\n    modifiedSpec: {template: ubuntu-24.04,\n      size: large, # ünïcödé }\n      disk: 200Gi, power: running,\n      reason: more memory}\n    reason: because\n...\n", two,
			map[string]plain{
				"prod-shop-shop-redis-01": {"", "", 0, large, indent(rawText, "    "), "because", 3},
				"prod-shop-shop-web-02":   {"", "", 0, large, "{template: ubuntu-24.04,\n      size: large, # ünïcödé }\n      disk: 200Gi, power: running,\n      reason: more memory}\n", "because", 11},
			},
		},
		"the names of numbers": {
			"cluster: \"12\"\nstorageClass: ceph.rbd-2", one,
			map[string]plain{"prod-shop-shop-redis-01": {Cluster: "12", StorageClass: "ceph.rbd-2", Line: 1}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plans, problems := ParsePlan(Block{Text: tt.text}, tt.names)
			if diff := cmp.Diff(domain.Problems(nil), problems); diff != "" {
				t.Errorf("problems: %s", diff)
			}
			if diff := cmp.Diff(tt.want, shown(plans)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func indent(s, by string) string {
	return by + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n"+by) + "\n"
}

func TestPlanProblems(t *testing.T) {
	t.Parallel()
	const spare = "template: ubuntu-24.04, size: large, power: running, reason: x"
	for name, tt := range map[string]struct {
		text  string
		names map[string]spec.Ref
		want  string // line code message | hint, each of the last two in part
	}{
		"empty":                     {"", one, "0 PLAN_INVALID the plan is empty | cluster, storageClass"},
		"only comments":             {"# nothing\n", one, "0 PLAN_INVALID the plan is empty | write what"},
		"an empty group":            {"{}", one, "0 PLAN_INVALID the plan is empty | write what"},
		"null":                      {"---\n", one, "0 PLAN_INVALID the plan is empty | write what"},
		"text":                      {"prod-east", one, "1 PLAN_INVALID the plan has to be a group of fields | name: value"},
		"a list":                    {"- cluster: a", one, "1 PLAN_INVALID the plan has to be a group of fields | name: value"},
		"only a reason":             {"reason: x", one, "1 PLAN_INVALID gives a reason, but chooses nothing | cluster, storageClass"},
		"no VM":                     {"cluster: a", nil, "1 PLAN_INVALID changes no VM that a plan could be for | remove"},
		"which VM":                  {"\ncluster: a", two, "2 PLAN_INVALID changes 2 VMs, and the plan does not say | vms:, below it the VM's name, and below that the plan; known are prod-shop-shop-redis-01, prod-shop-shop-web-02"},
		"both forms":                {"vms: {prod-shop-shop-web-02: {cluster: a}}\ncluster: b", two, `2 PLAN_INVALID "cluster" stands beside vms | either at the top`},
		"both forms, turned":        {"reason: b\nvms: {prod-shop-shop-web-02: {cluster: a}}", two, `1 PLAN_INVALID "reason" stands beside vms | either at the top`},
		"no VMs below vms":          {"vms: {}", two, "1 PLAN_INVALID vms has to be a group | below it"},
		"vms without value":         {"vms:", two, "1 PLAN_INVALID vms is empty | below it"},
		"an unknown VM":             {"vms:\n  prod-shop-shop-web-20:\n    cluster: a", two, `2 PLAN_INVALID changes no VM "prod-shop-shop-web-20" | did you mean "prod-shop-shop-web-02"?`},
		"an empty plan of a VM":     {"vms:\n  prod-shop-shop-web-02: {}", two, "2 PLAN_INVALID the plan of prod-shop-shop-web-02 has to be a group | name: value"},
		"an unknown field":          {"cluster: a\nclutser: b", one, `2 PLAN_INVALID no field "clutser" | did you mean "cluster"?`},
		"a field of the spec":       {"cluster: a\nsize: large", one, `2 PLAN_INVALID no field "size" | below modifiedSpec`},
		"a VM at the top":           {"prod-shop-shop-redis-01:\n  cluster: a", one, `1 PLAN_INVALID no field "prod-shop-shop-redis-01" | below vms:`},
		"twice":                     {"cluster: a\ncluster: b", one, `2 PLAN_INVALID "cluster" is written twice: first on line 1 | keep one`},
		"a VM twice":                {"vms:\n  a: {cluster: a}\n  a: {cluster: b}", one, `3 PLAN_INVALID "a" is written twice | keep one`},
		"an anchor":                 {"cluster: &a b\nstorageClass: c", one, "1 PLAN_INVALID anchors (&) and aliases (*) are not | in quotes"},
		"an alias":                  {"vms:\n  a: &x {cluster: b}\n  c: *x", one, "2 PLAN_INVALID anchors (&) and aliases (*) are not | in quotes"},
		"an undefined alias":        {"cluster: *x", one, "1 PLAN_INVALID this is not YAML: unknown anchor | in quotes"},
		"a tag":                     {"cluster: !!str b", one, "1 PLAN_INVALID the tag | remove it"},
		"a binary":                  {"cluster: !!binary Yg==", one, "1 PLAN_INVALID the tag | remove it"},
		"a merge key":               {"<<: {cluster: a}", one, "1 PLAN_INVALID has to be plain text | merge keys"},
		"a key that is a number":    {"1: a", one, "1 PLAN_INVALID has to be plain text | name: value"},
		"a key that is a group":     {"{a: b}: c", one, "1 PLAN_INVALID has to be plain text | name: value"},
		"too deep":                  {"cluster: " + strings.Repeat("[", 40) + strings.Repeat("]", 40), one, "1 PLAN_INVALID nested more than 16 | brackets"},
		"far too deep":              {"cluster: " + strings.Repeat("[", 20000), one, "PLAN_INVALID this is not YAML | "},
		"too long":                  {"cluster: a #" + strings.Repeat("x", 64<<10), one, "0 PLAN_INVALID at most 65536 | shorten"},
		"no YAML":                   {"cluster: a\n  storageClass: b: c", one, "2 PLAN_INVALID this is not YAML: mapping values | in quotes"},
		"a tab":                     {"vms:\n\ta: b", one, "2 PLAN_INVALID this is not YAML | indent with spaces"},
		"two documents":             {"cluster: a\n---\ncluster: b", one, "PLAN_INVALID more than one YAML document | remove the line ---"},
		"not UTF-8":                 {"cluster: a\nreason: \xff", one, "2 PLAN_INVALID not valid UTF-8 | UTF-8"},
		"a character of control":    {"cluster: a\nreason: x\x1b[2J", one, "2 PLAN_INVALID cannot be seen | type the line anew"},
		"turned around":             {"cluster: a\n# \u202e\n", one, "2 PLAN_INVALID cannot be seen | type the line anew"},
		"another end of the line":   {"cluster: a # \u2028storageClass: b", one, "1 PLAN_INVALID cannot be seen | type the line anew"},
		"escaped in a reason":       {`{cluster: a, reason: "x\u202ey"}`, one, "1 PLAN_INVALID reason contains a character that cannot be seen | remove it"},
		"cluster as a number":       {"cluster: 12", one, `1 PLAN_INVALID cluster has to be a name, but "12" is none | quotes`},
		"cluster in capitals":       {"cluster: Prod East", one, `1 PLAN_INVALID cluster cannot be "Prod East" | small letters`},
		"cluster without value":     {"cluster:\nstorageClass: a", one, "1 PLAN_INVALID cluster has no value | remove the line"},
		"cluster as a list":         {"cluster: [a]", one, "1 PLAN_INVALID cluster has to be a single value | cluster: ..."},
		"zero width":                {"cluster: a\u200bb", one, `1 PLAN_INVALID cluster cannot be "a\u200bb" | small letters`},
		"version as text":           {"templateVersion: v3", one, `1 PLAN_INVALID templateVersion cannot be "v3" | such as 3`},
		"version in quotes":         {"templateVersion: '3'", one, `1 PLAN_INVALID templateVersion cannot be "3" | such as 3`},
		"version zero":              {"templateVersion: 0", one, `1 PLAN_INVALID templateVersion cannot be "0" | such as 3`},
		"version in octal":          {"templateVersion: 010", one, `1 PLAN_INVALID templateVersion cannot be "010" | such as 3`},
		"version beyond":            {"templateVersion: 99999999999999999999", one, `1 PLAN_INVALID templateVersion cannot be "99999999999999999999" | such as 3`},
		"reason as a number":        {"cluster: a\nreason: 5", one, `2 PLAN_INVALID reason has to be text, but "5" | quotes`},
		"reason blank":              {"cluster: a\nreason: ' '", one, "2 PLAN_INVALID reason is empty | say why"},
		"reason too long":           {"cluster: a\nreason: " + strings.Repeat("ü", 501), one, "2 PLAN_INVALID reason has 501 characters; at most 500 | shorten"},
		"a spec without reason":     {"cluster: a\nmodifiedSpec: {" + spare + "}", one, "2 PLAN_INVALID a modified spec needs a reason | reason:"},
		"a spec in a group in {}":   {"{reason: x, modifiedSpec: {" + spare + "}}", one, "1 PLAN_INVALID modifiedSpec stands in {} | on a line of its own"},
		"a spec that is text":       {"reason: x\nmodifiedSpec: y", one, "2 PLAN_INVALID modifiedSpec has to be a group | indented"},
		"a spec that is nothing":    {"reason: x\nmodifiedSpec:\n", one, "2 PLAN_INVALID modifiedSpec has to be a group | indented"},
		"a field twice in the spec": {"reason: x\nmodifiedSpec:\n  size: a\n  size: b", one, `4 PLAN_INVALID "size" is written twice | keep one`},
		"a secret":                  {"cluster: a\n# ghp_" + strings.Repeat("a", 36) + "\n", one, "2 SECRET_SUSPECTED private key or a token | remove the comment"},
		"namespace": {
			"reason: x\nmodifiedSpec:\n  template: ubuntu-24.04\n  size: large\n  power: running\n  namespace: prod-shop\n", one,
			`6 NAMESPACE_IMMUTABLE "namespace" is not allowed | who a VM is never changes`,
		},
		"name":            {"reason: x\nmodifiedSpec: {" + spare + ", name: y}", one, `2 NAMESPACE_IMMUTABLE "name" is not allowed | never changes`},
		"service":         {"reason: x\nmodifiedSpec: {" + spare + ", service: y}", one, `2 SERVICE_IMMUTABLE "service" is not allowed | never changes`},
		"system":          {"reason: x\nmodifiedSpec: {" + spare + ", system: y}", one, `2 SERVICE_IMMUTABLE "system" is not allowed | never changes`},
		"index":           {"reason: x\nmodifiedSpec: {" + spare + ", index: 2}", one, `2 SERVICE_IMMUTABLE "index" is not allowed | never changes`},
		"forbidden":       {"reason: x\nmodifiedSpec:\n  " + strings.ReplaceAll(spare, ", ", "\n  ") + "\n  labels: {a: b}", one, `7 FORBIDDEN_FIELD "labels" is not allowed | Shepherd sets`},
		"removed":         {"reason: x\nmodifiedSpec: {template: ubuntu-24.04, power: running, reason: x}", one, `2 REQUIRED_FIELD_REMOVED size is left out | replaces the whole spec`},
		"removed, mended": {"reason: x\nmodifiedSpec: {template: ubuntu-24.04, power: running}", one, `2 REQUIRED_FIELD_REMOVED size is left out | replaces the whole spec`},
		"a wrong value": {
			"reason: x\nmodifiedSpec:\n  template: ubuntu-24.04\n  size: large\n\n  power: runing", one,
			`6 YAML_INVALID spec.power cannot be "runing" | did you mean running?`,
		},
		"wrong, once the reason is there": {
			"cluster: a\nreason: x\nmodifiedSpec:\n  template: ubuntu-24.04\n  size: large\n  power: running\n  disks: [{name: a, size: 1Gi}, {name: a, size: 1Gi}]", one,
			`3 YAML_INVALID disks | `,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			plans, problems := ParsePlan(Block{Text: tt.text}, tt.names)
			if plans != nil {
				t.Errorf("plans: %+v", plans)
			}
			if len(problems) != 1 {
				t.Fatalf("%d problems: %+v", len(problems), problems)
			}
			told(t, problems)
			p := problems[0]
			message, hint, _ := strings.Cut(tt.want, " | ")
			got := fmt.Sprintf("%d %s %s", p.Line, p.Code, p.Message)
			head, tail := cutCode(message)
			if !strings.Contains(got, head) || !strings.Contains(p.Message, tail) || !strings.Contains(p.Hint, hint) || p.Path != "" {
				t.Errorf("got %s | %s, at %q, want %s", got, p.Hint, p.Path, tt.want)
			}
		})
	}
}

// cutCode parts "2 CODE text" after the code.
func cutCode(s string) (head, text string) {
	for i, word := range strings.Fields(s) {
		if strings.ToUpper(word) == word && strings.Contains(word, "_") {
			head = strings.Join(strings.Fields(s)[:i+1], " ")
			return head, strings.TrimPrefix(s, head+" ")
		}
	}
	return s, ""
}

// All problems of a plan are told at once.
func TestPlanTellsAll(t *testing.T) {
	t.Parallel()
	_, problems := ParsePlan(Block{Text: "cluster: 5\nfoo: 1\ntemplateVersion: x\nmodifiedSpec:\n  size: large\n  foo: 1\n"}, one)
	var got []string
	for _, p := range problems {
		got = append(got, fmt.Sprintf("%d:%d %s", p.Line, p.Column, p.Code))
	}
	want := []string{
		"1:10 PLAN_INVALID", "2:1 PLAN_INVALID", "3:18 PLAN_INVALID", "4:1 PLAN_INVALID", "6:3 UNKNOWN_FIELD",
		"5:3 REQUIRED_FIELD_REMOVED", "5:3 REQUIRED_FIELD_REMOVED", "5:3 REQUIRED_FIELD_REMOVED",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What a plan modifies has no lines: those of the block are not those of the VM's file.
func TestModifiedHasNoPositions(t *testing.T) {
	t.Parallel()
	plans, _ := ParsePlan(Block{Text: "reason: x\nmodifiedSpec: " + rawFlow}, one)
	doc := plans[redis.VMName()].Modified
	p := doc.Problem(domain.SizeUnknown, domain.Error, "spec.size", "m", "h")
	if p.Line != 0 || p.Column != 0 || p.Path != redis.Path() || doc.Ref != redis {
		t.Errorf("%+v of %+v", p, doc.Ref)
	}
}

// Large and hostile blocks cost little.
func TestPlanIsBounded(t *testing.T) {
	t.Parallel()
	names := map[string]spec.Ref{}
	for i := range 50 {
		ref := redis
		ref.Index = i + 1
		names[ref.VMName()] = ref
	}
	var vms, fields strings.Builder
	vms.WriteString("vms:\n")
	for i := range 3000 {
		fmt.Fprintf(&vms, " prod-x-%d: {}\n", i)
		fmt.Fprintf(&fields, "prod-y-%d: {}\n", i)
	}
	for name, text := range map[string]string{
		"VMs": vms.String(), "fields": fields.String(), "keys": "vms: {" + strings.Repeat("a: b, ", 10000) + "}",
		"brackets": strings.Repeat("[", 60000), "braces": strings.Repeat("{a: ", 15000), "hyphens": strings.Repeat("- ", 30000),
		"questions": strings.Repeat("? ", 30000), "quotes": strings.Repeat("'", 60000), "anchors": strings.Repeat("&a ", 20000),
	} {
		for _, names := range []map[string]spec.Ref{one, names} {
			before := time.Now()
			_, problems := ParsePlan(Block{Text: text}, names)
			if took := time.Since(before); took > time.Minute {
				t.Errorf("%s took %s", name, took)
			}
			if len(problems) == 0 || len(problems) > maxProblems {
				t.Errorf("%s: %d problems", name, len(problems))
			}
		}
	}
}
