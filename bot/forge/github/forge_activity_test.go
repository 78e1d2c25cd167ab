package github_test

import (
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// Who moved a branch is what the forge itself remembers.
func TestForgeMovements(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pull(t, "add")
	first := p.HeadSHA()
	second, err := w.bob.Commit(w.repo, "add", "", forgetest.Files{"b": []byte("b")}, "more")
	if err != nil {
		t.Fatal(err)
	}
	w.srv.ResetCalls()
	got, err := w.client.Movements(t.Context(), "add")
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	if got[0].Before != first || got[0].After != second || got[0].By != person(w.bob) || got[1].After != first || got[1].By != person(w.alice) || got[1].At.IsZero() {
		t.Errorf("%+v", got)
	}
	w.wantCalls(t, "GET /activity")
}
