package render

import (
	"strings"
	"testing"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// TestProblems: one thing wrong, one problem that names the document and the field at fault.
func TestProblems(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil  func(*Input)
		code   domain.Code
		origin Origin
		field  string
	}{
		"no cores":        {func(in *Input) { in.Size.Cores = 0 }, domain.PlanInvalid, OriginSize, "cores"},
		"many cores":      {func(in *Input) { in.Size.Cores = 513 }, domain.PlanInvalid, OriginSize, "cores"},
		"memory":          {func(in *Input) { in.Size.Memory = "8" }, domain.PlanInvalid, OriginSize, "memory"},
		"no memory":       {func(in *Input) { in.Size.Memory = "" }, domain.PlanInvalid, OriginSize, "memory"},
		"hugepages":       {func(in *Input) { in.Size.Hugepages, in.Size.Memory = "1Gi", "1536Mi" }, domain.PlanInvalid, OriginSize, "memory"},
		"disk":            {func(in *Input) { in.VM.Disk = "20Gi" }, domain.DiskOutOfRange, OriginRequest, "disk"},
		"large disk":      {func(in *Input) { in.VM.Disk = "501Gi" }, domain.DiskOutOfRange, OriginRequest, "disk"},
		"no disk":         {func(in *Input) { in.VM.Disk = "big" }, domain.PlanInvalid, OriginRequest, "disk"},
		"default disk":    {func(in *Input) { in.Size.Disk.Default = "1Ti" }, domain.DiskOutOfRange, OriginSize, "disk.default"},
		"disk range":      {func(in *Input) { in.Size.Disk.Max = "all" }, domain.PlanInvalid, OriginSize, "disk"},
		"disk's size":     {func(in *Input) { in.VM.Disks[0].Size = "0Gi" }, domain.PlanInvalid, OriginRequest, "disks[0].size"},
		"power":           {func(in *Input) { in.VM.Power = "" }, domain.PlanInvalid, OriginRequest, "power"},
		"environment":     {func(in *Input) { in.Environment, in.Networks = "dev", nil }, domain.PlanInvalid, OriginRequest, ""},
		"long name":       {func(in *Input) { in.Ref.Service = strings.Repeat("a", 60); in.VM.Disks = nil }, domain.NameTooLong, OriginRequest, ""},
		"no image":        {func(in *Input) { in.Template.Image = spec.Image{} }, domain.PlanInvalid, OriginTemplate, "image"},
		"no network":      {func(in *Input) { in.VM.Networks = []spec.VMNetwork{{Name: "net"}} }, domain.NetworkUnknown, OriginRequest, "networks[0].name"},
		"unnamed network": {func(in *Input) { in.VM.Networks = []spec.VMNetwork{{}} }, domain.NetworkUnknown, OriginRequest, "networks[0].name"},
		"no default":      {func(in *Input) { in.DefaultNetwork = "net" }, domain.NetworkUnknown, OriginNamespace, "network"},
		"network twice":   {func(in *Input) { in.VM.Networks = []spec.VMNetwork{{Name: "more"}, {Name: "more"}} }, domain.PlanInvalid, OriginRequest, "networks[1].name"},
		"pod network twice": {func(in *Input) {
			in.Networks["pods2"] = in.Networks["pods"]
			in.VM.Networks = []spec.VMNetwork{{Name: "pods"}, {Name: "pods2"}}
		}, domain.PlanInvalid, OriginRequest, "networks[1].name"},
		"bad network": {func(in *Input) {
			in.Networks["pods"] = spec.Network{Environment: domain.Test}
			in.DefaultNetwork = "pods"
		}, domain.PlanInvalid, OriginNetwork, ""},
		"address on the pod network": {func(in *Input) { in.VM.Networks = []spec.VMNetwork{{Name: "pods", IP: "10.0.0.2"}} },
			domain.PlanInvalid, OriginRequest, "networks[0].ip"},
		"request above limit": {func(in *Input) { in.Size.Overcommit = overcommit("5", "4", "4Gi", "8Gi") },
			domain.PlanInvalid, OriginSize, "overcommit.cpu.request"},
		"unreadable overcommit": {func(in *Input) { in.Size.Overcommit = overcommit("1", "4", "4", "8Gi") },
			domain.PlanInvalid, OriginSize, "overcommit.memory.request"},
		"dedicated overcommit of CPU": {func(in *Input) { in.Size.DedicatedCPU, in.Size.Overcommit = true, overcommit("2", "4", "8Gi", "8Gi") },
			domain.DedicatedCPUOvercommit, OriginSize, "overcommit"},
		"dedicated overcommit of memory": {func(in *Input) { in.Size.DedicatedCPU, in.Size.Overcommit = true, overcommit("4", "4", "4Gi", "8Gi") },
			domain.DedicatedCPUOvercommit, OriginSize, "overcommit"},
		"huge pages overcommitted": {func(in *Input) { in.Size.Hugepages, in.Size.Overcommit = "2Mi", overcommit("4", "4", "4Gi", "8Gi") },
			domain.PlanInvalid, OriginSize, "overcommit.memory"},
		"ephemeral in prod": {func(in *Input) {
			in.Environment = domain.Prod
			in.Template.Image.ContainerDisk.Ephemeral = true
		}, domain.PolicyDenied, OriginTemplate, "image.containerDisk.ephemeral"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := example()
			c.spoil(&in)
			ms, problems := Render(in)
			if len(ms) > 0 || len(problems) != 1 || problems[0].Code != c.code ||
				problems[0].Origin != c.origin || problems[0].Field != c.field {
				t.Errorf("%d manifests, want one %s of the %s at %q, problems:\n%s", len(ms), c.code, c.origin, c.field, list(problems))
			}
		})
	}
}

