package comment

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/internal/domain"
)

// Deployment is what a merged pull request brings to one cluster, and how far it has come.
type Deployment struct {
	forge.Deployment
	Status forge.DeploymentStatus // without a link
}

// Deployments are what a merged pull request brings to clusters, one a cluster: VMs that are made, changed, switched
// or deleted there. Nothing is brought anywhere by what is only recorded, or was quarantined. A deployment ends when
// the closing remark would call all of its VMs done or failed.
func Deployments(v View) (out []Deployment) {
	if v.State != Merged {
		return nil
	}
	rows := map[string][]entry{}
	for _, r := range read(v).rows {
		if to := r.deployedTo(); to != "" {
			rows[to] = append(rows[to], r)
		}
	}
	for to, here := range rows {
		out = append(out, Deployment{
			Deployment: forge.Deployment{
				SHA: v.Report.Head, Environment: to, Production: here[0].Change.Environment == domain.Prod,
				Description: fmt.Sprintf("#%d: %s", v.Number, ordered(here)), PullRequest: v.Number,
			},
			Status: deploymentStatus(here),
		})
	}
	slices.SortFunc(out, func(a, b Deployment) int { return cmp.Compare(a.Environment, b.Environment) })
	return out
}

// deployedTo names the environment and the cluster where the row is carried out; empty where it is nowhere.
func (r entry) deployedTo() string {
	cluster := ""
	switch {
	case !r.Change.Operation.OnCluster() || r.at < applying:
		return ""
	case r.VM != nil:
		cluster = r.VM.Cluster
	case r.Change.Plan != nil:
		cluster = r.Change.Plan.Cluster
	}
	if cluster == "" {
		return ""
	}
	return string(r.Change.Environment) + "/" + cluster
}

// deploymentStatus sums up where the rows of one cluster stand.
func deploymentStatus(rows []entry) forge.DeploymentStatus {
	n := map[standing]int{}
	for _, r := range rows {
		n[r.at]++
	}
	under := n[applying] + n[settling] + n[unclear]
	switch {
	case under > 0 && under == n[applying] && n[done]+n[failed] == 0:
		return forge.DeploymentStatus{State: forge.DeploymentQueued, Description: ordered(rows) + awaited(rows)}
	case under > 0:
		return forge.DeploymentStatus{State: forge.DeploymentInProgress, Description: ordered(rows)}
	case n[failed] > 0:
		return forge.DeploymentStatus{State: forge.DeploymentFailure, Description: failedOf(rows, n[failed])}
	case n[done] > 0:
		return forge.DeploymentStatus{State: forge.DeploymentSuccess, Description: did(rows)}
	}
	return forge.DeploymentStatus{State: forge.DeploymentInactive, Description: did(rows)}
}

// awaited is what keeps the rows from being begun; empty where it is only their turn.
func awaited(rows []entry) string {
	if codes := codesOf(rows, applying); len(codes) > 0 {
		return "; waiting: " + strings.Join(codes, ", ")
	}
	return ""
}

func failedOf(rows []entry, n int) string {
	what := count(n, "VM")
	if n < len(rows) {
		what = fmt.Sprintf("%d of %s", n, count(len(rows), "VM"))
	}
	return what + " failed: " + strings.Join(codesOf(rows, failed), ", ")
}

// codesOf are the codes of the rows that stand somewhere, in words where they failed without one.
func codesOf(rows []entry, at standing) (out []string) {
	for _, r := range rows {
		word := ""
		switch {
		case r.at != at:
			continue
		case r.Event != nil && r.Event.Code != "":
			word = string(r.Event.Code)
		case at == failed:
			word = r.flaw()
		}
		if word != "" && !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	return out
}

// acts are what can be done to a VM, in the order in which it is told.
type acts []struct {
	operation domain.Operation // empty: superseded
	word      string
}

var (
	orders = acts{{domain.CreateVM, "create"}, {domain.ModifyVM, "change"}, {domain.StartVM, "start"}, {domain.StopVM, "stop"},
		{domain.RestartVM, "restart"}, {domain.DeleteVM, "delete"}}
	deeds = acts{{domain.CreateVM, "created"}, {domain.ModifyVM, "changed"}, {domain.StartVM, "started"}, {domain.StopVM, "stopped"},
		{domain.RestartVM, "restarted"}, {domain.DeleteVM, "deleted"}, {"", "superseded"}}
)

// ordered says what is to be done: "create 2 VMs, change 1".
func ordered(rows []entry) string {
	n := map[domain.Operation]int{}
	for _, r := range rows {
		n[r.Change.Operation]++
	}
	var parts []string
	for _, a := range orders {
		switch of := n[a.operation]; {
		case of > 0 && len(parts) == 0:
			parts = append(parts, a.word+" "+count(of, "VM"))
		case of > 0:
			parts = append(parts, fmt.Sprintf("%s %d", a.word, of))
		}
	}
	return strings.Join(parts, ", ")
}

// did says what was done: "2 VMs created", or "3 VMs: 2 created, 1 changed".
func did(rows []entry) string {
	n := map[domain.Operation]int{}
	for _, r := range rows {
		if r.at == superseded {
			n[""]++
		} else {
			n[r.Change.Operation]++
		}
	}
	all := count(len(rows), "VM")
	var parts []string
	for _, a := range deeds {
		switch of := n[a.operation]; {
		case of == len(rows):
			return all + " " + a.word
		case of > 0:
			parts = append(parts, fmt.Sprintf("%d %s", of, a.word))
		}
	}
	return all + ": " + strings.Join(parts, ", ")
}
