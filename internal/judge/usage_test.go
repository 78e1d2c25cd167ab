package judge

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/policy"
)

// What a change takes is worked out before it is planned. In every case that can be submitted it is what the plan
// takes then.
func TestUsageIsThatOfThePlans(t *testing.T) {
	t.Parallel()
	seen := 0
	for _, path := range casePaths(t) {
		archive, err := txtar.ParseFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, twin := range []bool{false, true} {
			in := caseInput(t, archive, twin)
			report := Judge(in)
			if report.Blocking() || in.World.Usage == nil {
				continue
			}
			want := planUsage(t, in, report)
			for _, c := range report.Changes {
				if c.Usage == nil {
					continue
				}
				seen++
				got := []policy.Amount{c.Usage.Namespace.After, c.Usage.System.After}
				if diff := cmp.Diff([]policy.Amount{want[ofNamespace(c.Ref.Namespace)], want[ofSystem(c.Ref.System)]}, got); diff != "" {
					t.Errorf("%s, twin: %v, %s: -plans +usage\n%s", path, twin, c.Subject, diff)
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d changes with a usage", seen)
	}
}

// planUsage is what all VMs take once the plans of the report are carried out.
func planUsage(t *testing.T, in Input, report Report) map[string]policy.Amount {
	t.Helper()
	usage := maps.Clone(in.World.Usage)
	for _, c := range report.Changes {
		if c.Usage == nil {
			continue
		}
		if m := in.World.Machines[c.Subject]; c.Accepted != nil && m.Status != domain.VMDeleted {
			Count(usage, c.Ref.Namespace, c.Ref.System, amountOf(m.Plan.SizeSnapshot, m.Plan.TemplateSnapshot, m.Plan.Disk, disksOf(t, c.Accepted)), -1)
		}
		if c.Wanted == nil {
			continue
		}
		wanted := c.Wanted
		if c.Planned != nil && len(c.Planned.ModifiedSpec) > 0 {
			wanted = c.Planned.ModifiedSpec
		}
		Count(usage, c.Ref.Namespace, c.Ref.System, amountOf(c.Plan.SizeSnapshot, c.Plan.TemplateSnapshot, c.Plan.Disk, disksOf(t, wanted)), 1)
	}
	return usage
}

func disksOf(t *testing.T, data []byte) []spec.VMDisk {
	t.Helper()
	decoded, err := spec.Decode(spec.KindVirtualMachine, data)
	if err != nil {
		t.Fatal(err)
	}
	return decoded.(*spec.VirtualMachine).Disks
}
