package render

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	kubevirtv1 "kubevirt.io/api/core/v1"
	cdiv1 "kubevirt.io/containerized-data-importer-api/pkg/apis/core/v1beta1"

	corev1 "k8s.io/api/core/v1"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// example is a request that renders without problems.
func example() Input {
	return Input{
		Ref: spec.Ref{Kind: spec.KindVirtualMachine, System: "shop", Service: "redis",
			Namespace: "test-shop", Index: 7},
		Environment:         domain.Test,
		KubernetesNamespace: "shop-vms",
		VM: spec.VirtualMachine{
			Template: "ubuntu", Size: "medium", Power: spec.PowerRunning, Reason: "a test",
			SSHKeys: []string{"ssh-ed25519 AAAAb bob", "ssh-ed25519 AAAAa alice"},
			Disks:   []spec.VMDisk{{Name: "data", Size: "10Gi"}},
		},
		Template: spec.Template{
			Image:     spec.Image{ContainerDisk: &spec.ContainerDisk{Image: "quay.io/containerdisks/ubuntu:24.04"}},
			CloudInit: "#cloud-config\npackages: [nginx]\n",
		},
		TemplateName: "ubuntu", TemplateVersion: 2,
		Size:          spec.InstanceSize{Cores: 4, Memory: "8Gi"},
		SizeName:      "medium",
		Networks:      exampleNetworks(),
		SystemSSHKeys: []string{"ssh-ed25519 AAAAs system"},
		StorageClass:  "fast",
	}
}

func exampleNetworks() map[string]spec.Network {
	return map[string]spec.Network{
		"pods": {Environment: domain.Test, Pod: true},
		"nets": {Environment: domain.Test, Addresses: "10.1.0.0/16",
			Attachment: &spec.ObjectRef{Namespace: "networks", Name: "vlan-7"}},
		"more": {Environment: domain.Test,
			Attachment: &spec.ObjectRef{Namespace: "shop-vms", Name: "own"}},
	}
}

type variant struct {
	name  string
	apply func(*Input)
}

var images = []variant{
	{"imported", func(*Input) {}},
	{"ephemeral", func(in *Input) { in.Template.Image.ContainerDisk.Ephemeral = true }},
	{"datavolume", func(in *Input) {
		in.Template.Image = spec.Image{DataVolume: &spec.ObjectRef{Namespace: "images", Name: "ubuntu"}}
	}},
	{"pvc", func(in *Input) {
		in.Template.Image = spec.Image{PVC: &spec.ObjectRef{Namespace: "images", Name: "ubuntu"}}
	}},
	{"datasource", func(in *Input) {
		in.Template.Image = spec.Image{DataSource: &spec.ObjectRef{Namespace: "images", Name: "ubuntu"}}
	}},
}

