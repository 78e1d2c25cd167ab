package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
)

// living is a machine as people think that it is.
type living struct {
	path, name, environment string
	memory                  int
	power                   string
	busy                    bool // somebody works on it
}

func (v *living) file() []byte {
	return fmt.Appendf(nil, "apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: VirtualMachine\nspec:\n  template: ubuntu-24.04\n  size: small\n  memory: %dGi\n  power: %s\n  reason: chaos\n",
		v.memory, v.power)
}

// resize gives a machine another memory than it has.
func (v *living) resize(rng *rand.Rand) {
	v.memory = 1 + (v.memory+rng.IntN(58))%60
}

func (v *living) toggle() {
	if v.power = map[string]string{"running": "stopped", "stopped": "running"}[v.power]; v.power == "" {
		v.power = "running"
	}
}

func newLiving(system, environment string, index int, rng *rand.Rand) *living {
	ns := environment + "-shop"
	return &living{
		path: fmt.Sprintf("systems/%s/%s/%s/%02d.yaml", system, system, ns, index), name: fmt.Sprintf("%s-%s-%s-%02d", ns, system, system, index),
		environment: environment, memory: 1 + rng.IntN(60), power: "running",
	}
}

// estate is the machines that people know to be there.
type estate struct {
	mu       sync.Mutex
	machines []*living
}

// borrow takes machines to work on: copies, so that what is only asked for is not taken for there. Now and
// then somebody works on one already.
func (e *estate) borrow(rng *rand.Rand, n int) (out []*living) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for range n * 4 {
		if len(out) == n || len(e.machines) == 0 {
			break
		}
		v := e.machines[rng.IntN(len(e.machines))]
		taken := slices.ContainsFunc(out, func(o *living) bool { return o.path == v.path })
		if taken || v.busy && rng.IntN(8) > 0 {
			continue
		}
		v.busy = true
		asked := *v
		out = append(out, &asked)
	}
	return out
}

// settle gives machines back, as they were asked for where that was merged; those that are gone stay away.
func (e *estate) settle(asked []*living, merged, gone bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range asked {
		i := slices.IndexFunc(e.machines, func(v *living) bool { return v.path == a.path })
		switch {
		case i < 0 && merged && !gone:
			e.machines = append(e.machines, &living{path: a.path, name: a.name, environment: a.environment, memory: a.memory, power: a.power})
		case i < 0:
		case merged && gone:
			e.machines = slices.Delete(e.machines, i, i+1)
		case merged:
			e.machines[i].memory, e.machines[i].power, e.machines[i].busy = a.memory, a.power, false
		default:
			e.machines[i].busy = false
		}
	}
}
