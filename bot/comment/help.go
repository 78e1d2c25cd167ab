package comment

import "fmt"

// help lists the commands that make sense now, with who may give them.
func help(v *reading) (out []string) {
	for _, verb := range verbs {
		if text := v.helpOn(verb); text != "" {
			out = append(out, text)
		}
	}
	return out
}

// helpOn is the line about one command; empty where it makes no sense now.
func (v *reading) helpOn(verb string) string {
	open := v.State == Open
	switch verb {
	case verbPlan:
		for _, r := range v.rows {
			if open && v.plannable(r) {
				return "`/plan` with a block below it changes the plan: cluster, storage class, template version, spec. Who may approve."
			}
		}
	case verbConfirm:
		if n := len(confirmations(v)); open && n > 0 {
			return "`/confirm` with a digest confirms a deletion; " + plural(n, "the line", "the lines") + " to copy " + plural(n, "stands", "stand") + " in the comment above. Who may delete, the author included."
		}
	case verbHold:
		if open && v.AutoMerge && v.Held == nil {
			return "`/hold` keeps the pull request from being merged automatically. The author, and who may do or approve the change."
		}
	case verbUnhold:
		if open && v.Held != nil {
			return fmt.Sprintf("`/unhold` ends the hold by %s. The author, and who may do or approve the change.", v.holder())
		}
	case verbRetry:
		if v.State == Merged && v.failedOnes() {
			return "`/retry` carries out again what failed. Who may do or approve the change."
		}
	case verbExplain:
		if len(v.rows) > 0 {
			return "`/explain` shows how every change was judged. Everybody with a role here."
		}
	case verbHelp:
		return "`/help` shows this list. Everybody with a role here."
	}
	return ""
}

// plannable reports whether the plan of the change can be changed.
func (v *reading) plannable(r entry) bool {
	switch r.at {
	case waiting, unconfirmed, approved, ahead:
		return r.Change.Plan != nil && r.required() > 0 && !r.Change.Operation.Removes()
	}
	return false
}

// planForm is what a plan looks like. What it leaves out stays as it is.
const planForm = "````text\n/plan\n```shepherd\ncluster: prod-east\nstorageClass: fast\ntemplateVersion: 3\nmodifiedSpec: {template: ubuntu-24.04, size: large, disk: 200Gi, power: running}\nreason: medium is being phased out\n```\n````\n\n" +
	"Each line may be left out. `modifiedSpec` replaces the spec as a whole. For several VMs, the same lines stand under `vms:` and each VM's name.\n\n"