var features = []variant{
	{"plain", func(*Input) {}},
	{"hugepages", func(in *Input) { in.Size.Hugepages = "2Mi" }},
	{"gpus", func(in *Input) {
		in.Size.GPUs = []spec.GPU{{Name: "gpu1", DeviceName: "nvidia.com/A100"}, {Name: "gpu2", DeviceName: "nvidia.com/A100"}}
	}},
	{"sriov", func(in *Input) { in.Size.SRIOV, in.DefaultNetwork = true, "nets" }},
	{"dedicated", func(in *Input) { in.Size.DedicatedCPU = true }},
	{"overcommit", func(in *Input) {
		in.Size.Overcommit = &spec.Overcommit{
			CPU:    &spec.RequestLimit{Request: "500m", Limit: "4"},
			Memory: &spec.RequestLimit{Request: "2Gi", Limit: "10Gi"},
		}
	}},
	{"overrides", func(in *Input) {
		in.Size.SpecOverrides = map[string]any{
			"spec.template.spec.domain.cpu.model":                          "host-passthrough",
			"spec.template.spec.domain.firmware.bootloader":                map[string]any{"efi": map[string]any{"secureBoot": false}},
			"spec.template.spec.domain.devices.rng":                        map[string]any{},
			"spec.template.spec.domain.devices.disks[0].cache":             "none",
			"spec.template.spec.tolerations[0]":                            map[string]any{"key": "gpu", "operator": "Exists"},
			"spec.template.spec.nodeSelector['example.com/zone']":          "a",
			"spec.template.spec.terminationGracePeriodSeconds":             180,
			"spec.template.spec.domain.devices.networkInterfaceMultiqueue": true,
			"spec.template.spec.domain.devices.interfaces[0].dhcpOptions":  map[string]any{"ntpServers": []any{"10.0.0.1"}},
			"spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution": map[string]any{
				"nodeSelectorTerms": []any{map[string]any{"matchExpressions": []any{map[string]any{
					"key": "node-role.kubernetes.io/control-plane", "operator": "DoesNotExist"}}}}},
		}
	}},
	{"preference", func(in *Input) { in.Template.Preference = "ubuntu" }},
	{"stopped", func(in *Input) { in.VM.Power = spec.PowerStopped }},
	{"bare", func(in *Input) {
		in.Template.CloudInit, in.VM.SSHKeys, in.SystemSSHKeys, in.VM.Disks = "", nil, nil, nil
		in.StorageClass = ""
	}},
	{"networks", func(in *Input) {
		in.VM.Networks = []spec.VMNetwork{{Name: "pods"}, {Name: "nets", IP: "10.1.2.3"}, {Name: "more"}}
	}},
	{"long cloud-init", func(in *Input) {
		in.Template.CloudInit = "#cloud-config\n# " + strings.Repeat("é{{", 600) + "\n"
	}},
}

// eachVariant calls f with every image source under every two features that can meet.
func eachVariant(f func(name string, in Input)) {
	excluded := map[string]bool{"dedicated+overcommit": true, "hugepages+overcommit": true}
	for _, image := range images {
		for i, a := range features {
			for _, b := range features[i:] {
				if excluded[a.name+"+"+b.name] {
					continue
				}
				in := example()
				image.apply(&in)
				a.apply(&in)
				b.apply(&in)
				f(image.name+"/"+a.name+"+"+b.name, in)
			}
		}
	}
}

// TestVariants holds every combination to what all of them promise.
func TestVariants(t *testing.T) {
	t.Parallel()
	n := 0
	eachVariant(func(name string, in Input) {
		n++
		ms, problems := Render(in)
		if problems.Blocking() || len(ms) == 0 {
			t.Errorf("%s: %d manifests, problems:\n%s", name, len(ms), list(problems))
			return
		}
		again, _ := Render(shuffled(in))
		if !reflect.DeepEqual(ms, again) {
			t.Errorf("%s: a second rendering differs:\n%s", name, cmp.Diff(pretty(t, ms), pretty(t, again)))
		}
		for _, m := range ms {
			if err := wellFormed(in, m); err != nil {
				t.Errorf("%s: %s %s: %v\n%s", name, m.Kind, m.Name, err, m.JSON)
			}
		}
		if err := applyOrder(ms); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	})
	if n < 300 {
		t.Errorf("only %d combinations were tried", n)
	}
}

// shuffled is the same input with its lists that are sets in another order.
func shuffled(in Input) Input {
	in.VM.SSHKeys, in.SystemSSHKeys = slices.Clone(in.VM.SSHKeys), slices.Clone(in.SystemSSHKeys)
	slices.Reverse(in.VM.SSHKeys)
	in.VM.SSHKeys = append(in.VM.SSHKeys, in.SystemSSHKeys...)
	in.Size.SpecOverrides = maps.Clone(in.Size.SpecOverrides)
	in.Networks = maps.Clone(in.Networks)
	return in
}

