package policy

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/domain"
)

func TestLimitsFor(t *testing.T) {
	t.Parallel()
	d := DefaultLimits()
	with := func(change func(*Limits)) Limits {
		l := d
		change(&l)
		return l
	}
	hourly := func(n int) *Rate { return &Rate{n, time.Hour} }
	operator, admin := []Role{RoleOperator, RoleViewer}, []Role{RolePlatformAdmin}
	for _, tt := range []struct {
		name  string
		rules []LimitRule
		env   domain.Environment
		roles []Role
		want  Limits
	}{
		{"no rules", nil, domain.Test, operator, d},
		{"no roles", nil, domain.Test, nil, d},
		{"everywhere", []LimitRule{{Creates: new(3), Rate: hourly(7)}}, domain.Test, nil,
			with(func(l *Limits) { l.Creates, l.Rate.Requests = 3, 7 })},
		{"another environment", []LimitRule{{Environment: domain.Prod, Creates: new(3)}}, domain.Test, operator, d},
		{"an environment that is not known", []LimitRule{{Environment: domain.Prod, Creates: new(3)}}, "", operator, d},
		{"another role", []LimitRule{{Role: RoleApprover, Creates: new(3)}}, domain.Test, operator, d},
		{"the more specific, though stricter", []LimitRule{
			{Creates: new(99)}, {Environment: domain.Prod, Role: RoleOperator, Creates: new(2)}, {Environment: domain.Prod, Creates: new(50)},
		}, domain.Prod, operator, with(func(l *Limits) { l.Creates = 2 })},
		{"of equals the most generous", []LimitRule{
			{Environment: domain.Test, Deletes: new(4)}, {Role: RoleViewer, Deletes: new(6)}, {Role: RoleOperator, Deletes: new(5)},
		}, domain.Test, operator, with(func(l *Limits) { l.Deletes = 6 })},
		{"each limit from the rule that sets it", []LimitRule{
			{Environment: domain.Test, Role: RoleOperator, Modifications: new(1)}, {Creates: new(20)}, {Environment: domain.Test, PowerOperations: new(0)},
		}, domain.Test, operator, with(func(l *Limits) { l.Modifications, l.Creates, l.PowerOperations = 1, 20, 0 })},
		{"no rate is the most generous", []LimitRule{{Rate: hourly(500)}, {Rate: &Rate{}}, {Rate: hourly(900)}}, domain.Test, operator,
			with(func(l *Limits) { l.Rate = Rate{} })},
		{"rates of other windows", []LimitRule{{Rate: hourly(100)}, {Rate: &Rate{10, time.Minute}}}, domain.Test, operator,
			with(func(l *Limits) { l.Rate = Rate{10, time.Minute} })},
		{"platform administrators have no rate", []LimitRule{{Role: RolePlatformAdmin, Rate: hourly(1)}}, domain.Test, admin,
			with(func(l *Limits) { l.Rate = Rate{} })},
		{"and the other limits", []LimitRule{{Creates: new(3)}}, domain.Test, admin,
			with(func(l *Limits) { l.Creates, l.Rate = 3, Rate{} })},
	} {
		if diff := cmp.Diff(tt.want, LimitsFor(tt.rules, tt.env, tt.roles)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// The order in which rules are written changes nothing.
func TestLimitsIgnoreOrder(t *testing.T) {
	t.Parallel()
	for seed := range uint64(rounds) {
		r := rand.New(rand.NewPCG(seed, 6))
		var rules []LimitRule
		for range 2 + r.IntN(5) {
			rules = append(rules, LimitRule{
				Environment: pick(r, "", domain.Test, domain.Prod), Role: pick(r, "", RoleOperator, RoleViewer),
				Creates: pick(r, nil, new(r.IntN(9))), Rate: pick(r, nil, &Rate{r.IntN(3), time.Duration(r.IntN(3)) * time.Hour}),
			})
		}
		want := LimitsFor(rules, domain.Test, []Role{RoleOperator, RoleViewer})
		r.Shuffle(len(rules), func(i, j int) { rules[i], rules[j] = rules[j], rules[i] })
		got := LimitsFor(rules, domain.Test, []Role{RoleOperator, RoleViewer})
		same := got.Creates == want.Creates && got.Rate.Unlimited() == want.Rate.Unlimited() && !got.Rate.faster(want.Rate) && !want.Rate.faster(got.Rate)
		if !same {
			t.Fatalf("seed %d: %+v became %+v", seed, want, got)
		}
	}
}
