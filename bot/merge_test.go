package bot

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/ent/ticket"
	"kv-shepherd.io/shepherd/gitops"
	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/governance/approval"
	"kv-shepherd.io/shepherd/internal/judge"
	"kv-shepherd.io/shepherd/internal/policy"
)

func TestSpanOf(t *testing.T) {
	t.Parallel()
	commits := []gitops.Commit{{SHA: commit1}, {SHA: commit2}, {SHA: commit3}}
	for _, c := range []struct {
		name string
		last string
		want gitops.SHA
	}{
		{"a merge or a squash", commit1, commit1},
		{"a rebase of two", commit2, commit2},
		{"a rebase of all", commit3, commit3},
		{"one that the forge does not name", "", commit1},
		{"one that is not among them", noCommit, commit1},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			if got := spanOf(commits, c.last); got != c.want {
				t.Errorf("%s, want %s", got, c.want)
			}
		})
	}
}

var (
	shop    = spec.Ref{Kind: spec.KindSystem, System: "shop"}
	redis   = spec.Ref{Kind: spec.KindService, System: "shop", Service: "redis"}
	redis01 = spec.Ref{Kind: spec.KindVirtualMachine, System: "shop", Service: "redis", Namespace: "prod-shop", Index: 1}
)

var ticketID = uuid.MustParse("00000000-0000-4000-8000-000000000001")

// asked is a change that needs an approval, and given is the ticket that has it.
func asked(ref spec.Ref) judge.Change {
	return judge.Change{
		Ref: ref, Path: ref.Path(), Subject: "vm", Environment: domain.Prod, Digest: "d1",
		Requirement: policy.Requirement{Approvals: 1}, Plan: &judge.Plan{EffectiveDigest: "e1"},
	}
}

func given() *ent.Ticket {
	return &ent.Ticket{ID: ticketID, ChangeDigest: "d1", Status: ticket.StatusAPPROVED, Edges: ent.TicketEdges{Plan: &ent.Plan{EffectiveDigest: "e1"}}}
}

func problem(code domain.Code, severity domain.Severity, path string) domain.Problem {
	return domain.Problem{Code: code, Severity: severity, Path: path, Message: "because"}
}

