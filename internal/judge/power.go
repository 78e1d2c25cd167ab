package judge

import (
	"time"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/render"
)

// powerVM starts, stops or restarts a VM as it was last agreed on: nothing but its power can change.
func (j *judging) powerVM(c *change) {
	c.Claims = nameKeys(c.Ref)
	c.vm = machine(c.doc)
	old, m, _, ok := j.existing(c)
	if c.vm == nil || !ok {
		return
	}
	c.Reason = c.vm.Reason
	plan := *m.Plan
	plan.Choice.Cluster, plan.KubernetesNamespace, plan.RestartedAt = m.Cluster, m.KubernetesNamespace, ""
	if c.Operation == domain.RestartVM {
		j.restart(c, old.RestartedAt)
		plan.RestartedAt = c.vm.RestartedAt
	} else {
		manifests, err := render.WithPower(m.Plan.Manifests, c.vm.Power)
		if err != nil {
			c.add(domain.Problem{
				Code: domain.PlanInvalid, Message: "what was agreed on for this VM cannot be read: " + err.Error(), Hint: "ask whoever runs Shepherd",
			})
			return
		}
		plan.Manifests = manifests
	}
	if j.stays(c, m) {
		plan.Objects = objects(plan.Manifests)
		c.seal(plan, c.vm.RestartedAt)
	}
}

// ahead is how far another clock may be before ours.
const ahead = 5 * time.Minute

// restart holds a restartedAt that differs from the accepted one: it moves forward, to a moment that has come,
// of a VM that is to run. It reports whether a restart is asked for.
func (j *judging) restart(c *change, was string) bool {
	wanted := c.vm.RestartedAt
	if wanted == "" || wanted == was {
		return false
	}
	const field = "spec.restartedAt"
	at, before := instant(wanted), instant(was)
	now := "write the time of now in UTC"
	if !j.in.Now.IsZero() {
		now += ", such as " + j.in.Now.UTC().Format(time.RFC3339)
	}
	switch {
	case !before.IsZero() && !at.After(before):
		c.at(domain.PlanInvalid, field, "restartedAt only moves forward: "+wanted+" is before "+was+", which is accepted", now)
	case !j.in.Now.IsZero() && at.After(j.in.Now.Add(ahead)):
		c.at(domain.PlanInvalid, field, "restartedAt is "+wanted+", which is in the future", now)
	case c.accepted != nil && c.vm.Power == spec.PowerStopped:
		c.at(domain.PlanInvalid, field, "a VM whose power is stopped cannot be restarted", "set power: running to start it, and leave restartedAt as it was")
	}
	return c.accepted != nil
}

// instant reads a moment; the zero time where there is none.
func instant(s string) time.Time {
	t, _ := time.Parse(time.RFC3339, s)
	return t
}
