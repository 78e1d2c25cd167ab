package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/ent"
	"kv-shepherd.io/shepherd/internal/domain"
)

func TestAbilities(t *testing.T) {
	t.Parallel()
	c := domain.Capabilities{
		FeatureGates: []string{"Snapshot"}, DisabledFeatureGates: []string{"VideoConfig"}, RolloutStrategy: "Stage",
		Devices: map[string]int64{"nvidia.com/A10": 2, "amd.com/W6800": 1}, Hugepages: map[string]int64{"1Gi": 8 << 30, "2Mi": 512 << 20},
		DedicatedCPU: true, SRIOV: true, Networks: strings.Split(strings.Repeat("n/a ", 22), " ")[:22], Preferences: []string{"ubuntu"},
	}
	got := map[string]string{}
	for _, a := range abilities(c) {
		got[a.name] = a.value
	}
	for name, want := range map[string]string{
		"feature gates": "Snapshot", "switched off": "VideoConfig", "rollout": "Stage", "devices": "1 amd.com/W6800, 2 nvidia.com/A10",
		"huge pages": "8Gi in pages of 1Gi, 512Mi in pages of 2Mi", "dedicated CPUs": "yes", "SR-IOV": "yes", "preferences": "ubuntu", "instance types": "",
	} {
		if got[name] != want {
			t.Errorf("%s: %q, want %q", name, got[name], want)
		}
	}
	if !strings.HasSuffix(got["networks"], "n/a and 2 more") {
		t.Errorf("networks: %s", got["networks"])
	}
	if got, want := can(&c), "1 amd.com/W6800, 2 nvidia.com/A10, 8Gi in pages of 1Gi, 512Mi in pages of 2Mi, dedicated CPUs, 22 networks, SR-IOV"; got != want {
		t.Errorf("can %s", got)
	}
	if can(nil)+can(&domain.Capabilities{}) != "" {
		t.Error("nothing is something")
	}
}

func TestNote(t *testing.T) {
	t.Parallel()
	now := time.Now()
	at := func(d time.Duration) *time.Time { then := now.Add(d); return &then }
	for _, tt := range []struct {
		until *time.Time
		want  string
	}{{nil, "seen"}, {at(time.Minute), "paused: it refuses connections"}, {at(-time.Minute), "seen"}} {
		r := &ent.Cluster{HealthMessage: "seen", PausedUntil: tt.until, PausedReason: "it refuses connections"}
		if got := note(r, now); got != tt.want {
			t.Error(fmt.Sprint(tt.until, got))
		}
	}
}
