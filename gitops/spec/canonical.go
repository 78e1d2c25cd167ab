package spec

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"time"

	"github.com/gowebpki/jcs"

	"kv-shepherd.io/shepherd/internal/domain"
)

// Canonical is the canonical JSON (RFC 8785) of a spec: two specs that mean the same have the same
// bytes, however their files are laid out and whatever unit a quantity is written in. Nothing is
// added: an empty field and the default that it stands for differ. s is a *Document, one of the
// kinds' types or a pointer to one, JSON as json.RawMessage (taken as canonical already), or nil,
// which is null. What JSON cannot hold, as no document can, comes out as a JSON string of its own.
func Canonical(s any) []byte {
	switch t := s.(type) {
	case nil:
		return []byte("null")
	case *Document:
		if t == nil {
			return []byte("null")
		}
		return Canonical(t.Spec)
	case json.RawMessage:
		if len(t) == 0 {
			return []byte("null")
		}
		return transform(t, nil)
	}
	v := reflect.ValueOf(s)
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return []byte("null")
	}
	data, err := json.Marshal(normal(v, "").Interface())
	return transform(data, err)
}

func transform(data []byte, err error) []byte {
	out, jcsErr := jcs.Transform(data)
	if err = errors.Join(err, jcsErr); err != nil {
		return fmt.Appendf(nil, "%q", hex.EncodeToString(fmt.Appendf(data, " %v", err)))
	}
	return out
}

// Equal reports whether two specs mean the same. It takes what Canonical takes.
func Equal(a, b any) bool { return bytes.Equal(Canonical(a), Canonical(b)) }

// Decode is the inverse of Canonical: the spec of a kind, as a pointer to its type, or nil for null.
// It returns an error for fields that the kind does not have.
func Decode(kind Kind, canonical []byte) (any, error) {
	if string(bytes.TrimSpace(canonical)) == "null" {
		return nil, nil
	}
	s := newSpec(kind)
	if s == nil {
		return nil, fmt.Errorf("decode spec: no kind %q", kind)
	}
	decoder := json.NewDecoder(bytes.NewReader(canonical))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(s); err != nil {
		return nil, fmt.Errorf("decode spec of kind %s: %w", kind, err)
	}
	return s, nil
}

// normalisers bring values that can be written in several ways into one, by format.
var normalisers = map[string]func(string) string{
	"quantity":  canonicalBytes,
	"amount":    canonicalAmount,
	"date-time": canonicalTime,
	"duration":  canonicalDuration,
	"ip":        canonicalIP,
}

func canonicalTime(s string) string {
	if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
		return t.UTC().Format(time.RFC3339Nano)
	}
	return s
}

func canonicalDuration(s string) string {
	if d, err := time.ParseDuration(s); err == nil {
		return d.String()
	}
	return s
}

func canonicalIP(s string) string {
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.String()
	}
	return s
}

// normal is a copy of v with its strings normalised by the formats of their fields.
func normal(v reflect.Value, format string) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		p := reflect.New(v.Type().Elem())
		p.Elem().Set(normal(v.Elem(), format))
		return p
	case reflect.Struct:
		c := reflect.New(v.Type()).Elem()
		c.Set(v)
		for _, f := range shapeOf(v.Type()).fields {
			c.Field(f.index).Set(normal(v.Field(f.index), f.rule.format))
		}
		return c
	case reflect.Slice:
		if v.Len() == 0 { // an empty list is none
			return reflect.Zero(v.Type())
		}
		c := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			c.Index(i).Set(normal(v.Index(i), format))
		}
		return c
	case reflect.String:
		if f := normalisers[format]; f != nil {
			c := reflect.New(v.Type()).Elem()
			c.SetString(f(v.String()))
			return c
		}
	}
	return v
}

// Change is what a change digest covers.
type Change struct {
	Operation   domain.Operation
	Ref         Ref
	Environment domain.Environment
	Accepted    any // what Canonical takes; nil for none
	Wanted      any // what Canonical takes; nil for none
}

// Digest is the change digest in hex: SHA-256 over the canonical JSON of operation, identity (the
// path), environment, accepted spec and wanted spec. Changes that mean the same have the same digest.
func Digest(c Change) string {
	data, err := json.Marshal(struct {
		Operation   domain.Operation   `json:"operation"`
		Identity    string             `json:"identity"`
		Environment domain.Environment `json:"environment"`
		Accepted    json.RawMessage    `json:"accepted"`
		Wanted      json.RawMessage    `json:"wanted"`
	}{c.Operation, c.Ref.Path(), c.Environment, Canonical(c.Accepted), Canonical(c.Wanted)})
	sum := sha256.Sum256(transform(data, err))
	return hex.EncodeToString(sum[:])
}

// Digest8 is the part of a digest that people are shown.
func Digest8(digest string) string { return digest[:min(8, len(digest))] }
