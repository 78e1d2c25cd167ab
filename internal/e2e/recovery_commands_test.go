package e2e

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// replyWith is the bot's answer to what somebody wrote.
func (c *court) replyWith(pr *forgetest.Pull, text string) string {
	c.t.Helper()
	for _, r := range c.replies(pr) {
		if strings.Contains(r, text) {
			return r
		}
	}
	c.t.Errorf("#%d: no reply says %q: %q", pr.Number(), text, c.replies(pr))
	return ""
}

// A command that is heard late does not take back what was said after it and carried out before: the last one that
// was said stands, whatever the order in which they come in.
func TestCommandsHeardLate(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	c := newCourt(t, courtOptions{clock: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }})
	c.impatient()
	c.structure("shop", "redis")
	pr := c.ask("shop", c.one("test-shop/01", "small"))
	c.published(pr)
	c.quiet()
	heldBy := func() string {
		return strings.Join(c.strings(`select held_by_login from pull_requests where id = $1`, pr.Number()), "")
	}
	plan := func(version string) string {
		return "/plan\n```shepherd\nreason: " + version + "\ncluster: test-1\n```"
	}
	planned := func() string {
		return strings.Join(c.strings(`select coalesce(planned->>'Reason', '') from tickets where pull_request = $1 and status = 'PENDING_APPROVAL'`, pr.Number()), ",")
	}
	c.deaf(func() { must(c.Bob.Comment(pr, "/hold"))(c.world) })
	must(c.Alice.Comment(pr, "/unhold"))(c.world)
	c.quiet()
	c.fetch()
	if got := heldBy(); got != "" {
		t.Errorf("held by %s, whose word was taken back", got)
	}
	t.Log(c.replyWith(pr, "came in late"))
	c.deaf(func() { must(c.Bob.Comment(pr, "/unhold"))(c.world) })
	must(c.Bob.Comment(pr, "/hold again"))(c.world)
	c.fetch()
	if got := heldBy(); got != "bob" {
		t.Errorf("held by %q, want bob", got)
	}

	// Both lost: they are carried out in the order in which they were said.
	c.deaf(func() {
		must(c.Bob.Comment(pr, "/unhold"))(c.world)
		must(c.Alice.Comment(pr, "/hold"))(c.world)
	})
	c.fetch()
	if got := heldBy(); got != "alice" {
		t.Errorf("held by %q, want alice", got)
	}

	c.deaf(func() { must(c.Bob.Comment(pr, plan("first")))(c.world) })
	must(c.Bob.Comment(pr, plan("second")))(c.world)
	c.quiet()
	c.fetch()
	if got := planned(); got != "second" {
		t.Errorf("planned is %q, want the second plan", got)
	}

	// A plan from before the request was ended is no plan for the new one.
	c.deaf(func() { must(c.Bob.Comment(pr, plan("third")))(c.world) })
	ahead.Add(int64(5 * time.Second)) // forges tell seconds
	c.do(c.Alice.Close(pr))
	c.quiet()
	c.do(c.Alice.Reopen(pr))
	c.published(pr)
	c.fetch()
	if got := planned(); got != "" {
		t.Errorf("planned is %q, want nothing after the request was closed", got)
	}
	t.Log(c.replyWith(pr, "closed or aimed elsewhere"))
	if n := c.count(`select count(*) from audit_log where action_code = 'COMMAND_REFUSED'`); n != 4 {
		t.Errorf("%d refusals in the trail, want 4", n)
	}
}