// wellFormed: canonical, decodable into the real types without loss, ours, and without noise.
func wellFormed(in Input, m Manifest) error {
	var object map[string]any
	if err := json.Unmarshal(m.JSON, &object); err != nil {
		return err
	}
	if _, found := object["status"]; found {
		return fmt.Errorf("it has a status")
	}
	if bytes.Contains(m.JSON, []byte("null")) || bytes.Contains(m.JSON, []byte(`"resources":{}`)) {
		return fmt.Errorf("it has an empty member")
	}
	typed := map[string]any{
		KindSecret: &corev1.Secret{}, KindDataVolume: &cdiv1.DataVolume{}, KindVirtualMachine: &kubevirtv1.VirtualMachine{},
	}[m.Kind]
	if err := decodeStrict(m.JSON, typed); err != nil {
		return err
	}
	again, err := throughJSON(typed)
	if err != nil {
		return err
	}
	if !bytes.Equal(again, m.JSON) {
		return fmt.Errorf("its types make other bytes of it:\n%s", again)
	}
	meta := object["metadata"].(map[string]any)
	for key, value := range Labels(in) {
		if got := meta["labels"].(map[string]any)[key]; got != value {
			return fmt.Errorf("label %s is %v instead of %s", key, got, value)
		}
	}
	if m.Namespace != in.KubernetesNamespace || len(m.Name) > maxName || !strings.HasPrefix(m.Name, in.Ref.VMName()) {
		return fmt.Errorf("it is %s in %s", m.Name, m.Namespace)
	}
	return nil
}

// throughJSON is what the types' own JSON, less the noise, is in canonical form.
func throughJSON(typed any) ([]byte, error) {
	data, err := json.Marshal(typed)
	if err != nil {
		return nil, err
	}
	var object map[string]any
	if err := json.Unmarshal(data, &object); err != nil {
		return nil, err
	}
	prune(object)
	return canonical(object)
}

// applyOrder: what a VM needs comes before it, and it needs nothing else.
func applyOrder(ms []Manifest) error {
	order := []string{KindSecret, KindDataVolume, KindVirtualMachine}
	made := map[string]bool{}
	last := 0
	for _, m := range ms {
		i := slices.Index(order, m.Kind)
		if i < last {
			return fmt.Errorf("%s comes after %s", m.Kind, order[last])
		}
		last = i
		if made[m.Kind+m.Name] {
			return fmt.Errorf("%s %s is there twice", m.Kind, m.Name)
		}
		made[m.Kind+m.Name] = true
	}
	vm, err := ToVM(ms[len(ms)-1])
	if err != nil {
		return err
	}
	for _, volume := range vm.Spec.Template.Spec.Volumes {
		if dv := volume.DataVolume; dv != nil && !made[KindDataVolume+dv.Name] {
			return fmt.Errorf("there is no DataVolume %s", dv.Name)
		}
		if ci := volume.CloudInitNoCloud; ci != nil && ci.UserDataSecretRef != nil && !made[KindSecret+ci.UserDataSecretRef.Name] {
			return fmt.Errorf("there is no Secret %s", ci.UserDataSecretRef.Name)
		}
	}
	for _, credential := range vm.Spec.Template.Spec.AccessCredentials {
		if name := credential.SSHPublicKey.Source.Secret.SecretName; !made[KindSecret+name] {
			return fmt.Errorf("there is no Secret %s", name)
		}
	}
	return nil
}

func BenchmarkRender(b *testing.B) {
	in := example()
	b.ReportAllocs()
	for b.Loop() {
		if ms, _ := Render(in); len(ms) != 4 {
			b.Fatalf("%d manifests", len(ms))
		}
	}
}

func BenchmarkRenderOverrides(b *testing.B) {
	in := example()
	in.Size.SpecOverrides = map[string]any{
		"spec.template.spec.domain.cpu.model":              "host-passthrough",
		"spec.template.spec.domain.devices.disks[0].cache": "none",
	}
	b.ReportAllocs()
	for b.Loop() {
		if ms, problems := Render(in); len(ms) != 4 {
			b.Fatal(list(problems))
		}
	}
}
