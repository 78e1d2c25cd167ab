package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// Two people ask for the same VM: the approval of one takes it over from the one that only waits, and
// counts at once; taking it back takes a new approval.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.structure("shop", "redis")
	path := vmPath("shop", "redis", "test-shop/01")
	const name = "test-shop-shop-redis-01"
	first := w.ask("first", one(path, "small", "the first to ask"))
	w.published(first)
	second := w.ask("second", one(path, "medium", "the second to ask"))
	w.problem(second, "DUPLICATE_PENDING_REQUEST", path, 1)
	w.on(second)
	w.told(second, fmt.Sprintf("#%d", first.Number()), "takes it over")
	w.check(second, "shepherd/approval", "action_required")
	w.show(first, "waiting")
	w.show(second, "contesting")
	w.quiet()
	if n := w.count(`select count(*) from tickets where pull_request = $1`, second.Number()); n != 0 {
		t.Fatalf("%d tickets of what another pull request has claimed", n)
	}

	review := must(w.Bob.Approve(second))(w)
	w.stand(second, "APPROVED")
	w.check(second, "shepherd/validate", "success")
	w.check(second, "shepherd/approval", "success")
	w.stand(first, "CANCELLED")
	w.check(first, "shepherd/approval", "failure")
	w.check(first, "shepherd/validate", "failure")
	w.told(first, fmt.Sprintf("Taken over by #%d", second.Number()))
	w.told(second, "Approved", fmt.Sprintf("took this over from #%d", first.Number()))
	if got := w.holds(first, "vm"); len(got) != 0 {
		t.Errorf("the first still holds %v", got)
	}
	if got := w.holds(second, "vm"); !slices.Equal(got, []string{"vm:" + name}) {
		t.Errorf("the second holds %v", got)
	}
	if got := w.strings(`select performed_by || ' ' || (params->>'from') from audit_log where action_code = 'CLAIM_TAKEN_OVER' and subject = $1`, name); !slices.Equal(got, []string{fmt.Sprintf("bob [%d]", first.Number())}) {
		t.Errorf("the trail says %v", got)
	}
	w.show(first, "taken over")
	w.show(second, "that took it over")

	// What is approved is not taken.
	must(w.Bob.Approve(first))(w)
	w.quiet()
	w.stand(second, "APPROVED")
	w.stand(first, "CANCELLED")
	w.show(first, "approved too late")

	// The approval is taken back: both only wait again. The approval that came too late does not count.
	w.do(w.Bob.DismissReview(second, review.ID, "let me think"))
	w.stand(second, "PENDING_APPROVAL")
	w.told(first, "takes it over")
	w.quiet()
	w.stand(second, "PENDING_APPROVAL")
	w.show(first, "that may take it back")
	w.on(first)
	time.Sleep(time.Second) // the forge's clock has seconds
	must(w.Bob.Approve(first))(w)
	w.stand(first, "CANCELLED", "APPROVED")
	w.stand(second, "CANCELLED")
	w.told(second, fmt.Sprintf("Taken over by #%d", first.Number()))
	w.merge(first, "squash")
	w.once(name)
	w.told(second, "to mend")
	w.show(second, "after the other was merged")
	w.noQuarantine()
}

// A pull request of several changes takes over all that is contested, or nothing.
func TestTakeOverWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.structure("shop", "redis")
	a, b, c := vmPath("shop", "redis", "test-shop/01"), vmPath("shop", "redis", "test-shop/02"), vmPath("shop", "redis", "test-shop/03")
	waiting := w.ask("waiting", one(a, "small", "a"))
	approved := w.approved("approved", one(b, "small", "b"))
	both := w.ask("both", forgetest.Files{a: stage.VM("medium", "both"), b: stage.VM("medium", "both"), c: stage.VM("medium", "both")})
	w.problem(both, "DUPLICATE_PENDING_REQUEST", a, 1)
	w.quiet()
	must(w.Bob.Approve(both))(w)
	w.quiet()
	w.stand(waiting, "PENDING_APPROVAL")
	w.stand(approved, "APPROVED")
	w.stand(both)
	w.show(both, "that wants what is approved elsewhere")

	// Without the approved one the rest can be taken.
	w.push("both", forgetest.Files{b: nil})
	w.told(both, "takes it over")
	w.on(both)
	time.Sleep(time.Second) // the forge's clock has seconds
	must(w.Bob.Approve(both))(w)
	w.stand(both, "APPROVED", "APPROVED")
	w.stand(waiting, "CANCELLED")
	w.show(both, "that took one over")
	if body := w.told(both, "Approved"); !strings.Contains(body, fmt.Sprintf("#%d", waiting.Number())) {
		t.Errorf("it does not say from whom:\n%s", body)
	}
}
