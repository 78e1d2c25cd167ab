package e2e

import (
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// Whoever presses "Re-run" gets a new check of the same head, judged anew, also where it says what the last one said;
// the comment is not written again, and nothing is submitted twice.
func TestCheckAskedForAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	pr := w.ask("shop", machines("shop", "redis", "test-shop/01"))
	w.published(pr)
	w.quiet()
	said := len(w.comments(pr))
	tickets := w.count(`select count(*) from tickets where pull_request = $1`, pr.Number())
	for _, name := range []string{"shepherd/validate", "shepherd/approval"} {
		before, _ := pr.Check(name)
		w.do(w.Alice.Rerun(pr, name))
		var after forgetest.Check
		w.eventually("a new run of "+name, func() bool {
			after, _ = pr.Check(name)
			return after.ID != before.ID
		})
		w.quiet()
		if before.Status != "completed" || after.Status != before.Status || after.Conclusion != before.Conclusion || after.Title != before.Title {
			t.Errorf("%s was %+v and is %+v", name, before, after)
		}
	}
	if now := w.comments(pr); len(now) != said {
		t.Errorf("%d comments, %d before", len(now), said)
	}
	if n := w.count(`select count(*) from tickets where pull_request = $1`, pr.Number()); n != tickets || n == 0 {
		t.Errorf("%d tickets, %d before", n, tickets)
	}
}
