package approval

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
)

// course is what the gateway can do to a change: how it is brought to a state, and what is tried there.
type course struct {
	*world
	cursor int
	number int
	c      judge.Change
}

// stages are the states of a ticket and its event, with how one comes there.
var stages = []struct {
	name  string
	bring func(*course)
}{
	{"PENDING_APPROVAL PENDING", func(*course) {}},
	{"APPROVED PENDING", func(p *course) { p.try("approve") }},
	{"REJECTED CANCELLED", func(p *course) { p.try("reject") }},
	{"CANCELLED CANCELLED", func(p *course) { p.try("close") }},
	{"APPROVED PROCESSING", func(p *course) { p.try("approve"); p.try("merge") }},
	{"COMPLETED COMPLETED", func(p *course) { p.try("approve"); p.try("merge"); p.try("finish") }},
	{"FAILED FAILED", func(p *course) { p.try("approve"); p.try("merge"); p.try("fail") }},
}

// attempts are what can be done, and the way that a state goes then; the others stay. Where recording is all,
// the merge completes.
var attempts = []struct {
	name  string
	do    func(*course) error
	moves map[string]string
}{
	{"approve", func(p *course) error { return p.decides(approval(approves(11, alice))) },
		map[string]string{"PENDING_APPROVAL PENDING": "APPROVED PENDING"}},
	{"withdraw", func(p *course) error { return p.decides(Outcome{Status: domain.TicketPending}) },
		map[string]string{"APPROVED PENDING": "PENDING_APPROVAL PENDING"}},
	{"reject", func(p *course) error { return p.decides(refusal(refuses(12, bob))) },
		map[string]string{"PENDING_APPROVAL PENDING": "REJECTED CANCELLED", "APPROVED PENDING": "REJECTED CANCELLED"}},
	{"ask for something else", func(p *course) error { return p.g.Submit(p.Context(), submission(p.number)) },
		map[string]string{"PENDING_APPROVAL PENDING": "CANCELLED CANCELLED", "APPROVED PENDING": "CANCELLED CANCELLED"}},
	{"no longer valid", func(p *course) error {
		c := p.c
		invalid(&c)
		return p.g.Submit(p.Context(), submission(p.number, c))
	}, map[string]string{"APPROVED PENDING": "PENDING_APPROVAL PENDING"}},
	{"take over", func(p *course) error {
		rival := p.c
		rival.Contested, rival.Digest = []int{p.number}, "digest-rival"
		return p.g.TakeOver(p.Context(), 8, Taking{rival, byAlice})
	}, map[string]string{"PENDING_APPROVAL PENDING": "CANCELLED CANCELLED"}},
	{"choose", func(p *course) error { return p.g.Choose(p.Context(), p.number, p.chosen(p.c.Path), byAlice) },
		map[string]string{"APPROVED PENDING": "PENDING_APPROVAL PENDING"}},
	{"close", func(p *course) error {
		pull := pullOf(p.number)
		pull.State = "closed"
		return p.g.Cancel(p.Context(), pull, 2, "closed")
	}, map[string]string{"PENDING_APPROVAL PENDING": "CANCELLED CANCELLED", "APPROVED PENDING": "CANCELLED CANCELLED"}},
	{"merge", func(p *course) error {
		err := p.g.Merge(p.Context(), p.span(p.number, fmt.Sprint("c", p.cursor), fmt.Sprint("c", p.cursor+1), p.c))
		if err == nil {
			p.cursor++
		}
		return err
	}, map[string]string{"APPROVED PENDING": "APPROVED PROCESSING"}},
	{"merge without it", func(p *course) error {
		s := p.span(p.number, fmt.Sprint("c", p.cursor), fmt.Sprint("c", p.cursor+1))
		s.Quarantined = []Quarantined{{Path: p.c.Path, Subject: p.c.Subject, Operation: p.c.Operation, Code: domain.DigestMismatch, Message: "it is something else"}}
		err := p.g.Merge(p.Context(), s)
		if err == nil {
			p.cursor++
		}
		return err
	}, map[string]string{"PENDING_APPROVAL PENDING": "CANCELLED CANCELLED DIGEST_MISMATCH", "APPROVED PENDING": "CANCELLED CANCELLED DIGEST_MISMATCH"}},
	{"finish", (*course).finish, map[string]string{"APPROVED PROCESSING": "COMPLETED COMPLETED"}},
	{"fail", func(p *course) error { return p.g.Fail(p.Context(), p.ticket(p.c.Path).EventID, outOfQuota) },
		map[string]string{"APPROVED PROCESSING": "FAILED FAILED"}},
	{"retry", func(p *course) error {
		_, err := p.g.Retry(p.Context(), p.number, byAlice, anybody)
		return err
	}, map[string]string{"FAILED FAILED": "APPROVED PROCESSING"}}, // the newest ticket is another one
}

// usesUp are the attempts after which the pull request is another one, whether or not the ticket is.
var usesUp = map[string]bool{"ask for something else": true, "no longer valid": true, "take over": true, "close": true, "merge without it": true}

func (p *course) decides(o Outcome) error {
	return p.g.Decide(p.Context(), p.number, p.decided(p.c.Path, o))
}

