package render

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// TestDemands: what a size asks of KubeVirt, however its overrides are written.
func TestDemands(t *testing.T) {
	t.Parallel()
	card := map[string]any{"name": "card", "deviceName": "vendor.com/card"}
	for name, c := range map[string]struct {
		overrides map[string]any
		want      []string
		devices   map[string]int64
	}{
		"nothing": {},
		"no gate": {overrides: map[string]any{inDomain + "cpu.model": "host-model"}},
		"a list of devices": {map[string]any{inDevices + "hostDevices": []any{card, card}},
			[]string{"KubeVirt's feature gate HostDevices"}, map[string]int64{"vendor.com/card": 2}},
		"a device by index": {map[string]any{inDevices + "hostDevices[0]": card},
			[]string{"KubeVirt's feature gate HostDevices"}, map[string]int64{"vendor.com/card": 1}},
		"switched off": {overrides: map[string]any{inDevices + "autoattachVSOCK": false}},
		"beside what does not fit": {map[string]any{inDomain + "cpu.model": 7, inSpec + "nonsense": 1, inDevices + "disks[7].cache": "none",
			inDevices + "autoattachVSOCK": true}, []string{"KubeVirt's feature gate VSOCK"}, nil},
		"of the root disk": {map[string]any{inDevices + "filesystems": []any{map[string]any{"name": "root", "virtiofs": map[string]any{}}}},
			[]string{"KubeVirt's feature gate EnableVirtioFsStorageVolumes"}, nil},
		"of a release": {map[string]any{inSpec + "utilityVolumes": []any{map[string]any{"name": "a", "claimName": "b"}}},
			[]string{"KubeVirt 1.8, which knows " + inSpec + "utilityVolumes"}, nil},
		"the template gone": {overrides: map[string]any{"spec.template": nil}},
		"each once":         {map[string]any{inDevices + "video": map[string]any{"type": "virtio"}}, []string{"KubeVirt's feature gate VideoConfig"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			demands, devices := Demands(spec.InstanceSize{Cores: 1, Memory: "1Gi", SpecOverrides: c.overrides})
			var got []string
			for _, d := range demands {
				got = append(got, d.What())
			}
			if c.devices == nil {
				c.devices = map[string]int64{}
			}
			if diff := cmp.Diff(c.want, got) + cmp.Diff(c.devices, devices); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestDemandLack: what a cluster is known to fall short of, and what nobody knows.
func TestDemandLack(t *testing.T) {
	t.Parallel()
	demand := func(path string, value any) Demand {
		t.Helper()
		demands, _ := Demands(spec.InstanceSize{Cores: 1, Memory: "1Gi", SpecOverrides: map[string]any{path: value}})
		if len(demands) != 1 {
			t.Fatalf("%s: %d demands", path, len(demands))
		}
		return demands[0]
	}
	vsock := demand(inDevices+"autoattachVSOCK", true)
	video := demand(inDevices+"video", map[string]any{"type": "virtio"})
	reboot := demand(inDomain+"rebootPolicy", "Terminate")
	utility := demand(inSpec+"utilityVolumes", []any{map[string]any{"name": "a", "claimName": "b"}})
	none, noReboot := &domain.Capabilities{}, &domain.Capabilities{DisabledFeatureGates: []string{"RebootPolicy", "VideoConfig"}}
	const off = "does not have KubeVirt's feature gate "
	for name, c := range map[string]struct {
		demand       Demand
		version      string
		capabilities *domain.Capabilities
		lack         string
		known        bool
	}{
		"nobody looked":              {vsock, "v1.9.0", nil, "", false},
		"not to be read":             {vsock, "v1.9.0", &domain.Capabilities{Unknown: []string{"KubeVirt"}}, "", false},
		"off":                        {vsock, "v1.9.0", none, off + "VSOCK", true},
		"on":                         {vsock, "v1.7.1", &domain.Capabilities{FeatureGates: []string{"VSOCK"}}, "", true},
		"on by itself":               {video, "v1.9.0", nil, "", true},
		"settled, not to be put off": {video, "v1.9.0", noReboot, "", true},
		"not yet on by itself":       {video, "v1.8.0", none, off + "VideoConfig", true},
		"put off":                    {reboot, "v1.9.0", noReboot, off + "RebootPolicy", true},
		"put off, not to be read":    {reboot, "v1.9.0", nil, "", false},
		"before its time":            {reboot, "v1.7.0", nil, off + "RebootPolicy", true},
		"named both on and off":      {reboot, "v1.9.0", &domain.Capabilities{FeatureGates: noReboot.DisabledFeatureGates, DisabledFeatureGates: noReboot.DisabledFeatureGates}, "", true},
		"a field before its time":    {utility, "v1.7.0", nil, "has KubeVirt 1.7, which does not know " + inSpec + "utilityVolumes", true},
		"a field that all know":      {utility, "v1.8.0", nil, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lack, known := c.demand.Lack(KubeVirtOf(c.version, c.capabilities))
			if lack != c.lack || known != c.known {
				t.Errorf("lack %q, known %v; want %q, %v", lack, known, c.lack, c.known)
			}
		})
	}
}
