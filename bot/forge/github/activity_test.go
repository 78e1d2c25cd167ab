package github

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
)

func TestMovements(t *testing.T) {
	t.Parallel()
	const call = "GET /repos/acme/vms/activity"
	move := func(more fields) fields {
		f := fields{"id": 7, "ref": "refs/heads/a/b", "before": parent, "after": headSHA, "activity_type": "push",
			"timestamp": "2026-01-23T12:00:00.123Z", "actor": fields{"id": 8, "login": "bob", "type": "User"}}
		for k, v := range more {
			f[k] = v
		}
		return f
	}
	zeros := strings.Repeat("0", 40)
	w := newWire(t, routes{call: answer(200, []any{
		move(nil), move(fields{"id": 6, "activity_type": "force_push", "actor": nil}), move(fields{"id": 5, "activity_type": "branch_creation", "before": zeros}),
	})})
	noon := time.Date(2026, 1, 23, 12, 0, 0, 0, time.UTC)
	want := []forge.Movement{
		{ID: 7, Ref: "refs/heads/a/b", Before: parent, After: headSHA, By: bob, At: noon},
		{ID: 6, Ref: "refs/heads/a/b", Before: parent, After: headSHA, Forced: true, At: noon},
		{ID: 5, Ref: "refs/heads/a/b", Before: zeros, After: headSHA, By: bob, At: noon},
	}
	got, err := w.client(t).Movements(t.Context(), "a/b")
	if diff := cmp.Diff(want, got); diff != "" || err != nil || len(w.seen()) != 1 {
		t.Errorf("after %v, %v (-want +got):\n%s", w.seen(), err, diff)
	}
	for name, odd := range map[string]fields{
		"of another branch": {"ref": "refs/heads/b"}, "without an id": {"id": 0}, "from nowhere": {"before": ""}, "to nowhere": {"after": nil}, "at no time": {"timestamp": nil},
	} {
		if got, err := newWire(t, routes{call: answer(200, []any{move(odd)})}).client(t).Movements(t.Context(), "a/b"); !errors.Is(err, errMisfit) || got != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
