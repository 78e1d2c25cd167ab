// Package seal keeps secrets that have to be stored: AES-256-GCM under one of several named keys,
// so that keys can be rotated without decrypting everything at once.
//
// A sealed value is one opaque byte string that names its key. The associated data given to Seal
// has to be given again to Open: a value copied into another row does not open there.
//
// Nothing in this package prints key material or a Secret: fmt, slog, JSON and YAML all show
// "[redacted]".
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
)

// version 1 is: the version byte, the length of the key id, the key id, a 12-byte nonce, the
// ciphertext with its 16-byte tag. The bytes before the nonce are authenticated too.
const version = 1

// overhead is what AES-GCM with a random nonce adds to a plaintext: nonce and tag.
const overhead = 12 + 16

// ErrTampered is returned by Open when a value was changed, was cut, belongs to other associated
// data, or was never sealed at all. Which of these it was is not said.
var ErrTampered = errors.New("sealed value does not open: changed, or bound to something else")

// UnknownKeyError is returned by Open for a value sealed with a key that the keyring does not hold,
// which usually means that a key was taken out of the configuration too early.
type UnknownKeyError struct{ KeyID string }

func (e UnknownKeyError) Error() string {
	return fmt.Sprintf("no key %q in the keyring", e.KeyID)
}

// Seal encrypts plaintext with the keyring's first key and binds it to associated, which is not
// stored. Sealing the same twice gives different bytes.
func (k *Keyring) Seal(plaintext, associated []byte) []byte {
	first := k.keys[0]
	head := header(first.id)
	return first.aead.Seal(head, nil, plaintext, bind(head, associated))
}

// Open decrypts what Seal made with the same associated data. The error is an UnknownKeyError or
// ErrTampered.
func (k *Keyring) Open(sealed, associated []byte) ([]byte, error) {
	id, rest, err := split(sealed)
	if err != nil {
		return nil, err
	}
	key, ok := k.find(id)
	if !ok {
		return nil, UnknownKeyError{KeyID: id}
	}
	head := sealed[:len(sealed)-len(rest)]
	plaintext, err := key.aead.Open(nil, nil, rest, bind(head, associated))
	if err != nil {
		return nil, ErrTampered
	}
	return plaintext, nil
}

// KeyID returns the id of the key that a value was sealed with, so that rows under an old key can be
// found and sealed again. It returns ErrTampered for bytes that Seal cannot have made.
func KeyID(sealed []byte) (string, error) {
	id, _, err := split(sealed)
	return id, err
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func header(id string) []byte {
	return append([]byte{version, byte(len(id))}, id...)
}

// bind joins header and associated data; the header carries its own length, so no two pairs give the
// same bytes.
func bind(head, associated []byte) []byte {
	return append(append(make([]byte, 0, len(head)+len(associated)), head...), associated...)
}

func split(sealed []byte) (id string, rest []byte, err error) {
	if len(sealed) < 2 || sealed[0] != version {
		return "", nil, ErrTampered
	}
	end := 2 + int(sealed[1])
	if end == 2 || len(sealed) < end+overhead {
		return "", nil, ErrTampered
	}
	id = string(sealed[2:end])
	if !keyID.MatchString(id) {
		return "", nil, ErrTampered
	}
	return id, sealed[end:], nil
}
