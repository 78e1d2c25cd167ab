package judge

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// nextPlatform tells what is wrong with the platform as the head would have it, at the files that are. Of files
// that the pull request leaves alone only errors are told: their warnings are no news.
func (j *judging) nextPlatform() {
	if j.in.Next == nil {
		return
	}
	changed := map[string]*change{}
	for _, c := range j.changes {
		changed[c.Path] = c
	}
	for _, p := range j.in.Next.Problems {
		if c := changed[p.Path]; c != nil {
			if !slices.Contains(c.Problems, p) {
				c.add(p)
			}
		} else if p.Severity == domain.Error && !slices.Contains(j.report.Problems, p) {
			j.report.Problems = append(j.report.Problems, p)
		}
	}
}

// changePlatform holds a file of the platform to its lifecycle, and to the VMs that lean on it.
func (j *judging) changePlatform(c *change) {
	c.Claims = nameKeys(c.Ref)
	j.undrifted(c)
	j.offered(c)
	defer j.try(c)
	if c.Ref.Kind == spec.KindForge || c.Accepted == nil {
		return
	}
	if used := j.in.World.InUse[c.Path]; used > 0 || c.Ref.Kind == spec.KindTemplate {
		j.lifecycle(c, used)
	}
}

// undrifted refuses to move a platform that the branch has otherwise than accepted: it moves only as a whole,
// and what came past Shepherd would come with it.
func (j *judging) undrifted(c *change) {
	if c.Ref.Kind != spec.KindForge && j.in.Next == nil {
		c.add(domain.Problem{
			Code: domain.PlanInvalid, Message: "the platform as this file would make it was not read", Hint: "push again, or ask whoever runs Shepherd",
		})
	}
	var drift []string
	for _, path := range j.in.PlatformDrift {
		if !j.restored(path) {
			drift = append(drift, path)
		}
	}
	told := slices.ContainsFunc(c.Problems, func(p domain.Problem) bool { return p.Code == domain.Quarantined })
	if len(drift) == 0 || told {
		return
	}
	slices.Sort(drift)
	c.add(domain.Problem{
		Code: domain.Quarantined, Message: "the platform moves only as a whole, and the branch has parts of it that were merged without passing Shepherd: " + first(drift),
		Hint: "take it back first, by the undo that Shepherd has opened or a pull request of your own; this is judged again then",
	})
}

// restored reports whether the pull request makes a path what is accepted for it.
func (j *judging) restored(path string) bool {
	changed := slices.ContainsFunc(j.changes, func(c *change) bool { return c.Path == path })
	return !changed && slices.ContainsFunc(j.in.Files, func(f File) bool { return f.Path == path })
}

func (j *judging) lifecycle(c *change, used int) {
	removed := c.doc == nil
	switch old := c.accepted.(type) {
	case *spec.Template:
		now, _ := spec.As[spec.Template](c.doc)
		c.template(old, now, used)
	case *spec.InstanceSize:
		c.size(removed, used)
	case *spec.Namespace:
		now, _ := spec.As[spec.Namespace](c.doc)
		if c.kept(removed, "namespace", used) {
			c.sameEnvironment(old.Environment, now.Environment, used)
			c.sameObject(old, now, used)
		}
	case *spec.Cluster:
		now, _ := spec.As[spec.Cluster](c.doc)
		if c.kept(removed, "cluster", used) {
			c.sameEnvironment(old.Environment, now.Environment, used)
		}
	case *spec.Network:
		now, _ := spec.As[spec.Network](c.doc)
		if c.kept(removed, "network", used) {
			c.sameEnvironment(old.Environment, now.Environment, used)
		}
	}
}

var statuses = []spec.TemplateStatus{spec.TemplateDraft, spec.TemplateActive, spec.TemplateDeprecated, spec.TemplateArchived}

// template lets a published version change nothing but its status, and that forward.
func (c *change) template(old, now *spec.Template, used int) {
	if old.Status == spec.TemplateDraft {
		return
	}
	if now == nil {
		if used > 0 {
			c.add(domain.Problem{
				Code: domain.TemplateImmutable, Message: "template " + c.Subject + " is what " + vms(used) + " of the fleet came from, and cannot be removed",
				Hint: "put it back, and set its status to archived to hide it",
			})
		}
		return
	}
	if fields := without(differing(c.Accepted, c.Wanted), "status"); len(fields) > 0 {
		c.at(domain.TemplateImmutable, "spec."+fields[0], "template "+c.Subject+" is published, and nothing but its status can change: "+strings.Join(fields, ", "),
			"put it back, and add a new version beside it")
	}
	if from, to := slices.Index(statuses, old.Status), slices.Index(statuses, now.Status); to < from {
		c.at(domain.TemplateLifecycle, "spec.status", "the status of template "+c.Subject+" cannot go back from "+string(old.Status)+" to "+string(now.Status),
			"a status only moves forward: draft, active, deprecated, archived; add a new version")
	}
}

// size lets the hardware of a size in use stay as it is. The range of disks is a rule for requests, not a part
// of VMs.
func (c *change) size(removed bool, used int) {
	if removed {
		c.add(domain.Problem{
			Code: domain.SizeInUse, Message: "size " + c.Subject + " is that of " + vms(used) + ", and cannot be removed", Hint: "put it back, or change those VMs' size first",
		})
		return
	}
	if fields := without(differing(c.Accepted, c.Wanted), "disk", "description"); len(fields) > 0 {
		c.at(domain.SizeInUse, "spec."+fields[0], "size "+c.Subject+" is that of "+vms(used)+", and its hardware cannot change: "+strings.Join(fields, ", "),
			"put it back, and add a new size beside it")
	}
}

// kept refuses to remove what VMs lean on. It reports whether the document is still there.
func (c *change) kept(removed bool, kind string, used int) bool {
	if removed {
		c.add(domain.Problem{
			Code: domain.DeleteRestricted, Message: kind + " " + c.Subject + " has " + vms(used) + ", and cannot be removed", Hint: "put it back, and delete or change those VMs first",
		})
	}
	return !removed
}

func (c *change) sameEnvironment(old, now domain.Environment, used int) {
	if old != now {
		c.at(domain.EnvironmentMismatch, "spec.environment",
			"the environment cannot change from "+string(old)+" to "+string(now)+" while it has "+vms(used), "put it back, or delete those VMs first")
	}
}

func (c *change) sameObject(old, now *spec.Namespace, used int) {
	was, is := old.ObjectName(c.Ref.Name), now.ObjectName(c.Ref.Name)
	if was != is {
		c.at(domain.NamespaceImmutable, "spec.kubernetesName",
			"the name on the clusters cannot change from "+was+" to "+is+" while it has "+vms(used), "put it back, or delete those VMs first")
	}
}

func vms(n int) string { return plural(n, "VM") }

// differing are the top-level fields in which two canonical specs differ.
func differing(a, b json.RawMessage) (fields []string) {
	var before, after map[string]json.RawMessage
	if json.Unmarshal(a, &before) != nil || json.Unmarshal(b, &after) != nil {
		return nil
	}
	all := maps.Clone(before)
	maps.Copy(all, after)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !bytes.Equal(before[name], after[name]) {
			fields = append(fields, name)
		}
	}
	return fields
}

func without(fields []string, but ...string) []string {
	return slices.DeleteFunc(fields, func(f string) bool { return slices.Contains(but, f) })
}
