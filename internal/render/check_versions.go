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
	// FeatureGates are those that the configuration names.
	FeatureGates []string
	// GatesKnown says that FeatureGates is the whole list. Otherwise no field is refused for a gate.
	GatesKnown bool
	// RolloutStrategy is LiveUpdate, Stage, or empty for KubeVirt's default.
	RolloutStrategy string
}

// KubeVirtOf is what a cluster's capabilities say about its KubeVirt; nil where nobody looked.
func KubeVirtOf(version string, capabilities *domain.Capabilities) KubeVirt {
	k := KubeVirt{Version: version}
	if capabilities == nil {
		return k
	}
	k.FeatureGates, k.RolloutStrategy = capabilities.FeatureGates, capabilities.RolloutStrategy
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

// off reports whether a gate is surely off. A gate that is on by default may have been switched off: that is
// the cluster's to say.
func (k KubeVirt) off(name string) bool {
	g, found := gates[name]
	minor, _ := k.minor()
	switch {
	case !found, g.on != 0 && minor >= g.on:
		return false
	case minor < g.since:
		return true
	}
	return k.GatesKnown && !k.named(name)
}
