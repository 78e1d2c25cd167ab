package render

import (
	"slices"
	"strconv"
	"strings"

	"kv-shepherd.io/shepherd/internal/domain"
)

// KubeVirt is what is known of a cluster's KubeVirt. The zero value is the newest release that Shepherd knows,
// of whose configuration nothing is known.
type KubeVirt struct {
	// Version is such as v1.9.0; empty for the newest that is known.
	Version string
	// Cluster is the cluster's name, where people are to be told it.
	Cluster string
	// FeatureGates are those that the configuration switches on, DisabledFeatureGates those that it switches off.
	FeatureGates, DisabledFeatureGates []string
	// GatesKnown says that these are the whole lists. Otherwise no field is refused for a gate.
	GatesKnown bool
	// RolloutStrategy is LiveUpdate, Stage, or empty for KubeVirt's default.
	RolloutStrategy string
}

// KubeVirtOf is what a cluster's version and capabilities say about its KubeVirt; nil where nobody looked.
func KubeVirtOf(version string, capabilities *domain.Capabilities) KubeVirt {
	k := KubeVirt{Version: version}
	if capabilities == nil {
		return k
	}
	k.FeatureGates, k.RolloutStrategy = capabilities.FeatureGates, capabilities.RolloutStrategy
	k.DisabledFeatureGates = capabilities.DisabledFeatureGates
	k.GatesKnown = !slices.Contains(capabilities.Unknown, "KubeVirt")
	return k
}

// The minor releases of KubeVirt 1 that the rules are made for.
const (
	oldestMinor = 7
	newestMinor = 9
)

// minor is the release whose rules hold, and whether it is that of the cluster: an older one is treated as the
// oldest that is known, a newer one as the newest.
func (k KubeVirt) minor() (minor int, exact bool) {
	if k.Version == "" {
		return newestMinor, true
	}
	parts := strings.SplitN(strings.TrimPrefix(k.Version, "v"), ".", 3)
	major, err := strconv.Atoi(parts[0])
	if err != nil || len(parts) < 2 {
		return newestMinor, false
	}
	minor, err = strconv.Atoi(parts[1])
	switch {
	case err != nil, major > 1:
		return newestMinor, false
	case major < 1:
		return oldestMinor, false
	}
	return min(max(minor, oldestMinor), newestMinor), minor >= oldestMinor && minor <= newestMinor
}

// staged reports whether changes of a running VM wait for its restart. Since 1.6 that has to be asked for.
func (k KubeVirt) staged() bool { return k.RolloutStrategy == "Stage" }

// named reports whether the configuration names a gate.
func (k KubeVirt) named(gate string) bool { return slices.Contains(k.FeatureGates, gate) }

// off reports whether a gate is surely off. What the configuration names both on and off is on.
func (k KubeVirt) off(name string) bool {
	g, found := gates[name]
	minor, _ := k.minor()
	switch {
	case !found, minor >= g.since && k.named(name):
		return false
	case g.on != 0 && minor >= g.on:
		return g.beta && slices.Contains(k.DisabledFeatureGates, name)
	case minor < g.since:
		return true
	}
	return k.GatesKnown
}

// refuses reports whether a field is one that this KubeVirt does not know, or needs a gate that is surely off.
func (k KubeVirt) refuses(f field) (unknown, off bool) {
	minor, _ := k.minor()
	return minor < f.since, f.gate != "" && k.off(f.gate)
}

// tells reports whether it is known if a gate is on.
func (k KubeVirt) tells(name string) bool {
	g := gates[name]
	minor, _ := k.minor()
	return k.GatesKnown || minor < g.since || g.on != 0 && minor >= g.on && !g.beta
}

// whose names the cluster, where that is known.
func (k KubeVirt) whose(before string) string {
	if k.Cluster == "" {
		return ""
	}
	return before + "cluster " + k.Cluster
}