// finish carries the change out, by a worker or as the removal of a structure.
func (p *course) finish() error {
	id := p.ticket(p.c.Path).EventID
	if !p.c.Operation.OnCluster() {
		return p.g.Remove(p.Context(), id)
	}
	work, err := p.g.Start(p.Context(), id)
	if err != nil {
		return err
	}
	return p.g.Finish(p.Context(), work, answer)
}

func (p *course) try(name string) {
	p.Helper()
	for _, a := range attempts {
		if a.name == name {
			p.ok(a.do(p))
		}
	}
}

// state is that of the newest ticket and its event.
func (p *course) state() string {
	p.Helper()
	all := p.states(p.number)
	_, state, _ := strings.Cut(all[len(all)-1], " ")
	return state
}

// of gives the change that the operation makes of the n-th thing, and sees to it that there is such a thing.
func (p *course) of(op domain.Operation, n int) judge.Change {
	p.Helper()
	var c judge.Change
	needs := func(c *judge.Change) { c.Requirement.Approvals = 1 }
	switch op {
	case domain.CreateVM:
		return newVM(n)
	case domain.ModifyVM, domain.DeleteVM, domain.StartVM, domain.StopVM, domain.RestartVM:
		p.pull(5000 + n)
		p.running(5000+n, fmt.Sprint("c", p.cursor), fmt.Sprint("c", p.cursor+1), newVM(n, free))
		p.cursor++
		c = onVM(op, n)
	case domain.CreateSystem, domain.ModifySystem, domain.DeleteSystem:
		c = newSystem(1)
		c.Ref.System = fmt.Sprint("shop-", n)
	case domain.CreateService, domain.ModifyService, domain.DeleteService:
		c = newService(1)
		c.Ref.Service = fmt.Sprint("redis-", n)
	case domain.VNCAccess:
		return console(fmt.Sprint("vm-", n), "ada")
	case domain.ChangePlatform:
		return ofPlatform(fmt.Sprint("size-", n))
	}
	if !op.OnCluster() {
		c.Path, c.Subject, c.Operation = c.Ref.Path(), c.Ref.String(), op
		c.Claims, c.Digest = []string{"name:" + c.Subject}, fmt.Sprint("digest-", op, "-", n)
		if op.Removes() {
			c = removes(c, op)
		}
	}
	needs(&c)
	return c
}

// Whatever is tried in whatever state of whatever operation: what is legal happens, and the rest changes no
// ticket and no event.
func TestEveryMove(t *testing.T) {
	t.Parallel()
	for _, op := range domain.Operations() {
		t.Run(string(op), func(t *testing.T) {
			t.Parallel()
			p := &course{world: newWorld(t)}
			n := 0
			fresh := func(bring func(*course)) {
				n++
				p.number = 100 + n
				p.pull(p.number)
				p.c = p.of(op, n)
				p.submit(p.number, p.c)
				if p.c.Requirement.Confirm.Needed() {
					p.confirm(p.number, p.c)
				}
				bring(p)
			}
			for _, stage := range stages {
				// What is only recorded never runs and never fails.
				if op.RecordOnly() && (stage.name == "APPROVED PROCESSING" || stage.name == "FAILED FAILED") {
					continue
				}
				bring := stage.bring
				if op.RecordOnly() && stage.name == "COMPLETED COMPLETED" {
					bring = func(p *course) { p.try("approve"); p.try("merge") }
				}
				spoilt := true
				for _, a := range attempts {
					if spoilt {
						fresh(bring)
					}
					p.move(a.name, stage.name, a.do, a.moves)
					spoilt = p.untouched(stage.name) != nil || usesUp[a.name]
				}
			}
		})
	}
}

// move tries one thing in one state.
func (p *course) move(attempt, stage string, do func(*course) error, moves map[string]string) {
	p.Helper()
	if got := p.untouched(stage); got != nil {
		p.Fatalf("%s: brought to %v, want %s", attempt, got, stage)
	}
	rows := len(p.states(p.number))
	err := do(p)
	want, legal := moves[stage]
	if want == "APPROVED PROCESSING" && p.c.Operation.RecordOnly() {
		want = "COMPLETED COMPLETED"
	}
	got := p.state()
	switch {
	case !legal && !strings.HasPrefix(got, stage):
		p.Errorf("%s in %s: it is %s now", attempt, stage, got)
	case !legal && len(p.states(p.number)) != rows:
		p.Errorf("%s in %s: there are more tickets now", attempt, stage)
	case legal && !strings.HasPrefix(got, want):
		p.Errorf("%s in %s: it is %s, want %s (%v)", attempt, stage, got, want, err)
	case legal && err != nil:
		p.Errorf("%s in %s: %v", attempt, stage, err)
	case ent.IsNotFound(err) && p.c.Operation == domain.CreateVM && !merged[stage]: // there is no machine yet
	case err != nil && !errors.Is(err, ErrMoved) && !errors.Is(err, ErrDone):
		p.Errorf("%s in %s: %v", attempt, stage, err)
	}
}

// merged are the stages from the merge on.
var merged = map[string]bool{"APPROVED PROCESSING": true, "COMPLETED COMPLETED": true, "FAILED FAILED": true}

// untouched returns nil where ticket and event are in a state, and otherwise the state that they are in. One
// that ended may carry a code, which matters to nobody here.
func (p *course) untouched(stage string) error {
	p.Helper()
	if got := p.state(); !strings.HasPrefix(got, stage) {
		return errors.New(got)
	}
	return nil
}
