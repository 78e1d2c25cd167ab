package judge

import (
	"slices"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// needsOfInstancetype is the cluster's instance type that a size names; one of a namespace nobody has looked for.
func needsOfInstancetype(by string, size *spec.InstanceSize) []need {
	if size.Instancetype == nil || size.Instancetype.EffectiveKind() != spec.ClusterInstancetype {
		return nil
	}
	name := size.Instancetype.Name
	return []need{present("spec.instancetype", by, kindInstancetype, "the instance type "+name, func(c *domain.Capabilities) bool {
		return slices.Contains(c.Instancetypes, name)
	})}
}
