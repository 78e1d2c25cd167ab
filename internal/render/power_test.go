package render

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/gitops/spec"
)

// TestWithPower: another power is what rendering with that power gives, byte for byte.
func TestWithPower(t *testing.T) {
	t.Parallel()
	stopped, running := example(), example()
	stopped.VM.Power, running.VM.Power = spec.PowerStopped, spec.PowerRunning
	off, on := mustRender(t, stopped), mustRender(t, running)
	for name, tt := range map[string]struct {
		from  []Manifest
		power spec.Power
		want  []Manifest
	}{
		"start":       {off, spec.PowerRunning, on},
		"stop":        {on, spec.PowerStopped, off},
		"start again": {on, spec.PowerRunning, on},
	} {
		before := string(tt.from[len(tt.from)-1].JSON)
		got, err := WithPower(tt.from, tt.power)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		if after := string(tt.from[len(tt.from)-1].JSON); before != after {
			t.Errorf("%s changed what it was given: %s", name, after)
		}
	}
}

func TestWithPowerRefuses(t *testing.T) {
	t.Parallel()
	ms := mustRender(t, example())
	vm := ms[len(ms)-1]
	for name, tt := range map[string]struct {
		manifests []Manifest
		power     spec.Power
	}{
		"no power":        {ms, ""},
		"another power":   {ms, "paused"},
		"nothing":         {nil, spec.PowerRunning},
		"no VM":           {ms[:len(ms)-1], spec.PowerRunning},
		"two VMs":         {append(ms[:len(ms):len(ms)], vm), spec.PowerRunning},
		"no JSON":         {[]Manifest{{Kind: KindVirtualMachine, JSON: []byte("{")}}, spec.PowerRunning},
		"a VM of nothing": {[]Manifest{{Kind: KindVirtualMachine, JSON: []byte("{}")}}, spec.PowerRunning},
	} {
		if got, err := WithPower(tt.manifests, tt.power); err == nil || got != nil {
			t.Errorf("%s: got %v, %v; want an error", name, got, err)
		}
	}
}

// TestAttached reads back from the objects what rendering was told of networks.
func TestAttached(t *testing.T) {
	t.Parallel()
	in := example()
	backend := &spec.ObjectRef{Namespace: "networks", Name: "backend"}
	in.Networks = map[string]spec.Network{
		"back.end": {Environment: in.Environment, Attachment: backend, Addresses: "10.1.0.0/24"},
		"pods":     {Environment: in.Environment, Pod: true},
	}
	for name, tt := range map[string]struct {
		named    []spec.VMNetwork
		standard string
		want     map[string]spec.Network
	}{
		"both":          {[]spec.VMNetwork{{Name: "back.end", IP: "10.1.0.7"}, {Name: "pods"}}, "", map[string]spec.Network{"back-end": {Attachment: backend}, "pods": {Pod: true}}},
		"the standard":  {nil, "back.end", map[string]spec.Network{"back-end": {Attachment: backend}}},
		"nothing named": {nil, "", map[string]spec.Network{"default": {Pod: true}}},
	} {
		in.VM.Networks, in.DefaultNetwork = tt.named, tt.standard
		if diff := cmp.Diff(tt.want, Attached(mustRender(t, in))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got := InterfaceName("back.end"); got != "back-end" {
		t.Errorf("the interface on back.end is called %s", got)
	}
	for name, manifests := range map[string][]Manifest{
		"nothing": nil, "no VM": {{Kind: KindSecret}}, "no JSON": {{Kind: KindVirtualMachine, JSON: []byte("{")}},
	} {
		if got := Attached(manifests); len(got) != 0 {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