// Only what is valid and approved as it is passes.
func TestRefusal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		number int
		change func(*judge.Report, *judge.Change, *ent.Ticket) *ent.Ticket
		want   domain.Code
	}{
		{"approved", 7, func(_ *judge.Report, _ *judge.Change, t *ent.Ticket) *ent.Ticket { return t }, ""},
		{"no pull request", 0, func(_ *judge.Report, _ *judge.Change, t *ent.Ticket) *ent.Ticket { return t }, domain.ApprovalBypassed},
		{"no pull request, no approval needed", 0, func(_ *judge.Report, c *judge.Change, _ *ent.Ticket) *ent.Ticket {
			c.Requirement.Approvals = 0
			return nil
		}, domain.ApprovalBypassed},
		{"a fork", 7, func(r *judge.Report, _ *judge.Change, t *ent.Ticket) *ent.Ticket { r.Fork = true; return t }, domain.ApprovalBypassed},
		{"no approval needed", 7, func(_ *judge.Report, c *judge.Change, _ *ent.Ticket) *ent.Ticket {
			c.Requirement.Approvals = 0
			return nil
		}, ""},
		{"no approval needed, but not valid", 7, func(_ *judge.Report, c *judge.Change, _ *ent.Ticket) *ent.Ticket {
			c.Requirement.Approvals = 0
			c.Problems = domain.Problems{problem(domain.SizeUnknown, domain.Error, c.Path)}
			return nil
		}, domain.SizeUnknown},
		{"never submitted", 7, func(*judge.Report, *judge.Change, *ent.Ticket) *ent.Ticket { return nil }, domain.ApprovalBypassed},
		{"pending", 7, func(_ *judge.Report, _ *judge.Change, t *ent.Ticket) *ent.Ticket {
			t.Status = ticket.StatusPENDING_APPROVAL
			return t
		}, domain.ApprovalBypassed},
		{"other content", 7, func(_ *judge.Report, c *judge.Change, t *ent.Ticket) *ent.Ticket { c.Digest = "d2"; return t }, domain.DigestMismatch},
		{"other content, pending", 7, func(_ *judge.Report, c *judge.Change, t *ent.Ticket) *ent.Ticket {
			c.Digest, t.Status = "d2", ticket.StatusPENDING_APPROVAL
			return t
		}, domain.DigestMismatch},
		{"another plan", 7, func(_ *judge.Report, c *judge.Change, t *ent.Ticket) *ent.Ticket {
			c.Plan.EffectiveDigest = "e2"
			return t
		}, domain.DigestMismatch},
		{"planned, and git does not say it", 7, func(_ *judge.Report, c *judge.Change, t *ent.Ticket) *ent.Ticket {
			t.PlannedDigest, c.Ahead = "d2", true
			return t
		}, domain.DigestMismatch},
		{"planned, and git says it", 7, func(_ *judge.Report, c *judge.Change, t *ent.Ticket) *ent.Ticket {
			t.PlannedDigest, c.Digest = "d2", "d2"
			return t
		}, ""},
		{"planned, and git says something else", 7, func(_ *judge.Report, c *judge.Change, t *ent.Ticket) *ent.Ticket {
			t.PlannedDigest, c.Digest = "d2", "d3"
			return t
		}, domain.DigestMismatch},
		{"a deletion that nobody confirmed", 7, func(_ *judge.Report, c *judge.Change, t *ent.Ticket) *ent.Ticket {
			c.Requirement.Confirm = policy.ConfirmName
			return t
		}, domain.DeleteConfirmationRequired},
		{"a deletion that needs no approval, and nobody confirmed", 7, func(_ *judge.Report, c *judge.Change, _ *ent.Ticket) *ent.Ticket {
			c.Requirement.Confirm, c.Requirement.Approvals = policy.ConfirmDigest, 0
			return nil
		}, domain.DeleteConfirmationRequired},
		{"a deletion that was confirmed", 7, func(_ *judge.Report, c *judge.Change, t *ent.Ticket) *ent.Ticket {
			c.Requirement.Confirm, c.Confirmed = policy.ConfirmName, "alice"
			return t
		}, ""},
		{"no plan", 7, func(_ *judge.Report, c *judge.Change, t *ent.Ticket) *ent.Ticket { c.Plan = nil; return t }, domain.DigestMismatch},
		{"approved, and no longer valid", 7, func(_ *judge.Report, c *judge.Change, t *ent.Ticket) *ent.Ticket {
			c.Problems = domain.Problems{problem(domain.QuotaExceeded, domain.Error, c.Path)}
			return t
		}, domain.QuotaExceeded},
		{"a warning", 7, func(_ *judge.Report, c *judge.Change, t *ent.Ticket) *ent.Ticket {
			c.Problems = domain.Problems{problem(domain.ProdOvercommit, domain.Warning, c.Path)}
			return t
		}, ""},
		{"the batch as a whole", 7, func(r *judge.Report, _ *judge.Change, t *ent.Ticket) *ent.Ticket {
			r.Problems = domain.Problems{problem(domain.BatchTooLarge, domain.Error, "")}
			return t
		}, domain.BatchTooLarge},
		{"another file", 7, func(r *judge.Report, _ *judge.Change, t *ent.Ticket) *ent.Ticket {
			r.Problems = domain.Problems{problem(domain.PathInvalid, domain.Error, "systems/Shop/system.yaml")}
			return t
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			report, change := judge.Report{}, asked(redis01)
			granted := c.change(&report, &change, given())
			why := refusal(c.number, report, change, granted)
			if why.code != c.want || (why.code == "") != (why.message == "") {
				t.Errorf("%s %q, want %s", why.code, why.message, c.want)
			}
		})
	}
}

