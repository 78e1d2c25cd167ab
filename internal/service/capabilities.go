package service

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/provider"
)

// keep takes over what was known of a kind's objects.
var keep = map[string]func(to *domain.Capabilities, was domain.Capabilities){
	"Node": func(to *domain.Capabilities, was domain.Capabilities) {
		to.Devices, to.Hugepages, to.DedicatedCPU = was.Devices, was.Hugepages, was.DedicatedCPU
	},
	"NetworkAttachmentDefinition": func(to *domain.Capabilities, was domain.Capabilities) {
		to.Networks, to.SRIOV = was.Networks, was.SRIOV
	},
	"VirtualMachineClusterInstancetype": func(to *domain.Capabilities, was domain.Capabilities) {
		to.Instancetypes = was.Instancetypes
	},
	"VirtualMachineClusterPreference": func(to *domain.Capabilities, was domain.Capabilities) {
		to.Preferences = was.Preferences
	},
}

// known is what is known of a cluster's capabilities after a look: what it did not answer for is as it was, and
// unknown where nothing was known.
func known(was *domain.Capabilities, f provider.Facts) domain.Capabilities {
	out := f.Capabilities
	for _, kind := range f.Unread {
		switch take, ok := keep[kind]; {
		case was == nil || !ok:
			out.Unknown = append(out.Unknown, kind)
		default:
			take(&out, *was)
			if slices.Contains(was.Unknown, kind) {
				out.Unknown = append(out.Unknown, kind)
			}
		}
	}
	slices.Sort(out.Unknown)
	return out
}

// differences says what of a cluster's capabilities has changed; nothing where none were known before.
func differences(was *domain.Capabilities, is domain.Capabilities) []string {
	if was == nil {
		return []string{"capabilities: seen for the first time"}
	}
	out := slices.Concat(
		difference("feature gates", was.FeatureGates, is.FeatureGates),
		difference("feature gates switched off", was.DisabledFeatureGates, is.DisabledFeatureGates),
		difference("devices", amounts(was.Devices), amounts(is.Devices)),
		difference("huge pages", amounts(was.Hugepages), amounts(is.Hugepages)),
		difference("networks", was.Networks, is.Networks),
		difference("instance types", was.Instancetypes, is.Instancetypes),
		difference("preferences", was.Preferences, is.Preferences),
		difference("not known", was.Unknown, is.Unknown),
	)
	for _, d := range []struct {
		what    string
		was, is any
	}{
		{"vmRolloutStrategy", was.RolloutStrategy, is.RolloutStrategy}, {"dedicated CPUs", was.DedicatedCPU, is.DedicatedCPU}, {"SR-IOV", was.SRIOV, is.SRIOV},
	} {
		if d.was != d.is {
			out = append(out, fmt.Sprintf("%s: %q, was %q", d.what, fmt.Sprint(d.is), fmt.Sprint(d.was)))
		}
	}
	return out
}

// grown reports whether a cluster has at least what it had for VMs, and its KubeVirt does what it did.
func grown(was, is domain.Capabilities) bool {
	for _, names := range [][2][]string{{was.Networks, is.Networks}, {was.Instancetypes, is.Instancetypes}, {was.Preferences, is.Preferences}} {
		if len(without(names[0], names[1])) > 0 {
			return false
		}
	}
	for _, amounts := range [][2]map[string]int64{{was.Devices, is.Devices}, {was.Hugepages, is.Hugepages}} {
		for name, n := range amounts[0] {
			if amounts[1][name] < n {
				return false
			}
		}
	}
	if was.DedicatedCPU && !is.DedicatedCPU || was.SRIOV && !is.SRIOV {
		return false
	}
	is.Networks, is.Instancetypes, is.Preferences = was.Networks, was.Instancetypes, was.Preferences
	is.Devices, is.Hugepages, is.DedicatedCPU, is.SRIOV = was.Devices, was.Hugepages, was.DedicatedCPU, was.SRIOV
	return len(differences(&was, is)) == 0
}

// maxNamed is how many names a difference lists on each side.
const maxNamed = 5

// difference says which names came and which went, in one line; the order counts for nothing.
func difference(what string, was, is []string) []string {
	came, went := without(is, was), without(was, is)
	if len(came)+len(went) == 0 {
		return nil
	}
	var parts []string
	for sign, names := range map[string][]string{"+": came, "-": went} {
		more := ""
		if len(names) > maxNamed {
			more = fmt.Sprintf(" and %s%d more", sign, len(names)-maxNamed)
			names = names[:maxNamed]
		}
		if len(names) > 0 {
			parts = append(parts, sign+strings.Join(names, " "+sign)+more)
		}
	}
	slices.Sort(parts)
	return []string{what + ": " + strings.Join(parts, " ")}
}

// without are the names that are not among others, in order.
func without(names, others []string) []string {
	among := make(map[string]bool, len(others))
	for _, o := range others {
		among[o] = true
	}
	return slices.Sorted(func(yield func(string) bool) {
		for _, n := range names {
			if !among[n] && !yield(n) {
				return
			}
		}
	})
}

func amounts(m map[string]int64) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%s=%d", name, m[name]))
	}
	return out
}
