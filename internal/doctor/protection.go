package doctor

import (
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/bot/forge"
)

// checks are what the bot answers with; a branch that does not require both lets anything in.
var checks = []string{"shepherd/validate", "shepherd/approval"}

func protection(f Facts, r *report) {
	p := f.Protection
	switch {
	case f.Forge.Unseen != "" || !f.Forge.Branch:
		return
	case p.Unseen != "":
		r.add(Wrong, "look at the branch's protection by hand", "it cannot be read: %s", p.Unseen)
		return
	}
	for _, name := range checks {
		required(name, f, r)
	}
	if p.DismissesStale {
		r.add(Wrong, `switch "dismiss stale pull request approvals" off: approvals are bound to content here, and die with it`,
			"stale approvals are dismissed by the forge: a merge of the base branch takes approvals away that still hold")
	}
	switch {
	case !p.Detailed:
		r.add(Info, "grant the App administration (read), or look by hand: no force pushes, no deletions, no bypassing",
			"force pushes, deletions and administrators cannot be looked at without permission administration (read)")
	default:
		open(p.Protection, r)
	}
	if len(p.Bypass) > 0 {
		r.add(Warning, "take them off the list: what they merge without the checks is quarantined", "may merge without what is required: %s", strings.Join(p.Bypass, ", "))
	}
	if len(p.Rulesets) > 0 {
		r.add(Info, "look at the bypass list of each in the repository's settings under Rules", "rulesets hold the branch, too; who may bypass them is shown to administrators only")
	}
	r.clean("both checks are required from this App")
}

func required(name string, f Facts, r *report) {
	fix := "require " + name + " in the branch's protection, with this App as its source"
	var from []forge.RequiredCheck
	for _, c := range f.Protection.Checks {
		if c.Name == name {
			from = append(from, c)
		}
	}
	ours := func(c forge.RequiredCheck) bool { return f.Forge.App != nil && c.App == f.Forge.App.ID }
	switch {
	case len(from) == 0:
		r.add(Wrong, fix, "%s is not required: what it refuses can be merged, and is quarantined", name)
	case f.Forge.App == nil || slices.ContainsFunc(from, ours):
	case from[0].App == 0:
		r.add(Wrong, fix, "%s is required from anybody: whoever may write statuses can make it green", name)
	default:
		r.add(Wrong, fix, "%s is required from App %d, not from ours (%d)", name, from[0].App, f.Forge.App.ID)
	}
}

// open tells which doors past the pull request are open.
func open(p forge.Protection, r *report) {
	if p.ForcePushes {
		r.add(Wrong, "forbid force pushes in the branch's protection", "the branch may be force-pushed: when its history is rewritten it is not followed any more")
	}
	if p.Deletions {
		r.add(Wrong, "forbid deletions in the branch's protection", "the branch may be deleted")
	}
	if p.AdministratorsExempt {
		r.add(Warning, `switch "do not allow bypassing the above settings" on`, "administrators may merge without the checks; what they merge so is quarantined")
	}
}
