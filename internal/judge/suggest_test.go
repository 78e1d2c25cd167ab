package judge

import (
	"fmt"
	"slices"
	"testing"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// fleet is a judging of clusters with weights, all eligible.
func fleet(weights map[string]int) (*judging, []string) {
	platform := &spec.Platform{Clusters: map[string]*spec.Cluster{}}
	var names []string
	for name, weight := range weights {
		platform.Clusters[name] = &spec.Cluster{Environment: domain.Prod, Status: spec.ClusterActive, Weight: weight}
		names = append(names, name)
	}
	slices.Sort(names)
	return &judging{in: Input{Platform: platform}}, names
}

// identities are many VMs, as they would be: services with many instances.
func identities(n int) []*change {
	out := make([]*change, n)
	for i := range out {
		ref := spec.Ref{
			Kind: spec.KindVirtualMachine, System: fmt.Sprintf("s%d", i%37), Service: fmt.Sprintf("svc%d", i%113),
			Namespace: "prod", Index: i + 1,
		}
		out[i] = &change{Change: Change{Ref: ref, Path: ref.Path()}}
	}
	return out
}

func placed(j *judging, names []string, vms []*change) map[string]string {
	out := map[string]string{}
	for _, vm := range vms {
		out[vm.Path] = j.choose(vm, names).Cluster
	}
	return out
}

func count(places map[string]string) map[string]int {
	out := map[string]int{}
	for _, name := range places {
		out[name]++
	}
	return out
}

func TestClustersFillByWeight(t *testing.T) {
	t.Parallel()
	const n = 10_000
	vms := identities(n)
	for _, weights := range []map[string]int{
		{"a": 100, "b": 300},
		{"prod-east-1": 300, "prod-east-2": 100},
		{"a": 1, "b": 1, "c": 2},
		{"a": 0, "b": 100}, // 100 is what no weight means
	} {
		j, names := fleet(weights)
		total, counts := 0, count(placed(j, names, vms))
		for _, name := range names {
			total += j.in.Platform.Clusters[name].EffectiveWeight()
		}
		for _, name := range names {
			want := n * j.in.Platform.Clusters[name].EffectiveWeight() / total
			if off := max(counts[name]-want, want-counts[name]); off*100 > 5*want {
				t.Errorf("%v: %s has %d VMs, want %d within 5 %%", weights, name, counts[name], want)
			}
		}
	}
}

// TestNewClusterMovesOnlyToItself: what is sent elsewhere when a cluster comes is sent to that cluster, and
// what is sent elsewhere when one goes was on it.
func TestNewClusterMovesOnlyToItself(t *testing.T) {
	t.Parallel()
	const n = 10_000
	vms := identities(n)
	two, names := fleet(map[string]int{"a": 100, "b": 300})
	three, more := fleet(map[string]int{"a": 100, "b": 300, "c": 100})
	before, after := placed(two, names, vms), placed(three, more, vms)
	moved := 0
	for path, was := range before {
		switch now := after[path]; now {
		case was:
		case "c":
			moved++
		default:
			t.Fatalf("%s moved from %s to %s", path, was, now)
		}
	}
	if want := n / 5; moved*100 < 95*want || moved*100 > 105*want {
		t.Errorf("%d VMs moved, want %d within 5 %%", moved, want)
	}
}

func TestChoiceIgnoresTheOrderOfClusters(t *testing.T) {
	t.Parallel()
	j, names := fleet(map[string]int{"a": 100, "b": 300, "c": 100, "d": 50})
	backwards := slices.Clone(names)
	slices.Reverse(backwards)
	for _, vm := range identities(500) {
		if x, y := j.choose(vm, names), j.choose(vm, backwards); x != y {
			t.Fatalf("%s goes to %v or to %v", vm.Path, x, y)
		}
	}
}

func TestChosenAndHomeComeFirst(t *testing.T) {
	t.Parallel()
	vm := identities(1)[0]
	home := vm.Ref.Service + "/" + vm.Ref.Namespace
	j, names := fleet(map[string]int{"a": 1, "b": 1, "c": 1000})
	byWeight := j.choose(vm, names).Cluster
	for name, tt := range map[string]struct {
		chosen, home string
		eligible     []string
		want         string
	}{
		"by weight":                    {"", "", names, byWeight},
		"home":                         {"", "a", names, "a"},
		"chosen before home":           {"b", "a", names, "b"},
		"chosen is no longer eligible": {"b", "a", []string{"a", "c"}, "a"},
		"neither is":                   {"b", "a", []string{"c"}, "c"},
		"chosen is unknown":            {"gone", "", names, byWeight},
	} {
		j := &judging{in: j.in}
		j.in.World.Chosen, j.in.World.Home = map[string]string{vm.Path: tt.chosen}, map[string]string{home: tt.home}
		if got := j.choose(vm, tt.eligible).Cluster; got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
	}
}
