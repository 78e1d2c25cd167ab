package judge

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/policy"
	"kv-shepherd.io/shepherd/internal/render"
)

// TestTakeable: a duplicate that waits can be taken over, unless anything else is wrong.
func TestTakeable(t *testing.T) {
	t.Parallel()
	const claims = "-- request.yaml --\nclaims: {vm:prod-shop-shop-redis-02: {pullRequest: 12, status: PENDING_APPROVAL}}\n"
	for name, tt := range map[string]struct {
		change func(*Input)
		want   bool
	}{
		"it waits":             {func(*Input) {}, true},
		"a draft":              {func(in *Input) { in.Draft = true }, false},
		"a fork":               {func(in *Input) { in.Fork = true }, false},
		"nobody else asks":     {func(in *Input) { in.World.Claims = nil }, false},
		"too many":             {func(in *Input) { in.Rate = Rate{Limit: 1, Used: 1} }, false},
		"another is wrong too": {func(in *Input) { in.Files = append(in.Files, File{Path: "systems/shop/system.yaml"}) }, false},
		"it is approved": {func(in *Input) {
			in.World.Claims = map[string]Claim{"vm:prod-shop-shop-redis-02": {PullRequest: 12, Status: domain.TicketApproved}}
		}, false},
	} {
		in := inputOf(t, claims+"-- head/"+vmPath+" --\n"+vmFile)
		tt.change(&in)
		report := Judge(in)
		if got := report.Takeable(); got != tt.want || got && (report.Submittable() || !report.Blocking()) {
			t.Errorf("%s: takeable %v, want %v: %v", name, got, tt.want, report.AllProblems())
		}
	}
}

// TestConfirmed: the first word for the very digest counts, and only where one is asked for.
func TestConfirmed(t *testing.T) {
	t.Parallel()
	in := inputOf(t, "-- request.yaml --\nauthor: {login: dora, id: 1006}\n-- head/removed.txt --\n"+firstPath+"\n-- head/"+vmPath+" --\n"+vmFile)
	report := Judge(in)
	if !slices.ContainsFunc(report.Changes, Change.Unconfirmed) || !report.Submittable() {
		t.Fatalf("an unconfirmed deletion: %v", report.AllProblems())
	}
	in.Confirmed = map[string][]Confirmation{}
	for _, c := range report.Changes {
		in.Confirmed[c.Path] = []Confirmation{{Digest: c.Digest[:8], By: "short"}, {Digest: c.Digest, By: "dora"}, {Digest: c.Digest, By: "root"}}
	}
	report = Judge(in)
	var who []string
	for _, c := range report.Changes {
		who = append(who, c.Confirmed)
	}
	if diff := cmp.Diff([]string{"", "dora"}, who); diff != "" || slices.ContainsFunc(report.Changes, Change.Unconfirmed) {
		t.Errorf("confirmed by (-want +got):\n%s", diff)
	}
}

// TestWaived: a rule that takes the place of an approval changes nothing else of the verdict.
func TestWaived(t *testing.T) {
	t.Parallel()
	const size = "-- head/platform/sizes/huge.yaml --\napiVersion: kubevirt-shepherd.io/v1alpha1\nkind: InstanceSize\nspec: {cores: 4, memory: 8Gi}\n"
	const warns = "-- accepted/platform/policies/p.yaml --\napiVersion: kubevirt-shepherd.io/v1alpha1\nkind: Policy\nspec:\n" +
		"  rules: [{name: note, effect: EFFECT, expression: 'change.operation == \"CHANGE_PLATFORM\"', message: mind that}]\n"
	for name, tt := range map[string]struct {
		author, text string
		want         policy.Outcome
	}{
		"alone":          {"{login: root, id: 1}", "", policy.Allow},
		"with a warning": {"{login: root, id: 1}", strings.Replace(warns, "EFFECT", "warn", 1), policy.Warn},
		"against a rule": {"{login: root, id: 1}", strings.Replace(warns, "EFFECT", "deny", 1), policy.Deny},
		"an ignored rule": {"{login: root, id: 1}", "-- accepted/platform/policies/p.yaml --\napiVersion: kubevirt-shepherd.io/v1alpha1\nkind: Policy\nspec:\n" +
			"  approvals: [{name: free, operations: [CHANGE_PLATFORM], approvals: 0}]\n", policy.Warn},
		"no administrator": {"{login: alice, id: 1001}", "", policy.Deny},
	} {
		c := one(t, inputOf(t, "-- request.yaml --\nsoloAdmin: true\nauthor: "+tt.author+"\n"+size+tt.text))
		if c.Verdict.Outcome != tt.want || c.Requirement.Approvals != 0 || c.Requirement.Rule != ruleSoloAdmin || len(c.Approvers) != 0 {
			t.Errorf("%s: %s with %+v, want %s", name, c.Verdict.Outcome, c.Requirement, tt.want)
		}
		if got := c.Verdict.Denied(); got != c.Problems.Blocking() {
			t.Errorf("%s: denied %v, problems %v", name, got, c.Problems)
		}
	}
}

