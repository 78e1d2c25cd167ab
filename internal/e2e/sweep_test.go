package e2e

import (
	"testing"

	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/stage"
)

// What happened while no webhook came through is found by the sweep at the next start: a new pull
// request, a push, a closed one.
func TestSweepAfterSilence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	files := func(system string) forgetest.Files {
		return forgetest.Files{
			"systems/" + system + "/system.yaml":                     stage.System("a system of its own"),
			"systems/" + system + "/" + system + "-svc/service.yaml": stage.Service("its service"),
		}
	}
	pushed, closed := w.ask("pushed", files("aa")), w.ask("closed", files("bb"))
	w.check(pushed, "shepherd/approval", "success")
	w.check(closed, "shepherd/approval", "success")
	w.stop()
	w.Forge.SetDeliveryFaults(forgetest.DeliveryFaults{Lose: 1})

	fresh := w.ask("fresh", files("cc"))
	if _, err := w.Alice.Commit(w.Repo, "pushed", "main", forgetest.Files{"systems/aa/system.yaml": []byte("kind: [\n")}, "break it"); err != nil {
		t.Fatal(err)
	}
	if err := w.Alice.Close(closed); err != nil {
		t.Fatal(err)
	}
	w.serve()
	w.check(fresh, "shepherd/approval", "success")
	w.check(pushed, "shepherd/validate", "failure")
	w.eventually("the closed one to be known as closed", func() bool {
		return w.count("select count(*) from pull_requests where id = $1 and state = 'closed'", closed.Number()) == 1
	})
}
