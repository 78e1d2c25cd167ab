package render

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kv-shepherd.io/shepherd/gitops/spec"
)

// Prefix begins the keys of all labels and annotations that Shepherd writes.
const Prefix = "kubevirt-shepherd.io/"

// The identity labels. They stand on every object of a VM and on the VM's template, so that the
// running instance carries them too.
const (
	LabelManagedBy   = Prefix + "managed-by"
	LabelSystem      = Prefix + "system"
	LabelService     = Prefix + "service"
	LabelInstance    = Prefix + "instance"
	LabelEnvironment = Prefix + "environment"

	// ManagedBy is the value of LabelManagedBy.
	ManagedBy = "kubevirt-shepherd"
)

// What the VM alone says about itself.
const (
	AnnotationHostname        = Prefix + "hostname"
	AnnotationFQDN            = Prefix + "fqdn"
	AnnotationNamespace       = Prefix + "namespace" // the logical one
	AnnotationTemplate        = Prefix + "template"
	AnnotationTemplateVersion = Prefix + "template-version"
	AnnotationSize            = Prefix + "size"
)

// maxName is Kubernetes' limit for a DNS label. KubeVirt allows longer names of VMs and then fails
// on some of them in pods and labels.
const maxName = 63

// identitySpace is the UUID namespace of everything derived from a VM's identity. It never changes:
// a guest's licences and cloud-init's instance id hang on the firmware UUID.
var identitySpace = uuid.MustParse("3b0f8f0e-0f63-5c0b-9c65-6a3c1d0f7a52")

func derived(ref spec.Ref, what string) uuid.UUID {
	return uuid.NewSHA1(identitySpace, []byte(ref.Path()+"#"+what))
}

// macAddress derives a locally administered unicast address for one network of a VM: stable over
// restarts, where KubeVirt would draw a new one.
func macAddress(ref spec.Ref, network string) string {
	sum := sha256.Sum256([]byte(ref.Path() + "#mac#" + network))
	return fmt.Sprintf("02:%02x:%02x:%02x:%02x:%02x", sum[0], sum[1], sum[2], sum[3], sum[4])
}

// Labels are the identity labels of a VM's objects.
func Labels(in Input) map[string]string {
	return map[string]string{
		LabelManagedBy:   ManagedBy,
		LabelSystem:      in.Ref.System,
		LabelService:     in.Ref.Service,
		LabelInstance:    in.Ref.Instance(),
		LabelEnvironment: string(in.Environment),
	}
}

func (r *renderer) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: r.in.KubernetesNamespace, Name: name, Labels: Labels(r.in)}
}

func (r *renderer) vmAnnotations() map[string]string {
	return map[string]string{
		AnnotationHostname:        r.name,
		AnnotationFQDN:            r.name + "." + r.in.KubernetesNamespace + ".svc.cluster.local",
		AnnotationNamespace:       r.in.Ref.Namespace,
		AnnotationTemplate:        r.in.TemplateName,
		AnnotationTemplateVersion: strconv.Itoa(r.in.TemplateVersion),
		AnnotationSize:            r.in.SizeName,
	}
}

// DiskName is the name of a VM's DataVolume: its root disk is RootDisk, the others have the names
// that the request gives them.
func DiskName(vm, disk string) string { return vm + "-" + disk }

// CloudInitSecretName is the name of the Secret for user data that does not fit into the VM, or sets a password.
func CloudInitSecretName(vm string) string { return vm + "-cloudinit" }

// NetworkSecretName is the name of the Secret for network data that does not fit into the VM, where that for user
// data is made once.
func NetworkSecretName(vm string) string { return vm + "-network" }

// maxCredentialName leaves room for what KubeVirt appends to a Secret's name ("-access-cred") to
// name a volume of the pod; with a longer name the pod is refused and the VM never starts.
const maxCredentialName = maxName - len("-access-cred")

// SSHKeysSecretName is the name of the Secret with the public keys that a VM accepts: the VM's name
// with a suffix, shortened by a hash where the pod's volume would get too long a name.
func SSHKeysSecretName(vm string) string {
	const suffix = "-ssh-keys"
	if len(vm)+len(suffix) <= maxCredentialName {
		return vm + suffix
	}
	sum := sha256.Sum256([]byte(vm))
	tail := "-" + hex.EncodeToString(sum[:4]) + suffix
	return strings.TrimRight(vm[:maxCredentialName-len(tail)], "-") + tail
}
