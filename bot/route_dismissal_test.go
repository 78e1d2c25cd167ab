package bot

import (
	"testing"
	"time"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/internal/jobs"
)

// GitHub dismisses stale approvals in the pusher's name. Only a person's dismissal takes an approval back.
func TestDismissal(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		push   time.Duration // when it came in, before the dismissal
		pusher forge.Person
		number int
		by     forge.Person
		late   time.Duration // how long the dismissal waited to be routed
		want   string
	}{
		{"by a person who never pushed", time.Second, alice, 7, carol, 0, "dismissed 103 forge=f"},
		{"by the forge, with the push", 0, alice, 7, alice, 0, "dismissed 101 forge=t"},
		{"by the forge, soon after the push", 30 * time.Second, alice, 7, alice, 0, "dismissed 101 forge=t"},
		{"by the forge, before its push came in", -10 * time.Second, alice, 7, alice, 0, "dismissed 101 forge=t"},
		{"by the forge, routed an hour later", time.Second, alice, 7, alice, time.Hour, "dismissed 101 forge=t"},
		{"by a pusher, long after the push", 61 * time.Second, alice, 7, alice, 0, "dismissed 101 forge=f"},
		{"by who pushed elsewhere", time.Second, alice, 8, alice, 0, "dismissed 101 forge=f"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDatabase(t)
			start := clock.Add(-c.late)
			d.routed(1, "pull_request_review", bob, reviewEvent("submitted", 7, 11, bob, "approved", commit1, ""))
			d.deliverAt(start.Add(-c.push), 2, "pull_request", c.pusher, synchronize(c.number, commit1, commit2))
			d.ok(d.route(2))
			d.deliverAt(start, 3, "pull_request_review", c.by, reviewEvent("dismissed", 7, 11, bob, "dismissed", commit1, ""))
			d.ok(d.route(3))
			d.same("review", []string{"11 #7 102/bob bot=f approved 1111  " + c.want}, d.reviews())
		})
	}
}

// Jobs run side by side: a dismissal waits for a push that came in with it, but not for ever.
func TestDismissalWaitsForItsPush(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.routed(1, "pull_request_review", bob, reviewEvent("submitted", 7, 11, bob, "approved", commit1, ""))
	d.deliver(2, "pull_request", alice, synchronize(7, commit1, commit2))
	d.deliver(3, "pull_request_review", alice, reviewEvent("dismissed", 7, 11, bob, "dismissed", commit1, ""))
	if err := d.route(3); !jobs.IsLater(err) {
		t.Fatalf("before the push: %v", err)
	}
	d.same("review", []string{"11 #7 102/bob bot=f approved 1111  dismissed 0 forge=f"}, d.reviews())
	d.ok(d.route(2))
	d.ok(d.route(3))
	d.same("review", []string{"11 #7 102/bob bot=f approved 1111  dismissed 101 forge=t"}, d.reviews())
}

func TestDismissalGivesUpWaiting(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.routed(1, "pull_request_review", bob, reviewEvent("submitted", 7, 11, bob, "approved", commit1, ""))
	early := clock.Add(-pushWindow - time.Second)
	d.deliverAt(early, 2, "pull_request", alice, synchronize(7, commit1, commit2))
	d.deliverAt(early, 3, "pull_request_review", alice, reviewEvent("dismissed", 7, 11, bob, "dismissed", commit1, ""))
	d.ok(d.route(3))
	d.same("review", []string{"11 #7 102/bob bot=f approved 1111  dismissed 101 forge=f"}, d.reviews())
}

// The first dismissal counts; an edit of a dismissed review is none.
func TestDismissalOnce(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	d.routed(1, "pull_request_review", bob, reviewEvent("submitted", 7, 11, bob, "approved", commit1, ""))
	d.routed(2, "pull_request_review", bob, reviewEvent("edited", 7, 11, bob, "dismissed", commit1, "afterthought"))
	d.same("edited", []string{"11 #7 102/bob bot=f approved 1111  dismissed 0 forge=f"}, d.reviews())
	d.routed(3, "pull_request_review", carol, reviewEvent("dismissed", 7, 11, bob, "dismissed", commit1, ""))
	d.routed(4, "pull_request_review", alice, reviewEvent("dismissed", 7, 11, bob, "dismissed", commit1, ""))
	d.same("twice", []string{"11 #7 102/bob bot=f approved 1111  dismissed 103 forge=f"}, d.reviews())
}
