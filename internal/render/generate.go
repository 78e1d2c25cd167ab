package render

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/textproto"
	"slices"

	"github.com/go-crypt/crypt/algorithm/shacrypt"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// AnnotationGenerate marks a Secret that is completed once, when it is made: what it then holds is in no plan and
// no digest, and is never written again. Its value says with what.
const AnnotationGenerate = Prefix + "generate"

// The values of AnnotationGenerate.
const (
	// GeneratePassword is a Secret with a user name, which gets the user's password.
	GeneratePassword = "password"
	// GenerateUserData is a Secret with cloud-init user data, which gets a part that sets the password.
	GenerateUserData = "userdata"
)

// The keys of the Secret with a VM's first password, as Kubernetes' type for such Secrets has them.
const (
	UsernameKey = corev1.BasicAuthUsernameKey
	PasswordKey = corev1.BasicAuthPasswordKey
)

// InitialPasswordSecretName is the name of the Secret with a VM's first password.
func InitialPasswordSecretName(vm string) string { return vm + "-initial-password" }

// Generates is the value of AnnotationGenerate that a manifest has; empty for most.
func Generates(m Manifest) string {
	if m.Kind != KindSecret {
		return ""
	}
	object, err := m.object()
	if err != nil {
		return ""
	}
	what, _ := metadata(object, "annotations")[AnnotationGenerate].(string)
	return what
}

// Generate completes the manifests of a VM's Secrets that are to be completed with a password, and with its hash
// under a salt of 1 to 16 letters and digits. The others come out as they are. It fails where a Secret is marked
// that cannot be completed.
func Generate(ms []Manifest, password, salt string) ([]Manifest, error) {
	user, err := userOf(ms)
	if err != nil {
		return nil, err
	}
	out := slices.Clone(ms)
	for i, m := range ms {
		var err error
		switch what := Generates(m); what {
		case "":
			continue
		case GeneratePassword:
			out[i], err = withData(m, PasswordKey, func([]byte) ([]byte, error) { return []byte(password), nil })
		case GenerateUserData:
			out[i], err = withData(m, userDataKey, func(text []byte) ([]byte, error) { return userData(text, user, password, salt) })
		default:
			err = fmt.Errorf("nothing is known that is called %q", what)
		}
		if err != nil {
			return nil, fmt.Errorf("complete %s %s: %w", m.Kind, m.Name, err)
		}
	}
	return out, nil
}

// userOf is the user whom the password is for; empty where nothing is to be completed.
func userOf(ms []Manifest) (string, error) {
	marked := false
	for _, m := range ms {
		what := Generates(m)
		marked = marked || what != ""
		if what != GeneratePassword {
			continue
		}
		name, err := secretValue(m, UsernameKey)
		if err != nil || len(name) == 0 {
			return "", fmt.Errorf("read the user of %s %s: %w", m.Kind, m.Name, errors.Join(err, errNoUser))
		}
		return string(name), nil
	}
	if marked {
		return "", errNoUser
	}
	return "", nil
}

var errNoUser = errors.New("no Secret says whose password it is")

func secretValue(m Manifest, key string) ([]byte, error) {
	object, err := m.object()
	if err != nil {
		return nil, err
	}
	data, _ := object["data"].(map[string]any)
	text, _ := data[key].(string)
	return base64.StdEncoding.DecodeString(text)
}

// withData returns a Secret with another value at a key.
func withData(m Manifest, key string, edit func([]byte) ([]byte, error)) (Manifest, error) {
	was, err := secretValue(m, key)
	if err != nil {
		return Manifest{}, err
	}
	is, err := edit(was)
	if err != nil {
		return Manifest{}, err
	}
	object, err := m.object()
	if err != nil {
		return Manifest{}, err
	}
	data, ok := object["data"].(map[string]any)
	if !ok {
		data = map[string]any{}
		object["data"] = data
	}
	data[key] = base64.StdEncoding.EncodeToString(is)
	return fromMap(object)
}

// userData is a MIME archive of the template's text, byte for byte, and a cloud-config that sets the user's
// password, to be changed at the first login.
func userData(text []byte, user, password, salt string) ([]byte, error) {
	hash, err := sha512Crypt(password, salt)
	if err != nil {
		return nil, err
	}
	second, err := yaml.Marshal(map[string]any{"chpasswd": map[string]any{
		"expire": true, "users": []any{map[string]any{"name": user, "password": hash, "type": "hash"}},
	}})
	if err != nil {
		return nil, fmt.Errorf("write the part with the password: %w", err)
	}
	return archive(text, append([]byte(minimalUserData), second...))
}

// archive packs cloud-config parts. They are encoded, as nothing else keeps line ends and the last line as they are.
func archive(parts ...[]byte) ([]byte, error) {
	var out bytes.Buffer
	w := multipart.NewWriter(&out)
	sum := sha256.Sum256(bytes.Join(parts, nil)) // the same parts make the same archive
	if err := w.SetBoundary("shepherd-" + hex.EncodeToString(sum[:16])); err != nil {
		return nil, err
	}
	fmt.Fprintf(&out, "Content-Type: multipart/mixed; boundary=%q\r\nMIME-Version: 1.0\r\n\r\n", w.Boundary())
	for _, part := range parts {
		body, err := w.CreatePart(textproto.MIMEHeader{
			"Content-Type": {`text/cloud-config; charset="utf-8"`}, "Content-Transfer-Encoding": {"base64"}, "Mime-Version": {"1.0"},
		})
		if err != nil {
			return nil, err
		}
		if _, err := io.WriteString(body, wrapped(base64.StdEncoding.EncodeToString(part))); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// wrapped breaks encoded text into lines that mail readers take.
func wrapped(text string) string {
	const width = 76
	var b bytes.Buffer
	for len(text) > width {
		b.WriteString(text[:width] + "\r\n")
		text = text[width:]
	}
	return b.String() + text + "\r\n"
}

// rounds are those that crypt(5) takes when none are named; the password is random, and nothing is won by more.
const rounds = 5000

func sha512Crypt(password, salt string) (string, error) {
	hasher, err := shacrypt.New(shacrypt.WithSHA512(), shacrypt.WithIterations(rounds))
	if err != nil {
		return "", fmt.Errorf("set up SHA-512 crypt: %w", err)
	}
	hash, err := hasher.HashWithSalt(password, []byte(salt))
	if err != nil {
		return "", fmt.Errorf("hash the password: %w", err)
	}
	return hash.Encode(), nil
}