// TestWorst: an outcome that nobody knows is a denial.
func TestWorst(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		outcomes []policy.Outcome
		want     policy.Outcome
	}{
		"none":    {nil, policy.Allow},
		"several": {[]policy.Outcome{policy.Warn, policy.NeedsApproval, policy.NeedsConfirmation}, policy.NeedsApproval},
		"unknown": {[]policy.Outcome{policy.Warn, "perhaps"}, policy.Deny},
	} {
		var verdicts []policy.Verdict
		for _, o := range tt.outcomes {
			verdicts = append(verdicts, policy.Verdict{Outcome: o})
		}
		if got := worst(verdicts); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}

// TestRevokeOfNowhere: the right to a VM whose very namespace is gone can be taken away by whoever may use
// consoles of prod everywhere, and by nobody else.
func TestRevokeOfNowhere(t *testing.T) {
	t.Parallel()
	const path = "access/old-shop-redis-09/alice.yaml"
	for author, allowed := range map[string]bool{"{login: alice, id: 1001}": true, "{login: tom, id: 1003}": false, "{login: erin, id: 1005}": false} {
		c := one(t, inputOf(t, "-- request.yaml --\nauthor: "+author+"\n-- accepted/"+path+" --\napiVersion: kubevirt-shepherd.io/v1alpha1\n"+
			"kind: ConsoleAccess\nspec: {reason: it hangs, duration: 1h}\n-- head/removed.txt --\n"+path+"\n"))
		if c.Problems.Blocking() == allowed || c.Environment != domain.Prod || c.VM != "old-shop-redis-09" {
			t.Errorf("%s: %s %v", author, c.Environment, c.Problems)
		}
	}
}

// TestNamespaceOfAGoneVM: a name can be read in several ways; the stricter environment counts, and of equals
// always the same namespace.
func TestNamespaceOfAGoneVM(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		namespaces map[string]*spec.Namespace
		want       string
	}{
		"one":            {map[string]*spec.Namespace{"old": {Environment: domain.Test}, "other": {Environment: domain.Prod}}, "old"},
		"the stricter":   {map[string]*spec.Namespace{"old": {Environment: domain.Test}, "old-shop": {Environment: domain.Prod}}, "old-shop"},
		"the stricter 2": {map[string]*spec.Namespace{"old": {Environment: domain.Prod}, "old-shop": {Environment: domain.Test}}, "old"},
		"equals":         {map[string]*spec.Namespace{"old": {Environment: domain.Prod}, "old-shop": {Environment: domain.Prod}}, "old"},
		"none":           {map[string]*spec.Namespace{"ol": {Environment: domain.Prod}}, ""},
	} {
		j := &judging{in: Input{Platform: &spec.Platform{Namespaces: tt.namespaces}}}
		c := &change{Change: Change{Ref: spec.Ref{Kind: spec.KindConsoleAccess, Name: "old-shop-redis-09", Login: "alice"}}}
		for range 20 { // in whatever order the map comes
			if got := j.target(c); got.Namespace != tt.want || got.System != "" {
				t.Errorf("%s: got %+v, want %s", name, got, tt.want)
			}
		}
		c.file.Head = &Content{}
		if got := j.target(c); got != (spec.Ref{}) {
			t.Errorf("%s: a right is asked for in %+v", name, got)
		}
	}
}

// TestStands: a live object is the change applied when it has the identity, the plan's digest and a sequence.
func TestStands(t *testing.T) {
	t.Parallel()
	c := one(t, requestOf(t, vmFile))
	labels := func() map[string]string { return render.Labels(render.Input{Ref: c.Ref, Environment: c.Environment}) }
	annotations := func() map[string]string {
		return map[string]string{render.AnnotationEffectiveDigest: c.Plan.EffectiveDigest, render.AnnotationSequence: "3"}
	}
	if n, ok := c.Stands(labels(), annotations()); n != 3 || !ok {
		t.Errorf("got %d, %v", n, ok)
	}
	for name, spoil := range map[string]func(l, a map[string]string){
		"another system": func(l, _ map[string]string) { l[render.LabelSystem] = "billing" },
		"another digest": func(_, a map[string]string) { a[render.AnnotationEffectiveDigest] = "else" },
		"no sequence":    func(_, a map[string]string) { delete(a, render.AnnotationSequence) },
		"sequence 0":     func(_, a map[string]string) { a[render.AnnotationSequence] = "0" },
	} {
		l, a := labels(), annotations()
		spoil(l, a)
		if _, ok := c.Stands(l, a); ok {
			t.Errorf("%s stands", name)
		}
	}
	if _, ok := (Change{Ref: c.Ref, Environment: c.Environment}).Stands(labels(), annotations()); ok {
		t.Error("a change without a plan stands")
	}
}
