package command

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/internal/domain"
)

var digest8 = regexp.MustCompile(`^[0-9a-f]{8}$`)

// ParseConfirm reads the words after /confirm: the digest of what is confirmed, after the exact name where
// one has to be typed. The name is empty when only a digest was given; whether it is the right name is for
// the caller to say. The digest comes in lower case.
func ParseConfirm(args []string) (name, digest string, err *domain.Problem) {
	switch len(args) {
	case 1:
		digest = args[0]
	case 2:
		name, digest = args[0], args[1]
	case 0:
		return "", "", unconfirmed("/confirm does not say what is confirmed")
	default:
		return "", "", unconfirmed("/confirm takes a digest, or a name and a digest, and nothing more")
	}
	digest = strings.ToLower(digest)
	switch {
	case digest8.MatchString(digest):
		return name, digest, nil
	case digest8.MatchString(strings.ToLower(name)):
		return "", "", unconfirmed("the name comes first and the digest after it")
	case len(args) == 1:
		return "", "", unconfirmed("the digest is missing: " + quote(args[0]) + " is not one")
	}
	return "", "", unconfirmed(quote(args[1]) + " is not a digest")
}

func unconfirmed(message string) *domain.Problem {
	return &domain.Problem{
		Code: domain.DeleteConfirmationRequired, Severity: domain.Error, Message: message,
		Hint: "copy the line from Shepherd's comment: /confirm <digest>, or /confirm <name> <digest>; the digest is the eight characters shown there",
	}
}

// DroppedFields names the top-level fields that the accepted spec has and the modified one leaves out,
// sorted. Both are JSON objects, as spec.Canonical makes them; what is none has no fields.
func DroppedFields(accepted, modified json.RawMessage) []string {
	var before, after map[string]json.RawMessage
	if json.Unmarshal(accepted, &before) != nil {
		return nil
	}
	if json.Unmarshal(modified, &after) != nil {
		after = nil
	}
	var dropped []string
	for name := range before {
		if _, kept := after[name]; !kept {
			dropped = append(dropped, name)
		}
	}
	slices.Sort(dropped)
	return dropped
}
