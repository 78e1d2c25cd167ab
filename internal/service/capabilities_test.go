package service

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/provider"
)

func TestKnown(t *testing.T) {
	t.Parallel()
	const node, network = "Node", "NetworkAttachmentDefinition"
	full := domain.Capabilities{
		Devices: map[string]int64{"a/b": 1}, Hugepages: map[string]int64{"1Gi": 1}, DedicatedCPU: true, Networks: []string{"n/n"}, SRIOV: true,
		Instancetypes: []string{"i"}, Preferences: []string{"p"},
	}
	all := []string{node, network, "VirtualMachineClusterInstancetype", "VirtualMachineClusterPreference"}
	for _, tt := range []struct {
		name      string
		was       *domain.Capabilities
		is        domain.Capabilities
		unread    []string
		want      domain.Capabilities
		different []string
	}{
		{name: "answered", was: &full, is: full, want: full},
		{name: "nothing is answered", was: &full, unread: all, want: full},
		{name: "nothing was known", unread: all, want: domain.Capabilities{Unknown: []string{network, node, all[2], all[3]}},
			different: []string{"capabilities: seen for the first time"}},
		{name: "it was not known", was: &domain.Capabilities{Unknown: []string{node}}, unread: []string{node}, want: domain.Capabilities{Unknown: []string{node}}},
		{name: "all goes", was: &full, different: []string{
			"devices: -a/b=1", "huge pages: -1Gi=1", "networks: -n/n", "instance types: -i", "preferences: -p",
			`dedicated CPUs: "false", was "true"`, `SR-IOV: "false", was "true"`,
		}},
		{name: "some come", was: &domain.Capabilities{Networks: []string{"n/7", "n/0"}, RolloutStrategy: "Stage"},
			is:   domain.Capabilities{Networks: []string{"n/1", "n/2", "n/3", "n/4", "n/5", "n/6", "n/7"}},
			want: domain.Capabilities{Networks: []string{"n/1", "n/2", "n/3", "n/4", "n/5", "n/6", "n/7"}},
			different: []string{
				"networks: +n/1 +n/2 +n/3 +n/4 +n/5 and +1 more -n/0", `vmRolloutStrategy: "", was "Stage"`,
			}},
		{name: "in another order", was: &domain.Capabilities{FeatureGates: []string{"A", "B"}}, is: domain.Capabilities{FeatureGates: []string{"B", "A"}},
			want: domain.Capabilities{FeatureGates: []string{"B", "A"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := known(tt.was, provider.Facts{Capabilities: tt.is, Unread: tt.unread})
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(fmt.Sprint(tt.different), fmt.Sprint(differences(tt.was, got))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestGrown(t *testing.T) {
	t.Parallel()
	was := domain.Capabilities{
		Devices: map[string]int64{"a/b": 2}, Hugepages: map[string]int64{"1Gi": 4}, Networks: []string{"n/1", "n/2"},
		Instancetypes: []string{"i"}, Preferences: []string{"p"}, FeatureGates: []string{"A"}, DedicatedCPU: true, SRIOV: true,
	}
	for name, tt := range map[string]struct {
		change func(*domain.Capabilities)
		want   bool
	}{
		"the same":              {func(*domain.Capabilities) {}, true},
		"in another order":      {func(c *domain.Capabilities) { c.Networks = []string{"n/2", "n/1"} }, true},
		"more of a device":      {func(c *domain.Capabilities) { c.Devices = map[string]int64{"a/b": 3, "c/d": 1} }, true},
		"less of a device":      {func(c *domain.Capabilities) { c.Devices = map[string]int64{"a/b": 1, "c/d": 1} }, false},
		"another page size":     {func(c *domain.Capabilities) { c.Hugepages = map[string]int64{"2Mi": 9} }, false},
		"larger pages":          {func(c *domain.Capabilities) { c.Hugepages = map[string]int64{"1Gi": 5} }, true},
		"another network":       {func(c *domain.Capabilities) { c.Networks = []string{"n/1", "n/3"} }, false},
		"one more instancetype": {func(c *domain.Capabilities) { c.Instancetypes = []string{"h", "i"} }, true},
		"no instancetype":       {func(c *domain.Capabilities) { c.Instancetypes = nil }, false},
		"one more preference":   {func(c *domain.Capabilities) { c.Preferences = []string{"p", "q"} }, true},
		"no preference":         {func(c *domain.Capabilities) { c.Preferences = nil }, false},
		"no whole cores":        {func(c *domain.Capabilities) { c.DedicatedCPU = false }, false},
		"no SR-IOV":             {func(c *domain.Capabilities) { c.SRIOV = false }, false},
		"another feature gate":  {func(c *domain.Capabilities) { c.FeatureGates = []string{"A", "B"} }, false},
		"another rollout":       {func(c *domain.Capabilities) { c.RolloutStrategy = "Stage" }, false},
		"less is known":         {func(c *domain.Capabilities) { c.Unknown = []string{"Node"} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			is := was
			tt.change(&is)
			if got := grown(was, is); got != tt.want {
				t.Errorf("grown: %v", got)
			}
		})
	}
}
