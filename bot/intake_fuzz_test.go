package bot

import (
	"net/http"
	"testing"
)

// FuzzIntakeAndRoute sends anything that is signed through the intake and the router on a real database: every answer
// is the forge's or our own fault never, every delivery that was taken is closed, and nothing is done that the body
// does not name.
func FuzzIntakeAndRoute(f *testing.F) {
	seen := map[string]bool{}
	for _, e := range examples(f) {
		if !seen[e.event] {
			f.Add(e.event, e.about(f, repo.ID))
		}
		seen[e.event] = true
	}
	for _, e := range usual() {
		f.Add(e.event, e.body)
	}
	d := newDatabase(f)
	f.Fuzz(func(t *testing.T, event string, body []byte) {
		inner := *d
		inner.TB = t
		defer inner.forgetAll()
		answer, c := inner.through(event, body)
		if answer == http.StatusBadRequest { // the event's name
			return
		}
		if answer != http.StatusAccepted {
			t.Fatalf("answered %d", answer)
		}
		innocent(t, event, body, c)
	})
}