func overcommit(cpuRequest, cpuLimit, memoryRequest, memoryLimit string) *spec.Overcommit {
	return &spec.Overcommit{
		CPU:    &spec.RequestLimit{Request: cpuRequest, Limit: cpuLimit},
		Memory: &spec.RequestLimit{Request: memoryRequest, Limit: memoryLimit},
	}
}

// TestWarnings come with manifests.
func TestWarnings(t *testing.T) {
	t.Parallel()
	prod := example()
	prod.Environment, prod.Size.Overcommit = domain.Prod, overcommit("1", "4", "8Gi", "8Gi")
	equal := example()
	equal.Environment, equal.Size.Overcommit, equal.Size.DedicatedCPU = domain.Prod, overcommit("4", "4", "8Gi", "8Gi"), true
	inTest := example()
	inTest.Size.Overcommit = overcommit("1", "4", "8Gi", "8Gi")
	sriov := example()
	sriov.Size.SRIOV = true
	for name, c := range map[string]struct {
		in   Input
		code domain.Code
	}{
		"overcommit in prod":       {prod, domain.ProdOvercommit},
		"request equal to limit":   {equal, ""},
		"overcommit in test":       {inTest, ""},
		"SR-IOV without a network": {sriov, domain.PlanInvalid},
	} {
		ms, problems := Render(c.in)
		if len(ms) == 0 || problems.Blocking() {
			t.Errorf("%s: %d manifests, problems:\n%s", name, len(ms), list(problems))
		}
		if (c.code == "") != (len(problems) == 0) || len(problems) > 0 && problems[0].Code != c.code {
			t.Errorf("%s: want %q, problems:\n%s", name, c.code, list(problems))
		}
	}
}

// FuzzQuantities: whatever documents write as amounts, rendering ends, and what it lets through is
// within its bounds.
func FuzzQuantities(f *testing.F) {
	f.Add("8Gi", "120Gi", "10Gi", "500m", "4")
	f.Add("1e30", "-1Gi", "1.5Gi", "0.0001", "9999999999999999999")
	f.Add("8GB", "0", "100m", "", "∞")
	f.Fuzz(func(t *testing.T, memory, disk, data, request, limit string) {
		in := example()
		in.Size.Memory, in.VM.Disk, in.VM.Disks[0].Size = memory, disk, data
		in.Size.Overcommit = &spec.Overcommit{CPU: &spec.RequestLimit{Request: request, Limit: limit}}
		ms, problems := Render(in)
		if (len(ms) == 0) != problems.Blocking() {
			t.Fatalf("%d manifests, problems:\n%s", len(ms), list(problems))
		}
		for _, m := range ms {
			if err := wellFormed(in, m); err != nil {
				t.Fatalf("%s %s: %v\n%s", m.Kind, m.Name, err, m.JSON)
			}
		}
		if len(ms) == 0 {
			return
		}
		vm, err := ToVM(ms[len(ms)-1])
		if err != nil {
			t.Fatal(err)
		}
		r := vm.Spec.Template.Spec.Domain.Resources
		if r.Requests.Cpu().Cmp(*r.Limits.Cpu()) > 0 || r.Requests.Cpu().Sign() <= 0 ||
			r.Limits.Memory().Cmp(*vm.Spec.Template.Spec.Domain.Memory.Guest) != 0 || r.Limits.Memory().Value() < 1<<10 {
			t.Fatalf("resources %+v", r)
		}
	})
}
