package api

import (
	"log/slog"
	"testing"

	"kv-shepherd.io/shepherd/internal/storetest"
)

// What is asked of the forge and what is held back is counted.
func TestForgeCounters(t *testing.T) {
	t.Parallel()
	m := NewMetrics(storetest.Open(t), slog.New(slog.DiscardHandler))
	m.Asked("unchanged")
	m.Asked("unchanged")
	m.Asked("new")
	m.Held("content", true)
	m.Held("spent", false)
	e := scrape(t, m)
	e.expect(t, `shepherd_forge_questions_total{outcome="unchanged"}`, 2, 2)
	e.expect(t, `shepherd_forge_questions_total{outcome="new"}`, 1, 1)
	e.expect(t, `shepherd_forge_held_total{class="news",reason="content"}`, 1, 1)
	e.expect(t, `shepherd_forge_held_total{class="decision",reason="spent"}`, 1, 1)
	e.absent(t, `shepherd_forge_held_total{class="news",reason="spent"}`)
}
