package published

import (
	"errors"
	"net/mail"
	"net/url"
	"regexp"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// formats are those on which GitHub and the library differ, and those that the library does not have.
var formats = []*jsonschema.Format{
	{Name: "uri-template", Validate: ofText(checkTemplate)},
	{Name: "email", Validate: ofText(checkEmail)},
	{Name: "timestamp", Validate: func(any) error { return nil }}, // seconds; the type says all of it
}

func ofText(check func(string) error) func(any) error {
	return func(v any) error {
		if s, isText := v.(string); isText {
			return check(s)
		}
		return nil
	}
}

var expression = regexp.MustCompile(`\{[+#./;?&]?\w+(,\w+)*\}`)

// checkTemplate is RFC 6570 without the modifiers, which GitHub does not use. The library takes the slash in an
// expression such as {/sha} for the end of a path segment.
func checkTemplate(s string) error {
	plain := expression.ReplaceAllString(s, "x")
	if strings.ContainsAny(plain, "{}") {
		return errors.New("braces do not match")
	}
	_, err := url.Parse(plain)
	return err
}

// checkEmail lets the addresses of bots pass, in which GitHub writes brackets that RFC 5322 does not allow.
func checkEmail(s string) error {
	_, err := mail.ParseAddress(strings.Replace(s, "[bot]@", "@", 1))
	return err
}
