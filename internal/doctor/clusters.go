package doctor

import (
	"maps"
	"slices"
)

func clusters(f Facts, r *report) {
	c := f.Clusters
	if c.Unseen != "" {
		if f.Database.Unseen == "" && !f.Database.Pending {
			r.add(Wrong, "look at the database", "the clusters cannot be read: %s", c.Unseen)
		}
		return
	}
	for _, one := range c.Registered {
		registered(f, one, r)
	}
	if !f.Database.Baseline {
		return // told as activity: there is no accepted platform
	}
	if c.PlatformUnseen != "" {
		r.add(Warning, "see what is said of the repository and the App", "the accepted platform cannot be read: %s", c.PlatformUnseen)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(c.Platform)) {
		known := slices.ContainsFunc(c.Registered, func(r Cluster) bool { return r.Name == name })
		if known || c.Platform[name] == "retired" {
			continue
		}
		level := Warning
		if c.Platform[name] == "active" {
			level = Wrong
		}
		r.add(level, "shepherd cluster add "+name+" --kubeconfig FILE, or set its status to retired in platform/clusters/"+name+".yaml",
			"%s is %s in the accepted platform and has no credentials", name, c.Platform[name])
	}
}

func registered(f Facts, c Cluster, r *report) {
	before := len(r.findings)
	if !slices.Contains(f.Configuration.Keys, c.Key) && len(f.Configuration.Problems) == 0 {
		r.add(Wrong, "put the key back into encryptionKeys, or run shepherd cluster add "+c.Name+" again", "%s: its credentials are sealed with key %q, which encryptionKeys does not have", c.Name, c.Key)
	}
	switch {
	case c.Checked == 0:
		r.add(Warning, "run shepherd serve", "%s: it was never looked at", c.Name)
	case c.Health != "healthy":
		r.add(Wrong, "shepherd cluster check "+c.Name, "%s is %s: %s", c.Name, c.Health, c.Message)
	case c.Checked > 3*f.Configuration.CheckEvery:
		r.add(Warning, "run shepherd serve, or look in its log for why check_clusters fails", "%s: it was last looked at %s ago; it is to happen every %s", c.Name, age(c.Checked), f.Configuration.CheckEvery)
	}
	if c.Paused > 0 {
		r.add(Warning, "shepherd cluster check "+c.Name+"; it is tried again by itself", "%s is paused for another %s: %s", c.Name, age(c.Paused), c.PausedReason)
	}
	if _, named := f.Clusters.Platform[c.Name]; !named && f.Clusters.PlatformUnseen == "" && f.Database.Baseline {
		r.add(Warning, "add platform/clusters/"+c.Name+".yaml in a pull request, or run shepherd cluster remove "+c.Name, "%s has credentials and is not in the accepted platform: nothing is sent there", c.Name)
	}
	if len(r.findings) == before {
		r.ok("%s is healthy, looked at %s ago", c.Name, age(c.Checked))
	}
}
