package render

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/gitops/spec"
)

// parts are a rendering's VM and its Secrets by name.
func parts(t *testing.T, in Input) (*kubevirtv1.VirtualMachine, map[string]*corev1.Secret) {
	t.Helper()
	ms := mustRender(t, in)
	secrets := map[string]*corev1.Secret{}
	for _, m := range ms {
		if m.Kind == KindSecret {
			secret := new(corev1.Secret)
			if err := json.Unmarshal(m.JSON, secret); err != nil {
				t.Fatal(err)
			}
			secrets[m.Name] = secret
		}
	}
	vm, err := ToVM(ms[len(ms)-1])
	if err != nil {
		t.Fatal(err)
	}
	return vm, secrets
}

func cloudInitOf(vm *kubevirtv1.VirtualMachine) *kubevirtv1.CloudInitNoCloudSource {
	for _, volume := range vm.Spec.Template.Spec.Volumes {
		if volume.Name == CloudInitVolume {
			return volume.CloudInitNoCloud
		}
	}
	return nil
}

// TestUserData: the text arrives byte for byte, within the VM up to 2048 bytes and in a Secret above.
func TestUserData(t *testing.T) {
	t.Parallel()
	fill := func(n int) string { return "#cloud-config\n" + strings.Repeat("#", n-len("#cloud-config\n")) }
	for name, text := range map[string]string{
		"short": "#cloud-config\n", "braces": "#cloud-config\n# {{ .x }} {{`a`}} <&>\u2028\r\n\ttab\x01",
		"no newline": "#cloud-config", "limit": fill(2048), "above": fill(2049), "many": fill(30000),
		"multibyte limit": "#cloud-config\n" + strings.Repeat("é", 1017), "multibyte above": "#cloud-config\n" + strings.Repeat("é", 1018),
	} {
		in := example()
		in.Template.CloudInit = text
		vm, secrets := parts(t, in)
		source, secret := cloudInitOf(vm), secrets[CloudInitSecretName(vm.Name)]
		got := source.UserData
		if source.UserDataSecretRef != nil {
			got = string(secret.Data["userdata"])
		}
		if got != text {
			t.Errorf("%s: arrived as %q", name, got)
		}
		if inline := secret == nil && source.UserDataSecretRef == nil; inline != (len(text) <= 2048) {
			t.Errorf("%s: %d bytes, inline %v", name, len(text), inline)
		}
	}
}

// TestKeysNeedADataSource: without user data a minimal one carries them; with nothing to say there is none.
func TestKeysNeedADataSource(t *testing.T) {
	t.Parallel()
	in := example()
	in.Template.CloudInit = ""
	vm, secrets := parts(t, in)
	if source := cloudInitOf(vm); source == nil || source.UserData != minimalUserData {
		t.Errorf("the data source is %+v", source)
	}
	data := secrets[SSHKeysSecretName(vm.Name)].Data
	got := map[string]bool{}
	for _, key := range data {
		got[string(key)] = true
	}
	if len(data) != 3 || !got["ssh-ed25519 AAAAa alice"] || !got["ssh-ed25519 AAAAb bob"] || !got["ssh-ed25519 AAAAs system"] {
		t.Errorf("the keys are %v", got)
	}
	in.VM.SSHKeys, in.SystemSSHKeys = nil, nil
	vm, secrets = parts(t, in)
	if cloudInitOf(vm) != nil || len(secrets) > 0 || vm.Spec.Template.Spec.AccessCredentials != nil {
		t.Errorf("there is a data source with nothing in it: %+v, %v", cloudInitOf(vm), secrets)
	}
}

// TestLongNetworkData: many interfaces do not fit into the VM either.
func TestLongNetworkData(t *testing.T) {
	t.Parallel()
	in := example()
	for i := range 30 {
		name := fmt.Sprintf("net%d", i)
		in.Networks[name] = spec.Network{Environment: in.Environment, Addresses: fmt.Sprintf("10.2.%d.0/24", i),
			Attachment: &spec.ObjectRef{Namespace: "networks", Name: name}}
		in.VM.Networks = append(in.VM.Networks, spec.VMNetwork{Name: name, IP: fmt.Sprintf("10.2.%d.9", i)})
	}
	vm, secrets := parts(t, in)
	source := cloudInitOf(vm)
	if source.NetworkDataSecretRef == nil || source.UserData != in.Template.CloudInit {
		t.Fatalf("the data source is %+v", source)
	}
	text := string(secrets[source.NetworkDataSecretRef.Name].Data["networkdata"])
	for i, iface := range vm.Spec.Template.Spec.Domain.Devices.Interfaces {
		entry := fmt.Sprintf("macaddress: %q\n    addresses:\n      - 10.2.%d.9/24\n", iface.MacAddress, i)
		if !strings.Contains(text, entry) {
			t.Errorf("the network data lacks %s", entry)
		}
	}
}

// TestAddresses: which addresses a host can have in a network.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		network, ip string
		ok          bool
	}{
		{"10.1.0.0/16", "10.1.2.3", true},
		{"10.1.7.7/16", "10.1.2.3", true}, // a prefix with host bits names its network
		{"10.1.0.0/16", "10.2.0.1", false},
		{"10.1.0.0/16", "10.1.0.0", false},
		{"10.1.0.0/16", "10.1.255.255", false},
		{"10.1.0.0/31", "10.1.0.0", true},
		{"10.1.0.0/32", "10.1.0.0", true},
		{"fd00::/64", "fd00::1", true},
		{"fd00::/64", "fd00::", false},
		{"fd00::/64", "fd00::ffff:ffff:ffff:ffff", true},
		{"fd00::/64", "fd00::1%eth0", false},
		{"10.1.0.0/16", "10.1.2", false},
		{"10.1.0.0/16", "::ffff:10.1.2.3", false},
		{"10.1.0.0", "10.1.2.3", false},
		{"", "10.1.2.3", false},
	} {
		in := example()
		network := in.Networks["nets"]
		network.Addresses = c.network
		in.Networks["nets"] = network
		in.VM.Networks = []spec.VMNetwork{{Name: "nets", IP: c.ip}}
		if _, problems := Render(in); problems.Blocking() == c.ok {
			t.Errorf("%s in %s: problems:\n%s", c.ip, c.network, list(problems))
		}
	}
}