func TestRelativesPass(t *testing.T) {
	t.Parallel()
	fresh := func(refs ...spec.Ref) (r judge.Report) {
		for _, ref := range refs {
			r.Changes = append(r.Changes, judge.Change{Ref: ref, Path: ref.Path()})
		}
		return r
	}
	existing := fresh(shop, redis)
	for i := range existing.Changes {
		existing.Changes[i].Accepted = []byte("{}")
	}
	for _, c := range []struct {
		name   string
		ref    spec.Ref
		report judge.Report
		passed []spec.Ref
		want   bool
	}{
		{"a system has none", shop, fresh(shop), nil, true},
		{"a service of a system that was there", redis, fresh(redis), nil, true},
		{"a service of a system that passed", redis, fresh(shop, redis), []spec.Ref{shop}, true},
		{"a service of a system that did not", redis, fresh(shop, redis), nil, false},
		{"a VM of what was there", redis01, fresh(redis01), nil, true},
		{"a VM of what passed", redis01, fresh(shop, redis, redis01), []spec.Ref{shop, redis}, true},
		{"a VM whose service did not", redis01, fresh(shop, redis, redis01), []spec.Ref{shop}, false},
		{"a VM whose system did not", redis01, fresh(shop, redis, redis01), []spec.Ref{redis}, false},
		{"a VM of what was there and is only modified", redis01, existing, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			passed := map[string]bool{}
			for _, r := range c.passed {
				passed[r.Path()] = true
			}
			if got := relativesPass(judge.Change{Ref: c.ref, Path: c.ref.Path()}, c.report, passed); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// What is removed goes with what is below it, or not at all.
func TestRemovalsPass(t *testing.T) {
	t.Parallel()
	gone := func(ref spec.Ref, op domain.Operation) judge.Change {
		return judge.Change{Ref: ref, Path: ref.Path(), Operation: op}
	}
	report := judge.Report{Changes: []judge.Change{
		gone(redis01, domain.DeleteVM), gone(redis, domain.DeleteService), gone(shop, domain.DeleteSystem),
	}}
	for _, c := range []struct {
		name   string
		change judge.Change
		passed []spec.Ref
		want   bool
	}{
		{"a VM", report.Changes[0], nil, true},
		{"a service after its VM", report.Changes[1], []spec.Ref{redis01}, true},
		{"a service whose VM did not pass", report.Changes[1], nil, false},
		{"a system after all", report.Changes[2], []spec.Ref{redis01, redis}, true},
		{"a system whose service did not pass", report.Changes[2], []spec.Ref{redis01}, false},
		{"a system one of whose VMs did not pass", report.Changes[2], []spec.Ref{redis}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			passed := map[string]bool{}
			for _, r := range c.passed {
				passed[r.Path()] = true
			}
			if got := relativesPass(c.change, report, passed); got != c.want {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// A platform passes as a whole: the commit that would hold the rules has all of it.
func TestWholePlatform(t *testing.T) {
	t.Parallel()
	change := func(path string, p ...domain.Problem) judge.Change {
		ref, _, _ := spec.ParsePath(path)
		return judge.Change{Ref: ref, Path: path, Subject: path, Operation: domain.ChangePlatform, Problems: p}
	}
	span := approval.Span{Pull: approval.Pull{Number: 7}}
	sortOut(&span, judge.Report{Changes: []judge.Change{
		change("platform/roles/ops.yaml", problem(domain.PermissionDenied, domain.Error, "platform/roles/ops.yaml")),
		change("platform/sizes/small.yaml"),
	}}, nil)
	want := []string{"quarantined platform/roles/ops.yaml PERMISSION_DENIED", "quarantined platform/sizes/small.yaml PERMISSION_DENIED"}
	if diff := cmp.Diff(want, spanLines(span)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// One bad change takes down what builds on it, and nothing else.
func TestSortOut(t *testing.T) {
	t.Parallel()
	other := spec.Ref{Kind: spec.KindVirtualMachine, System: "shop", Service: "nginx", Namespace: "prod-shop", Index: 1}
	free := func(ref spec.Ref, p ...domain.Problem) judge.Change {
		return judge.Change{Ref: ref, Path: ref.Path(), Subject: ref.Path(), Problems: p}
	}
	bad := func(ref spec.Ref) domain.Problem { return problem(domain.NameTaken, domain.Error, ref.Path()) }
	for _, c := range []struct {
		name   string
		report judge.Report
		number int
		want   []string
	}{
		{"all pass", judge.Report{Changes: []judge.Change{free(shop), free(redis), asked(redis01), asked(other)}}, 7, []string{
			"merged systems/shop/system.yaml", "merged systems/shop/redis/service.yaml",
			"merged systems/shop/redis/prod-shop/01.yaml by ticket", "merged systems/shop/nginx/prod-shop/01.yaml by ticket",
		}},
		{"a service fails", judge.Report{Changes: []judge.Change{free(shop), free(redis, bad(redis)), asked(redis01), asked(other)}}, 7, []string{
			"merged systems/shop/system.yaml", "merged systems/shop/nginx/prod-shop/01.yaml by ticket",
			"quarantined systems/shop/redis/service.yaml NAME_TAKEN", "quarantined systems/shop/redis/prod-shop/01.yaml SERVICE_UNKNOWN",
		}},
		{"a new system fails", judge.Report{Changes: []judge.Change{free(shop, bad(shop)), free(redis), asked(redis01), asked(other)}}, 7, []string{
			"quarantined systems/shop/system.yaml NAME_TAKEN", "quarantined systems/shop/redis/service.yaml SERVICE_UNKNOWN",
			"quarantined systems/shop/redis/prod-shop/01.yaml SERVICE_UNKNOWN", "quarantined systems/shop/nginx/prod-shop/01.yaml SERVICE_UNKNOWN",
		}},
		{"a file of no known form beside a good one", judge.Report{
			Changes:  []judge.Change{asked(redis01)},
			Problems: domain.Problems{problem(domain.PathInvalid, domain.Error, "systems/Shop/x.yaml"), problem(domain.NameLengthWarning, domain.Warning, "systems/y.yaml")},
		}, 7, []string{"merged systems/shop/redis/prod-shop/01.yaml by ticket", "quarantined systems/Shop/x.yaml PATH_INVALID"}},
		{"too many", judge.Report{
			Changes:  []judge.Change{free(shop), asked(redis01)},
			Problems: domain.Problems{problem(domain.BatchTooLarge, domain.Error, "")},
		}, 7, []string{"quarantined systems/shop/system.yaml BATCH_TOO_LARGE", "quarantined systems/shop/redis/prod-shop/01.yaml BATCH_TOO_LARGE"}},
		{"pushed without a pull request", judge.Report{Changes: []judge.Change{free(shop), asked(redis01)}}, 0, []string{
			"quarantined systems/shop/system.yaml APPROVAL_BYPASSED", "quarantined systems/shop/redis/prod-shop/01.yaml APPROVAL_BYPASSED",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			span := approval.Span{Pull: approval.Pull{Number: c.number}}
			sortOut(&span, c.report, map[string]*ent.Ticket{redis01.Path(): given(), other.Path(): given()})
			if diff := cmp.Diff(c.want, spanLines(span)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func spanLines(s approval.Span) (out []string) {
	for _, m := range s.Merged {
		line := "merged " + m.Change.Path
		if m.Ticket == ticketID {
			line += " by ticket"
		}
		out = append(out, line)
	}
	for _, q := range s.Quarantined {
		out = append(out, fmt.Sprintf("quarantined %s %s", q.Path, q.Code))
	}
	return out
}
