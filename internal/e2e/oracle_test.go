package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/internal/oracle"
)

var (
	scripts    = flag.Int("oracle.scripts", 12, "how many random scripts TestApprovalAndMerge plays")
	scriptSeed = flag.Uint64("oracle.seed", 50000, "the seed of the first of them; 0: another one each time")
)

// Whatever people do, in whatever order, the bot comes to what the oracle says by section 5 of the design.
func TestApprovalAndMerge(t *testing.T) {
	t.Parallel()
	tb := newTable(t, min(24, *scripts+len(oracle.Told)))
	seed := *scriptSeed
	if seed == 0 {
		seed = uint64(time.Now().UnixNano()) % 1e9
	}
	t.Logf("the first seed is %d: -oracle.seed=%d", seed, seed)
	var all []oracle.Script
	var names []string
	for name, s := range oracle.Told {
		all, names = append(all, s), append(names, name)
	}
	for i := range uint64(*scripts) {
		all, names = append(all, oracle.Random(12, rand.New(rand.NewPCG(seed+i, 5)).IntN)), append(names, fmt.Sprintf("-oracle.seed=%d", seed+i))
	}
	steps := 0
	for _, s := range all {
		steps += s.Steps()
	}
	begun := time.Now()
	for i, r := range tb.play(all) {
		if r.wrong == "" {
			continue
		}
		first := !t.Failed()
		t.Errorf("%s:\n%s\n%s", names[i], r.script, r.wrong)
		if first {
			small := tb.shrink(r)
			t.Logf("what is left of it:\n%s\n%s", small.script, small.wrong)
		}
	}
	t.Logf("%d scripts, %d steps, %d rounds, %s", len(all), steps, tb.rounds, time.Since(begun).Round(time.Second))
}
