package seal

import (
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// redacted is what everybody sees of a Secret that is set.
const redacted = "[redacted]"

// Secret is a configured secret (a password, a token, a private key) that shows itself only to
// Reveal. It decodes from text, so from JSON, YAML and environment variables. The zero Secret is
// empty, and prints as nothing, so that what is not set can be told from what is.
//
// The value sits behind a pointer because fmt ignores methods on unexported fields: printing a
// struct that holds a Secret shows an address.
type Secret struct{ value *string }

// NewSecret wraps a value.
func NewSecret(value string) Secret { return Secret{&value} }

// Reveal returns the value. Every use of a secret is found by searching for this name.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Empty reports whether there is no secret.
func (s Secret) Empty() bool { return s.Reveal() == "" }

// Equal compares in constant time for values of equal length.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// UnmarshalText takes the text as the secret's value.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return nil
}

// String returns "[redacted]", or nothing for an empty secret.
func (s Secret) String() string {
	if s.Empty() {
		return ""
	}
	return redacted
}

// GoString is String.
func (s Secret) GoString() string { return s.String() }

// Format prints String for every verb, %x and %d included.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue logs String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText encodes String, in JSON and YAML too: a configuration that is printed shows no secret.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
