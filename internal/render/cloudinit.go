package render

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubevirtv1 "kubevirt.io/api/core/v1"
)

const (
	// maxInline is KubeVirt's limit, in bytes, for user data and for network data within the VM.
	maxInline = 2048
	// minimalUserData makes a data source that changes nothing, for what needs one to travel in.
	minimalUserData = "#cloud-config\n"
)

// The keys under which KubeVirt looks into a cloud-init Secret.
const (
	userDataKey    = "userdata"
	networkDataKey = "networkdata"
)

// cloudInit adds the data source with the template's text, byte for byte, the network configuration
// and, through KubeVirt's access credentials, the public keys; none where there is nothing to say.
func (r *renderer) cloudInit(instance *kubevirtv1.VirtualMachineInstanceSpec, nics []nic) {
	user, network, keys := r.in.Template.CloudInit, networkData(nics), r.sshKeys()
	password := r.in.Template.InitialPassword
	if user == "" && network == "" && len(keys) == 0 && password == nil {
		return
	}
	if user == "" {
		user = minimalUserData
	}
	source, data := &kubevirtv1.CloudInitNoCloudSource{}, map[string][]byte{}
	ref := &corev1.LocalObjectReference{Name: CloudInitSecretName(r.name)}
	switch {
	case password != nil:
		source.UserDataSecretRef = ref
		r.initialPassword(password.User, user)
		ref = &corev1.LocalObjectReference{Name: NetworkSecretName(r.name)} // the other is never written again
	case len(user) <= maxInline:
		source.UserData = user
	default:
		source.UserDataSecretRef, data[userDataKey] = ref, []byte(user)
	}
	if len(network) <= maxInline {
		source.NetworkData = network
	} else {
		source.NetworkDataSecretRef, data[networkDataKey] = ref, []byte(network)
	}
	if len(data) > 0 {
		r.secret(ref.Name, data)
	}
	r.attach(instance,
		kubevirtv1.Volume{Name: CloudInitVolume, VolumeSource: kubevirtv1.VolumeSource{CloudInitNoCloud: source}},
		kubevirtv1.Disk{Name: CloudInitVolume})
	r.accessCredentials(instance, keys)
}

// initialPassword adds the Secrets that are completed with a password when they are made: the one that says it, and
// the one with the user data that sets it.
func (r *renderer) initialPassword(user, text string) {
	r.generated(InitialPasswordSecretName(r.name), GeneratePassword, corev1.SecretTypeBasicAuth, UsernameKey, user)
	r.generated(CloudInitSecretName(r.name), GenerateUserData, corev1.SecretTypeOpaque, userDataKey, text)
}

func (r *renderer) generated(name, what string, kind corev1.SecretType, key, value string) {
	r.secret(name, map[string][]byte{key: []byte(value)})
	secret := &r.secrets[len(r.secrets)-1]
	secret.Annotations, secret.Type = map[string]string{AnnotationGenerate: what}, kind
}

func (r *renderer) accessCredentials(instance *kubevirtv1.VirtualMachineInstanceSpec, keys []string) {
	if len(keys) == 0 {
		return
	}
	name, data := SSHKeysSecretName(r.name), make(map[string][]byte, len(keys))
	for _, key := range keys {
		// Named by content: adding a key touches no other entry.
		sum := sha256.Sum256([]byte(key))
		data["key-"+hex.EncodeToString(sum[:8])] = []byte(key)
	}
	r.secret(name, data)
	instance.AccessCredentials = []kubevirtv1.AccessCredential{{
		SSHPublicKey: &kubevirtv1.SSHPublicKeyAccessCredential{
			Source: kubevirtv1.SSHPublicKeyAccessCredentialSource{
				Secret: &kubevirtv1.AccessCredentialSecretSource{SecretName: name}},
			PropagationMethod: kubevirtv1.SSHPublicKeyAccessCredentialPropagationMethod{
				NoCloud: &kubevirtv1.NoCloudSSHPublicKeyAccessCredentialPropagation{}},
		},
	}}
}

// sshKeys are the VM's keys and its system's, each once; their order means nothing.
func (r *renderer) sshKeys() []string {
	var keys []string
	for _, key := range slices.Concat(r.in.VM.SSHKeys, r.in.SystemSSHKeys) {
		if key = strings.TrimSpace(key); key != "" {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (r *renderer) secret(name string, data map[string][]byte) {
	r.secrets = append(r.secrets, corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: KindSecret},
		ObjectMeta: r.meta(name),
		Type:       corev1.SecretTypeOpaque,
		Data:       data,
	})
}
