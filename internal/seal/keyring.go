package seal

import (
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
)

// keySize is the length of an AES-256 key.
const keySize = 32

var keyID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)

// Keyring holds the keys in the order of the configuration: the first one seals, all of them open.
// It is immutable and safe for concurrent use.
type Keyring struct{ keys []key }

// key holds the cipher, not the bytes: fmt cannot follow it to the key, whatever verb it is given.
type key struct {
	id   string
	aead cipher.AEAD
}

// ParseKeyring reads keys from text: one or more of KEY or ID:KEY, separated by commas or white
// space, where KEY is 32 bytes in base64 (either alphabet, padded or not) or hex. Without an id a key
// is named by the first 8 hex digits of its SHA-256. Errors name a key by its position, never by its
// content.
func ParseKeyring(text Secret) (*Keyring, error) {
	entries := strings.FieldsFunc(text.Reveal(), func(r rune) bool {
		return strings.ContainsRune(", \t\r\n", r)
	})
	if len(entries) == 0 {
		return nil, errors.New("keyring is empty: give at least one 32-byte key in base64 or hex")
	}
	ring := &Keyring{}
	for i, entry := range entries {
		k, err := parseKey(entry)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		if _, taken := ring.find(k.id); taken {
			return nil, fmt.Errorf("key %d: id %q is taken by an earlier key", i+1, k.id)
		}
		ring.keys = append(ring.keys, k)
	}
	return ring, nil
}

// IDs lists the keys' ids; the first is the one that seals.
func (k *Keyring) IDs() []string {
	ids := make([]string, len(k.keys))
	for i, key := range k.keys {
		ids[i] = key.id
	}
	return ids
}

func (k *Keyring) find(id string) (key, bool) {
	for _, key := range k.keys {
		if key.id == id {
			return key, true
		}
	}
	return key{}, false
}

func parseKey(entry string) (key, error) {
	id, text, named := strings.Cut(entry, ":")
	if !named {
		id, text = "", entry
	}
	raw, ok := decodeKey(text)
	if !ok {
		return key{}, fmt.Errorf("not %d bytes in base64 or hex", keySize)
	}
	if !named {
		sum := sha256.Sum256(raw)
		id = hex.EncodeToString(sum[:4])
	}
	if !keyID.MatchString(id) {
		return key{}, errors.New("id is not 1 to 63 letters, digits, dots, dashes or underscores")
	}
	aead, err := newAEAD(raw)
	if err != nil {
		return key{}, fmt.Errorf("set up the cipher: %w", err)
	}
	return key{id: id, aead: aead}, nil
}

// decodeKey tries hex before base64: 64 hex digits are also valid base64, but of 48 bytes.
func decodeKey(text string) ([]byte, bool) {
	decoders := []func(string) ([]byte, error){
		hex.DecodeString,
		base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString,
		base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	}
	for _, decode := range decoders {
		if raw, err := decode(text); err == nil && len(raw) == keySize {
			return raw, true
		}
	}
	return nil, false
}

// String names the keys by id.
func (k *Keyring) String() string {
	if k == nil {
		return "keyring()"
	}
	return "keyring(" + strings.Join(k.IDs(), " ") + ")"
}

// GoString is String: %#v shows no key material either.
func (k *Keyring) GoString() string { return k.String() }

// Format prints String for every verb, so that %x and %d show no key material.
func (k *Keyring) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.String()) }

// LogValue logs String.
func (k *Keyring) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText encodes String, in JSON and YAML too; it cannot be read back.
func (k *Keyring) MarshalText() ([]byte, error) { return []byte(k.String()), nil }
