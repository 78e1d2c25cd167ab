package render

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"

	"kv-shepherd.io/shepherd/gitops/spec"
)

// TestDerivedIsPinned: these values are in guests' licences and leases. They never change.
func TestDerivedIsPinned(t *testing.T) {
	t.Parallel()
	ref := example().Ref
	for got, want := range map[string]string{
		derived(ref, "firmware").String(): "b74b6897-96fc-51e7-821e-e446796c215d",
		derived(ref, "serial").String():   "cb22344d-a70b-5080-96a4-1698e2579438",
		macAddress(ref, "nets"):           "02:4d:44:9b:95:2b",
	} {
		if got != want {
			t.Errorf("derived %s, want %s", got, want)
		}
	}
}

// TestDerivedDiffers: for another VM, and from each other.
func TestDerivedDiffers(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for index := 1; index <= 200; index++ {
		for _, service := range []string{"redis", "web"} {
			ref := spec.Ref{Kind: spec.KindVirtualMachine, System: "shop", Service: service, Namespace: "prod", Index: index}
			mac := macAddress(ref, "nets")
			if !legalMAC(mac) || !strings.HasPrefix(mac, "02:") {
				t.Errorf("%s is no locally administered address", mac)
			}
			for _, value := range []string{
				derived(ref, "firmware").String(), derived(ref, "serial").String(), mac, macAddress(ref, "more"),
			} {
				if seen[value] {
					t.Errorf("%s was derived twice", value)
				}
				seen[value] = true
			}
		}
	}
}

// TestSecretNames: KubeVirt's pod has a volume named after the keys' Secret.
func TestSecretNames(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for n := 1; n <= maxName; n++ {
		for _, end := range []string{"a", "b"} {
			vm := strings.Repeat("x-", 40)[:n-1] + end
			name := SSHKeysSecretName(vm)
			if len(name)+len("-access-cred") > maxName || len(validation.IsDNS1123Label(name)) > 0 {
				t.Errorf("the Secret of %s is called %s", vm, name)
			}
			if seen[name] {
				t.Errorf("%s is the Secret of two VMs", name)
			}
			seen[name] = true
		}
	}
	if got := SSHKeysSecretName("prod-shop-redis-01"); got != "prod-shop-redis-01-ssh-keys" {
		t.Errorf("the Secret is called %s", got)
	}
}
