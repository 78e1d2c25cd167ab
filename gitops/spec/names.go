package spec

import (
	"fmt"
	"strings"

	"kv-shepherd.io/shepherd/internal/domain"
)

// The lengths that names keep. A VM's name is made of three names and an index, and has to fit into
// a label and a host name.
const (
	MaxName         = 15
	WarnName        = 12
	MaxPlatformName = 40
	maxLogin        = 39
)

// CheckName says what is wrong with the name of a system, service or namespace, or nil. what is the
// word for the thing in the sentence, such as "system".
func CheckName(what, name string) *domain.Problem {
	return checkName(what, name, MaxName, false)
}

// LongName is the warning about a name that is legal but long, or nil.
func LongName(what, name string) *domain.Problem {
	if len(name) <= WarnName || len(name) > MaxName {
		return nil
	}
	return &domain.Problem{
		Code: domain.NameLengthWarning, Severity: domain.Warning,
		Message: fmt.Sprintf("the %s name %s has %d characters; names over %d make VM names hard to read", what, quote(name), len(name), WarnName),
		Hint:    fmt.Sprintf("consider a shorter one, for example %q", shorten(name, WarnName)),
	}
}

func checkName(what, name string, limit int, dots bool) *domain.Problem {
	allowed := "a-z, 0-9 and -"
	if dots {
		allowed = "a-z, 0-9, - and ."
	}
	if wellFormed(name, dots) {
		if len(name) <= limit {
			return nil
		}
		return &domain.Problem{
			Code: domain.NameTooLong, Severity: domain.Error,
			Message: fmt.Sprintf("the %s name %s has %d characters; at most %d are allowed", what, quote(name), len(name), limit),
			Hint:    fmt.Sprintf("choose a shorter one, for example %q", shorten(name, limit)),
		}
	}
	p := &domain.Problem{
		Code: domain.NameInvalid, Severity: domain.Error,
		Message: fmt.Sprintf("%s is not a valid %s name", quote(name), what),
		Hint:    "use " + allowed + ": a letter first, a letter or digit last, no two hyphens in a row",
	}
	if better := shorten(slug(name, dots), limit); better != "" {
		p.Hint += fmt.Sprintf("; for example %q", better)
	}
	return p
}

// wellFormed is the shape of all names: it says nothing about their length.
func wellFormed(name string, dots bool) bool {
	if name == "" || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for i := range len(name) {
		c := name[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
		case c == '-' || c == '.' && dots:
			if i+1 == len(name) || name[i+1] == '-' || name[i+1] == '.' {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// slug is the well-formed name nearest to s, or "" when s has no letter to begin with.
func slug(s string, dots bool) string {
	var b strings.Builder
	separator := byte(0)
	for _, r := range strings.ToLower(clip(s, 100)) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9' && b.Len() > 0:
			if separator != 0 {
				b.WriteByte(separator)
				separator = 0
			}
			b.WriteRune(r)
		case b.Len() > 0 && separator == 0:
			separator = '-'
			if r == '.' && dots {
				separator = '.'
			}
		}
	}
	return b.String()
}

// shorten cuts a well-formed name to limit, at a hyphen when that keeps more than half of it.
func shorten(name string, limit int) string {
	if len(name) <= limit {
		return name
	}
	cut := name[:limit]
	if i := strings.LastIndexAny(cut, "-."); name[limit] != '-' && i > limit/2 {
		cut = cut[:i]
	}
	return strings.TrimRight(cut, "-.")
}

// validLogin is the forge's rule for logins: letters, digits and single hyphens inside; one
// underscore sets off the short code of a managed enterprise user.
func validLogin(login string) bool {
	if login == "" || len(login) > maxLogin {
		return false
	}
	underscore := false
	for i := range len(login) {
		c := login[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			continue
		case c == '_' && !underscore:
			underscore = true
		case c == '-':
		default:
			return false
		}
		if i == 0 || i+1 == len(login) || login[i+1] == '-' || login[i+1] == '_' {
			return false
		}
	}
	return true
}
