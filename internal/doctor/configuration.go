package doctor

import (
	"slices"
	"strings"
)

func configuration(f Facts, r *report) {
	c := f.Configuration
	for _, problem := range c.Problems {
		r.add(Wrong, "set the key in the configuration file or in the environment; the server does not start without it", "%s", problem)
	}
	if len(c.Problems) > 0 {
		return
	}
	if c.Grace == 0 {
		r.add(Warning, "set approval.grace to a few seconds, as 10s",
			"approval.grace is 0: an approval that is clicked while a new plan is being published counts for a plan that nobody read")
	}
	if f.Clusters.Unseen == "" && len(f.Clusters.Registered) > 0 {
		keys(f, r)
	}
	r.clean("complete; a plan is on show for %s before approvals count", c.Grace)
}

// keys compares the encryption keys with what credentials are sealed with. A key that is missing is told with the
// cluster.
func keys(f Facts, r *report) {
	used := map[string]bool{}
	for _, c := range f.Clusters.Registered {
		used[c.Key] = true
	}
	keys := f.Configuration.Keys
	old := slices.ContainsFunc(f.Clusters.Registered, func(c Cluster) bool { return len(keys) > 0 && c.Key != keys[0] && slices.Contains(keys, c.Key) })
	if old {
		r.add(Warning, "run shepherd cluster rotate, then take the old keys out of encryptionKeys", "credentials are sealed with a key that is not the first of encryptionKeys")
	}
	var idle []string
	for i, id := range keys {
		if i > 0 && !used[id] {
			idle = append(idle, id)
		}
	}
	if len(idle) > 0 {
		r.add(Warning, "take them out of encryptionKeys", "encryption keys that no cluster's credentials use: %s", strings.Join(idle, ", "))
	}
}
