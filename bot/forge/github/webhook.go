package github

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
)

// What a delivery can be refused for.
var (
	// ErrSignature is a delivery that nobody with one of the secrets has signed.
	ErrSignature = errors.New("the delivery's signature does not fit")
	// ErrNoSecret is our own mistake: without a secret everything could be accepted, so nothing is.
	ErrNoSecret = errors.New("no webhook secret, or an empty one")
	// ErrMalformed is a delivery that GitHub would not send.
	ErrMalformed = errors.New("the delivery is malformed")
	// ErrMismatch is a body under another event's name. The signature covers the body only, so a body that was
	// seen once could be sent again as something else.
	ErrMismatch = errors.New("the event's name does not fit the body")
)

const (
	signatureHeader = "X-Hub-Signature-256"
	signaturePrefix = "sha256="
)

// Verify checks a delivery's SHA-256 signature against each of the secrets, in constant time; several are for
// rotation. The old SHA-1 header is never looked at. It returns ErrSignature or ErrNoSecret.
func Verify(header http.Header, body []byte, secrets [][]byte) error {
	if len(secrets) == 0 {
		return ErrNoSecret
	}
	for _, s := range secrets {
		if len(s) == 0 {
			return ErrNoSecret
		}
	}
	values := header.Values(signatureHeader)
	if len(values) != 1 {
		return fmt.Errorf("%w: %d headers %s", ErrSignature, len(values), signatureHeader)
	}
	digits, ok := strings.CutPrefix(values[0], signaturePrefix)
	given, err := hex.DecodeString(digits)
	if !ok || err != nil || len(given) != sha256.Size {
		return fmt.Errorf("%w: not %s and %d hexadecimal digits", ErrSignature, signaturePrefix, 2*sha256.Size)
	}
	fits := false
	for _, s := range secrets {
		mac := hmac.New(sha256.New, s)
		mac.Write(body)
		if hmac.Equal(mac.Sum(nil), given) {
			fits = true // no early end: the time must not tell which secret it was
		}
	}
	if !fits {
		return ErrSignature
	}
	return nil
}

var (
	deliveryPattern = regexp.MustCompile(`^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}$`)
	eventPattern    = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)
)

// Delivery reads a delivery's id (in lower case) and its event's name. Both come from headers, which no signature
// covers: the id serves to recognise a repetition and proves nothing. It returns ErrMalformed.
func Delivery(header http.Header) (id, event string, err error) {
	ids, events := header.Values("X-GitHub-Delivery"), header.Values("X-GitHub-Event")
	if len(ids) != 1 || !deliveryPattern.MatchString(ids[0]) {
		return "", "", fmt.Errorf("%w: the delivery's id is not a GUID", ErrMalformed)
	}
	if len(events) != 1 || !eventPattern.MatchString(events[0]) {
		return "", "", fmt.Errorf("%w: the event's name is none", ErrMalformed)
	}
	return strings.ToLower(ids[0]), events[0], nil
}
