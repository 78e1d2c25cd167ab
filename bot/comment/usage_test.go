package comment

import (
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	vms, cores := 10, 1
	taken := policy.Span{
		Before: policy.Amount{VMs: 2, Cores: 4, Memory: 8 << 30, Disk: 200 << 30}, After: policy.Amount{VMs: 3, Cores: 4, Memory: 12 << 30, Disk: 1 << 40},
	}
	for _, tt := range []struct {
		name  string
		usage *judge.Usage
		want  string
	}{
		{"of no VM", nil, ""},
		{"no limits", &judge.Usage{Namespace: taken, System: taken}, ""},
		{"limits of nothing", &judge.Usage{Namespace: taken, NamespaceLimits: &spec.Limits{}}, ""},
		{"one of the namespace", &judge.Usage{Namespace: taken, NamespaceLimits: &spec.Limits{VMs: &vms}},
			"- Limits: namespace `prod-shop` 2 → 3 of 10 VMs\n"},
		{"what stays, and quantities", &judge.Usage{System: taken, SystemLimits: &spec.Limits{Cores: &cores, Memory: "64Gi", Disk: "2Ti"}},
			"- Limits: system `shop` 4 of 1 core, 8Gi → 12Gi of 64Gi memory, 200Gi → 1Ti of 2Ti disk\n"},
		{"both", &judge.Usage{Namespace: taken, NamespaceLimits: &spec.Limits{VMs: &vms}, System: taken, SystemLimits: &spec.Limits{Memory: "64Gi"}},
			"- Limits: namespace `prod-shop` 2 → 3 of 10 VMs; system `shop` 8Gi → 12Gi of 64Gi memory\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := viewOf(domain.CreateVM).Rows[0]
			without := detail(r, false)
			r.Change.Usage = tt.usage
			got := detail(r, false)
			if tt.want == "" && got != without {
				t.Errorf("%s", got)
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("want %q in\n%s", tt.want, got)
			}
		})
	}
}
