package judge

import (
	"cmp"
	"hash/fnv"
	"iter"
	"maps"
	"math"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// suggest chooses the cluster: one of the same environment that is active, known to the server, healthy and
// not known to lack what the VM needs. The one already chosen stays while it is eligible; else those of which it
// is known that they have it come first; of them the service's own in that namespace; else by weight and a hash
// of the identity, so that the same VM is always sent to the same place and machines spread by weight. What an
// approver chose is taken, or refused.
func (j *judging) suggest(c *change, vm *spec.VirtualMachine, env domain.Environment, needs []need) (Choice, bool) {
	var eligible []string
	if name := c.chosen().Cluster; name == "" {
		eligible = j.eligible(c, env, needs)
	} else if j.mayTake(c, name, env, needs) {
		eligible = []string{name}
	}
	if class := c.chosen().StorageClass; class != "" && len(eligible) > 0 {
		eligible = j.withStorage(c, "", class, eligible)
	}
	for i, disk := range vm.Disks {
		if disk.StorageClass != "" && len(eligible) > 0 {
			eligible = j.withStorage(c, "spec.disks["+number(i)+"].storageClass", disk.StorageClass, eligible)
		}
	}
	if len(eligible) == 0 {
		return Choice{}, false
	}
	choice := j.choose(c, j.surer(c, vm, eligible, needs))
	j.unsure(c, choice.Cluster, needs)
	for field, class := range j.classes(c, vm, choice.Cluster) {
		j.unsureOfStorage(c, choice.Cluster, field, class)
	}
	return choice, true
}

// surer are the clusters of which everything that the VM needs is known, where there are some and the one already
// chosen is no other.
func (j *judging) surer(c *change, vm *spec.VirtualMachine, eligible []string, needs []need) []string {
	if slices.Contains(eligible, j.in.World.Chosen[c.Path]) {
		return eligible
	}
	sure := slices.DeleteFunc(slices.Clone(eligible), func(name string) bool {
		facts := j.in.World.Clusters[name]
		_, unknown := facts.unmet(needs)
		for _, class := range j.classes(c, vm, name) {
			if class != "" && len(facts.StorageClasses) == 0 {
				return true
			}
		}
		return len(unknown) > 0
	})
	if len(sure) == 0 {
		return eligible
	}
	return sure
}

// classes are the storage classes that a VM's disks would name on a cluster, by the field that says so: the root
// disk's under none.
func (j *judging) classes(c *change, vm *spec.VirtualMachine, cluster string) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		if !yield("", cmp.Or(c.chosen().StorageClass, j.in.Platform.Clusters[cluster].StorageClass)) {
			return
		}
		for i, disk := range vm.Disks {
			if !yield("spec.disks["+number(i)+"].storageClass", disk.StorageClass) {
				return
			}
		}
	}
}

// eligible are the clusters that can take a new VM; without one there is a problem that says why for each.
func (j *judging) eligible(c *change, env domain.Environment, needs []need) (eligible []string) {
	var why []string
	p := domain.Problem{Code: domain.NoEligibleCluster, Hint: "ask whoever runs Shepherd; nothing in this file is wrong"}
	field := ""
	for _, name := range slices.Sorted(maps.Keys(j.in.Platform.Clusters)) {
		cluster := j.in.Platform.Clusters[name]
		if cluster.Environment != env {
			continue
		}
		no := j.ineligible(c, name, cluster)
		if unmet, _ := j.in.World.Clusters[name].unmet(needs); no == "" && len(unmet) > 0 {
			no, field = j.in.World.Clusters[name].lacks(unmet), unmet[0].field
			p.Hint = "ask for something else, or have whoever runs Shepherd add a cluster that has it"
		}
		if no != "" {
			why = append(why, name+" "+no)
			continue
		}
		eligible = append(eligible, name)
	}
	if len(why) == 0 {
		why = []string{"the platform has none"}
	}
	if len(eligible) > 0 {
		return eligible
	}
	p.Message = "no cluster of " + string(env) + " can take this VM: " + strings.Join(why, "; ")
	if field == "" {
		c.add(p)
	} else {
		c.found(&p, field)
	}
	return nil
}

// mayTake holds the cluster that an approver chose to what every suggestion keeps.
func (j *judging) mayTake(c *change, name string, env domain.Environment, needs []need) bool {
	cluster := j.in.Platform.Clusters[name]
	var others []string
	for other, of := range j.in.Platform.Clusters {
		if other != name && of.Environment == env && of.Status == spec.ClusterActive {
			others = append(others, other)
		}
	}
	refuse := func(code domain.Code, message string) bool {
		c.ofPlan(domain.Problem{
			Code: code, Message: message, Hint: "plan another cluster of " + string(env) + ", or none to get the suggested one: " + spec.Suggest(name, others),
		})
		return false
	}
	switch {
	case cluster == nil:
		return refuse(domain.NoEligibleCluster, "there is no cluster "+name)
	case cluster.Environment != env:
		return refuse(domain.EnvironmentMismatch, "cluster "+name+" belongs to "+string(cluster.Environment)+", namespace "+c.Ref.Namespace+" to "+string(env))
	case cluster.Status != spec.ClusterActive:
		return refuse(domain.ClusterCordoned, "cluster "+name+" is "+string(cluster.Status)+" and takes no new VMs")
	}
	if no := cmp.Or(j.ineligible(c, name, cluster), j.in.World.Clusters[name].lacks(needs)); no != "" {
		return refuse(domain.NoEligibleCluster, "cluster "+name+" "+no)
	}
	return true
}

// withStorage leaves the clusters that have a storage class: the one that a data disk names at a field, or
// without a field the one that an approver chose.
func (j *judging) withStorage(c *change, field, class string, clusters []string) (able []string) {
	var known []string
	for _, name := range clusters {
		facts := j.in.World.Clusters[name]
		if facts.has(class) {
			able = append(able, name)
		}
		known = append(known, facts.StorageClasses...)
	}
	if len(able) > 0 {
		return able
	}
	slices.Sort(known)
	p := domain.Problem{
		Code: domain.StorageClassUnknown, Message: "no cluster that can take this VM has the storage class " + class,
		Hint: spec.Suggest(class, slices.Compact(known)) + "; or leave it out to get the cluster's own",
	}
	if field == "" {
		c.ofPlan(p)
	} else {
		c.found(&p, field)
	}
	return nil
}

// has reports whether the cluster has a storage class, as far as its classes are known.
func (f ClusterFacts) has(class string) bool {
	return class == "" || len(f.StorageClasses) == 0 || slices.Contains(f.StorageClasses, class)
}

func (j *judging) ineligible(c *change, name string, cluster *spec.Cluster) string {
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
	case facts.outdated() != "":
		return facts.outdated()
	case c.chosen().StorageClass == "" && !facts.has(cluster.StorageClass):
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
	return Choice{Cluster: name, StorageClass: cmp.Or(c.chosen().StorageClass, j.in.Platform.Clusters[name].StorageClass)}
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
