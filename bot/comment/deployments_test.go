package comment

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
)

// What is deployed by every view of testdata/*.txtar stands in testdata/deployments.txt; -update writes it anew.
func TestDeploymentsGolden(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, file := range cases(t) {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s\n%s", strings.TrimSuffix(filepath.Base(file), ".txtar"), deployed(t, load(t, archive)))
	}
	const golden = "testdata/deployments.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), b.String()); diff != "" {
		t.Error(diff)
	}
}

func deployed(t testing.TB, v View) string {
	t.Helper()
	var b strings.Builder
	for _, d := range Deployments(v) {
		if d.SHA != v.Report.Head || d.PullRequest != v.Number || d.Production != strings.HasPrefix(d.Environment, "prod/") {
			t.Errorf("%+v", d)
		}
		for _, text := range []string{d.Description, d.Status.Description} {
			if n := utf8.RuneCountInString(text); n == 0 || n > forge.MaxDeploymentText {
				t.Errorf("%d characters: %s", n, text)
			}
		}
		fmt.Fprintf(&b, "  %s: %s\n    %s: %s\n", d.Environment, d.Description, d.Status.State, d.Status.Description)
	}
	return b.String()
}

// vmRow is a change on a cluster with what became of it.
func vmRow(op domain.Operation, cluster string, index int, e Event, m domain.VMStatus) Row {
	env := domain.Environment(cluster[:4])
	name := fmt.Sprintf("%s-shop-shop-redis-%02d", env, index)
	return Row{
		Change: judge.Change{
			Ref:  spec.Ref{Kind: spec.KindVirtualMachine, System: "shop", Service: "redis", Namespace: string(env) + "-shop", Index: index},
			Path: fmt.Sprintf("systems/shop/redis/%s-shop/%02d.yaml", env, index), Subject: name, Operation: op, Environment: env,
		},
		Ticket: &Ticket{Status: domain.TicketApproved}, Event: &e,
		VM: &VM{Status: m, Cluster: cluster, Name: name, Unseen: e.Status == domain.EventCompleted && m == domain.VMCreating},
	}
}

// From the merge to the end, and through a retry: each state of one cluster is told apart, and clusters from each other.
func TestDeploymentsAlongTheWay(t *testing.T) {
	t.Parallel()
	var (
		begun     = Event{Status: domain.EventProcessing}
		waits     = Event{Status: domain.EventProcessing, Code: domain.ClusterUnreachable, Message: "no answer"}
		over      = Event{Status: domain.EventCompleted}
		refused   = Event{Status: domain.EventFailed, Code: domain.ForeignVM, Message: "not ours"}
		overtaken = Event{Status: domain.EventCancelled, Code: domain.Superseded}
	)
	const create, modify, remove = domain.CreateVM, domain.ModifyVM, domain.DeleteVM
	for _, c := range []struct {
		name, want string
		rows       []Row
	}{
		{"not begun", "queued: create 1 VM, change 1", []Row{vmRow(create, "prod-1", 1, begun, domain.VMCreating), vmRow(modify, "prod-1", 2, begun, domain.VMRunning)}},
		{"kept waiting", "queued: create 1 VM; waiting: CLUSTER_UNREACHABLE", []Row{vmRow(create, "prod-1", 1, waits, domain.VMCreating)}},
		{"one applied", "in_progress: create 2 VMs", []Row{vmRow(create, "prod-1", 1, over, domain.VMCreating), vmRow(create, "prod-1", 2, begun, domain.VMCreating)}},
		{"one failed, one to come", "in_progress: create 2 VMs", []Row{vmRow(create, "prod-1", 1, refused, domain.VMFailed), vmRow(create, "prod-1", 2, begun, domain.VMCreating)}},
		{"applied, not yet running", "in_progress: create 1 VM", []Row{vmRow(create, "prod-1", 1, over, domain.VMCreating)}},
		{"how it is cannot be said", "in_progress: create 1 VM", []Row{vmRow(create, "prod-1", 1, over, domain.VMUnknown)}},
		{"all well", "success: 3 VMs: 2 created, 1 changed", []Row{vmRow(create, "prod-1", 1, over, domain.VMRunning), vmRow(modify, "prod-1", 2, over, domain.VMRunning), vmRow(create, "prod-1", 3, over, domain.VMRunning)}},
		{"part of it", "failure: 1 of 2 VMs failed: FOREIGN_VM", []Row{vmRow(create, "prod-1", 1, refused, domain.VMFailed), vmRow(create, "prod-1", 2, over, domain.VMRunning)}},
		{"does not boot", "failure: 1 VM failed: does not run", []Row{vmRow(create, "prod-1", 1, over, domain.VMFailed)}},
		{"several reasons", "failure: 2 VMs failed: FOREIGN_VM, does not run", []Row{vmRow(create, "prod-1", 1, refused, domain.VMFailed), vmRow(create, "prod-1", 2, over, domain.VMFailed)}},
		{"being deleted", "in_progress: delete 1 VM", []Row{vmRow(remove, "prod-1", 1, over, domain.VMDeleting)}},
		{"deleted", "success: 1 VM deleted", []Row{vmRow(remove, "prod-1", 1, over, domain.VMDeleted)}},
		{"overtaken in part", "success: 2 VMs: 1 changed, 1 superseded", []Row{vmRow(modify, "prod-1", 1, over, domain.VMRunning), vmRow(modify, "prod-1", 2, overtaken, domain.VMRunning)}},
		{"overtaken", "inactive: 1 VM superseded", []Row{vmRow(modify, "prod-1", 1, overtaken, domain.VMRunning)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := View{Number: 7, State: Merged, Rows: c.rows, Report: judge.Report{Head: "c1"}}
			got := Deployments(v)
			if len(got) != 1 || got[0].Environment != "prod/prod-1" || !got[0].Production {
				t.Fatalf("%+v", got)
			}
			if s := got[0].Status; string(s.State)+": "+s.Description != c.want {
				t.Errorf("%s: %s, want %s", s.State, s.Description, c.want)
			}
			v.State = Open
			if got := Deployments(v); got != nil {
				t.Errorf("before the merge: %+v", got)
			}
		})
	}
	two := View{Number: 7, State: Merged, Rows: []Row{vmRow(create, "test-1", 2, refused, domain.VMFailed), vmRow(create, "prod-1", 1, over, domain.VMRunning)}}
	want := "  prod/prod-1: #7: create 1 VM\n    success: 1 VM created\n  test/test-1: #7: create 1 VM\n    failure: 1 VM failed: FOREIGN_VM\n"
	if diff := gocmp.Diff(want, deployed(t, two)); diff != "" {
		t.Errorf("two clusters (-want +got):\n%s", diff)
	}
	quarantined := View{Number: 7, State: Merged, Rows: two.Rows[1:], Quarantined: domain.Problems{{Path: two.Rows[1].Change.Path, Code: domain.ApprovalBypassed}}}
	if got := Deployments(quarantined); got != nil {
		t.Errorf("what was quarantined: %+v", got)
	}
}
