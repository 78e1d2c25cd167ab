package judge

import (
	"hash/fnv"
	"maps"
	"math"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// suggest chooses the cluster: one of the same environment that is active, known to the server and
// healthy. The one already chosen stays while it is eligible; else the service's own in that
// namespace; else by weight and a hash of the identity, so that the same VM is always sent to the same
// place and machines spread by weight.
func (j *judging) suggest(c *change, vm *spec.VirtualMachine, env domain.Environment) (Choice, bool) {
	var eligible, why []string
	for _, name := range slices.Sorted(maps.Keys(j.in.Platform.Clusters)) {
		cluster := j.in.Platform.Clusters[name]
		if cluster.Environment != env {
			continue
		}
		if no := j.ineligible(name, cluster); no != "" {
			why = append(why, name+" "+no)
			continue
		}
		eligible = append(eligible, name)
	}
	if len(eligible) == 0 {
		if len(why) == 0 {
			why = []string{"the platform has none"}
		}
		c.add(domain.Problem{
			Code: domain.NoEligibleCluster, Message: "no cluster of " + string(env) + " can take this VM: " + strings.Join(why, "; "),
			Hint: "ask whoever runs Shepherd; nothing in this file is wrong",
		})
		return Choice{}, false
	}
	for i, disk := range vm.Disks {
		if eligible = j.withStorage(c, i, disk, eligible); len(eligible) == 0 {
			return Choice{}, false
		}
	}
	return j.choose(c, eligible), true
}

// withStorage leaves the clusters that have the storage class which a data disk names.
func (j *judging) withStorage(c *change, i int, disk spec.VMDisk, clusters []string) (able []string) {
	if disk.StorageClass == "" {
		return clusters
	}
	var known []string
	for _, name := range clusters {
		facts := j.in.World.Clusters[name]
		if facts.has(disk.StorageClass) {
			able = append(able, name)
		}
		known = append(known, facts.StorageClasses...)
	}
	if len(able) == 0 {
		slices.Sort(known)
		c.at(domain.StorageClassUnknown, "spec.disks["+number(i)+"].storageClass",
			"no cluster that can take this VM has the storage class "+disk.StorageClass,
			spec.Suggest(disk.StorageClass, slices.Compact(known))+"; or leave it out to get the cluster's own")
	}
	return able
}

// has reports whether the cluster has a storage class, as far as its classes are known.
func (f ClusterFacts) has(class string) bool {
	return class == "" || len(f.StorageClasses) == 0 || slices.Contains(f.StorageClasses, class)
}

func (j *judging) ineligible(name string, cluster *spec.Cluster) string {
	facts, known := j.in.World.Clusters[name]
	switch {
	case cluster.Status != spec.ClusterActive:
		return "is " + string(cluster.Status)
	case !known:
		return "has no credentials yet (shepherd cluster add " + name + ")"
	case !facts.Healthy && facts.Message == "":
		return "is not healthy"
	case !facts.Healthy:
		return "is not healthy: " + facts.Message
	case !facts.has(cluster.StorageClass):
		return "lacks the storage class " + cluster.StorageClass + ", which its file names"
	}
	return ""
}

func (j *judging) choose(c *change, eligible []string) Choice {
	name := j.in.World.Chosen[c.Path]
	if !slices.Contains(eligible, name) {
		name = j.in.World.Home[c.Ref.Service+"/"+c.Ref.Namespace]
	}
	if !slices.Contains(eligible, name) {
		name = slices.MaxFunc(eligible, func(a, b string) int {
			return int(math.Copysign(1, j.pull(a, c.Path)-j.pull(b, c.Path)))
		})
	}
	return Choice{Cluster: name, StorageClass: j.in.Platform.Clusters[name].StorageClass}
}

// pull is the weighted rendezvous hash of cluster and identity.
func (j *judging) pull(cluster, path string) float64 {
	h := fnv.New64a()
	h.Write([]byte(cluster + "\x00" + path))
	x := h.Sum64()
	x ^= x >> 33 // FNV's high bits are poor for short inputs
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	unit := (float64(x>>11) + 0.5) / (1 << 53)
	return -float64(j.in.Platform.Clusters[cluster].EffectiveWeight()) / math.Log(unit)
}
