package comment

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
)

const operationsFile = "testdata/operations.txt"

// situation is a state of a change, whatever its operation.
type situation struct {
	name string
	set  func(*View)
}

// situations are the states that a change goes through, good and bad.
func situations() []situation {
	ticket := func(s domain.TicketStatus) func(*View) {
		return func(v *View) { v.Rows[0].Ticket.Status, v.Rows[0].Ticket.DecidedBy = s, "bob" }
	}
	merged := func(e domain.EventStatus, code domain.Code, vm domain.VMStatus) func(*View) {
		return func(v *View) {
			r := &v.Rows[0]
			v.State, r.Ticket.Status, r.Change.Confirmed = Merged, domain.TicketApproved, "alice"
			r.Event = &Event{Status: e, Code: code, Message: "the cluster's words"}
			if r.Change.Operation.OnCluster() {
				r.VM = &VM{Status: vm, Cluster: "prod-east", Namespace: "prod-shop", Name: r.Change.Subject}
			}
			if r.Change.Operation == domain.VNCAccess && e == domain.EventCompleted {
				r.Grant = &Grant{Until: time.Date(2026, 3, 20, 14, 30, 0, 0, time.UTC)}
			}
		}
	}
	return []situation{
		{"open, free", func(v *View) { v.Rows[0].Ticket, v.Rows[0].Change.Requirement.Approvals = nil, 0 }},
		{"open, waiting", func(*View) {}},
		{"open, approved", ticket(domain.TicketApproved)},
		{"open, rejected", ticket(domain.TicketRejected)},
		{"closed", func(v *View) { v.State = Closed }},
		{"merged, quarantined", func(v *View) {
			v.State, v.Undo = Merged, "https://forge.example/13"
			v.Quarantined = domain.Problems{{Code: domain.ApprovalBypassed, Severity: domain.Error, Path: v.Rows[0].Change.Path, Message: "nobody approved it"}}
		}},
		{"merged, applying", merged(domain.EventProcessing, "", domain.VMUnknown)},
		{"merged, waiting", merged(domain.EventProcessing, domain.ClusterUnreachable, domain.VMUnknown)},
		{"applied", merged(domain.EventCompleted, "", domain.VMRunning)},
		{"applied, VM creating", merged(domain.EventCompleted, "", domain.VMCreating)},
		{"applied, VM stopping", merged(domain.EventCompleted, "", domain.VMStopping)},
		{"applied, VM stopped", merged(domain.EventCompleted, "", domain.VMStopped)},
		{"applied, VM deleting", merged(domain.EventCompleted, "", domain.VMDeleting)},
		{"applied, VM deleted", merged(domain.EventCompleted, "", domain.VMDeleted)},
		{"applied, VM failed", merged(domain.EventCompleted, "", domain.VMFailed)},
		{"applied, VM unknown", merged(domain.EventCompleted, "", domain.VMUnknown)},
		{"failed", merged(domain.EventFailed, domain.ClusterRefused, domain.VMUnknown)},
		{"superseded", merged(domain.EventCancelled, domain.Superseded, domain.VMRunning)},
	}
}

// refs are one of each kind.
var refs = map[domain.Operation]spec.Ref{
	domain.CreateSystem:   {Kind: spec.KindSystem, System: "shop"},
	domain.CreateService:  {Kind: spec.KindService, System: "shop", Service: "redis"},
	domain.CreateVM:       {Kind: spec.KindVirtualMachine, System: "shop", Service: "redis", Namespace: "prod-shop", Index: 1},
	domain.VNCAccess:      {Kind: spec.KindConsoleAccess, Name: "prod-shop-shop-redis-01", Login: "alice"},
	domain.ChangePlatform: {Kind: spec.KindInstanceSize, Name: "medium"},
}

func viewOf(op domain.Operation) View {
	kind := map[domain.Operation]domain.Operation{
		domain.ModifySystem: domain.CreateSystem, domain.DeleteSystem: domain.CreateSystem,
		domain.ModifyService: domain.CreateService, domain.DeleteService: domain.CreateService,
		domain.ModifyVM: domain.CreateVM, domain.DeleteVM: domain.CreateVM, domain.StartVM: domain.CreateVM, domain.StopVM: domain.CreateVM, domain.RestartVM: domain.CreateVM,
	}
	ref, ok := refs[kind[op]]
	if !ok {
		ref = refs[op]
	}
	c := judge.Change{
		Ref: ref, Path: ref.Path(), Subject: ref.String(), Operation: op, Digest: strings.Repeat("ab", 32), Grant: 45 * time.Minute,
		Requirement: policy.Requirement{Operation: op, Approvals: 1, Confirm: policy.ConfirmNone},
	}
	if op.Removes() {
		c.Requirement.Confirm = policy.ConfirmName
	} else {
		c.Wanted = json.RawMessage(`{"power":"running"}`)
	}
	if op == domain.StopVM {
		c.Wanted = json.RawMessage(`{"power":"stopped"}`)
	}
	return View{
		State: Open, Author: "alice", MayApprove: []string{"bob"}, Retry: "comment /retry here", Report: judge.Report{Governed: true, Head: strings.Repeat("a", 40)},
		Rows: []Row{{Change: c, Ticket: &Ticket{Status: domain.TicketPending, Required: 1}}},
	}
}

// TestOperations keeps what is said of every operation in every state, side by side: the line of the
// table, the headline, the title of the check, the closing remark.
func TestOperations(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, op := range domain.Operations() {
		fmt.Fprintf(&b, "== %s\n", op)
		for _, s := range situations() {
			if strings.HasPrefix(s.name, "applied, ") && !op.OnCluster() {
				continue // nothing of it is on a cluster
			}
			v := viewOf(op)
			s.set(&v)
			r := read(v)
			_, title := readOpen(v).ruling()
			fmt.Fprintf(&b, "%s\n\t%s: %s: %s\n\t%s\n\t%s\n", s.name, subject(r.rows[0].Row), operation(r.rows[0].Change), r.state(r.rows[0], false), title, headline(r, true))
			if body, due := Closing(v); due {
				_, text, _ := strings.Cut(body, "\n")
				fmt.Fprintf(&b, "\t> %s\n", strings.Join(strings.FieldsFunc(text, func(r rune) bool { return r == '\n' }), "\n\t> "))
			}
		}
	}
	if *update {
		if err := os.WriteFile(operationsFile, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(operationsFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := gocmp.Diff(string(want), b.String()); diff != "" {
		t.Error(diff)
	}
}
