package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/internal/domain"
)

// maxListed is how many names a line of `cluster check` lists.
const maxListed = 20

// ability is a line about what a cluster can do.
type ability struct{ name, value string }

// abilities are what a cluster can do, in full.
func abilities(c domain.Capabilities) []ability {
	yes := map[bool]string{true: "yes"}
	return []ability{
		{"feature gates", names(c.FeatureGates)},
		{"switched off", names(c.DisabledFeatureGates)},
		{"rollout", c.RolloutStrategy},
		{"devices", names(devices(c))},
		{"huge pages", names(hugepages(c))},
		{"dedicated CPUs", yes[c.DedicatedCPU]},
		{"networks", names(c.Networks)},
		{"SR-IOV", yes[c.SRIOV]},
		{"instance types", names(c.Instancetypes)},
		{"preferences", names(c.Preferences)},
	}
}

// can is the same for one column: only what hardware and networks there are.
func can(c *domain.Capabilities) string {
	if c == nil {
		return ""
	}
	out := append(devices(*c), hugepages(*c)...)
	if c.DedicatedCPU {
		out = append(out, "dedicated CPUs")
	}
	if n := len(c.Networks); n > 0 {
		out = append(out, fmt.Sprintf("%d networks", n))
	}
	if c.SRIOV {
		out = append(out, "SR-IOV")
	}
	return strings.Join(out, ", ")
}

func devices(c domain.Capabilities) (out []string) {
	for _, name := range slices.Sorted(maps.Keys(c.Devices)) {
		out = append(out, fmt.Sprintf("%d %s", c.Devices[name], name))
	}
	return out
}

func hugepages(c domain.Capabilities) (out []string) {
	for _, size := range slices.Sorted(maps.Keys(c.Hugepages)) {
		out = append(out, fmt.Sprintf("%s in pages of %s", resource.NewQuantity(c.Hugepages[size], resource.BinarySI), size))
	}
	return out
}

// names lists the first of them, and says how many more there are.
func names(list []string) string {
	if more := len(list) - maxListed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:maxListed], ", "), more)
	}
	return strings.Join(list, ", ")
}

// note is what is wrong with a cluster, if anything is: that it is paused, or what was seen of it last.
func note(r *ent.Cluster, now time.Time) string {
	if r.PausedUntil != nil && r.PausedUntil.After(now) {
		return "paused: " + r.PausedReason
	}
	return r.HealthMessage
}
