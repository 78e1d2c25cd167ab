package published

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Exchange is a request of the REST interface with its answer.
type Exchange struct {
	Route   string // a pattern of forgetest.Routes
	Request *http.Request
	Sent    []byte
	Status  int
	Header  http.Header
	Body    []byte
}

func (x Exchange) where() string { return x.Route + " → " + strconv.Itoa(x.Status) }

// CheckAnswer tells what of an exchange GitHub does not do: in the answer and, when it was a success, in the request.
func CheckAnswer(x Exchange) []Violation {
	out := checkForm(x)
	answered, sent := documentOf(x.Body), documentOf(x.Sent)
	for _, e := range restEditions() {
		op, known := e.Operations[x.Route]
		if !known {
			out = append(out, Violation{x.Route, "", "is not described", e.name})
			continue
		}
		out = append(out, e.checkAnswer(op, x, answered)...)
		if x.Status < 300 {
			out = append(out, e.checkRequest(op, x, sent)...)
		}
	}
	return append(out, checkFields(x, answered)...)
}

// checkFields tells which fields of a successful answer no edition describes.
func checkFields(x Exchange, doc document) []Violation {
	var schemas []described
	for _, e := range restEditions() {
		var s map[string]any
		raw := e.Operations[x.Route].Answers[strconv.Itoa(x.Status)].Schema
		if json.Unmarshal(raw, &s) == nil && s != nil {
			schemas = append(schemas, described{e, s})
		}
	}
	v, err := doc()
	if err != nil || x.Status >= 300 || len(schemas) == 0 {
		return nil
	}
	fields := undescribedFields(v, schemas, "")
	slices.Sort(fields)
	var out []Violation
	for _, at := range slices.Compact(fields) {
		if violation := wrongf(x.where(), at, "is no field that GitHub describes"); !violation.explained() {
			out = append(out, violation)
		}
	}
	return out
}

// undescribed are the statuses that any operation may answer, which GitHub's documentation tells of in general and
// the description only of some operations.
var undescribed = []int{
	http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusTooManyRequests,
	http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable,
}

func undescribedFor(method string) []int {
	if method == http.MethodGet {
		return []int{http.StatusNotModified, http.StatusMovedPermanently}
	}
	return []int{http.StatusUnprocessableEntity, http.StatusTemporaryRedirect}
}

func (e *edition) checkAnswer(op operation, x Exchange, doc document) []Violation {
	status := strconv.Itoa(x.Status)
	answer, known := op.Answers[status]
	if !known {
		if !slices.Contains(undescribed, x.Status) && !slices.Contains(undescribedFor(x.Request.Method), x.Status) {
			return []Violation{{x.where(), "status", "is not described", e.name}}
		}
		return nil
	}
	at := []string{"operations", x.Route, "answers", status}
	var out []Violation
	for name := range answer.Headers {
		if v := x.Header.Get(name); v == "" && name != "Link" {
			out = append(out, Violation{x.where(), name, "header is missing", e.name})
		} else if v != "" {
			out = append(out, e.validateValue(x.where(), pointer(append(at, "headers", name)...), typed(answer.Headers[name], v))...)
		}
	}
	switch {
	case answer.Type == "" && len(x.Body) > 0 && x.Status < 300:
		out = append(out, Violation{x.where(), "", "has a body, none is described", e.name})
	case answer.Type != "" && len(x.Body) == 0:
		out = append(out, Violation{x.where(), "", "has no body, " + answer.Type + " is described", e.name})
	case answer.Schema != nil && answer.Type == "application/json":
		out = append(out, e.validate(x.where(), pointer(append(at, "schema")...), doc)...)
	}
	return out
}

var (
	weakOrStrong = regexp.MustCompile(`^(W/)?"[^"]+"$`)
	linkForm     = regexp.MustCompile(`^<https?://[^>]+>; rel="(next|prev|first|last)"$`)
)

// checkForm checks what holds for all answers.
func checkForm(x Exchange) []Violation {
	var out []Violation
	wrong := func(name, format string, args ...any) { out = append(out, wrongf(x.where(), name, format, args...)) }
	if x.Header.Get("X-GitHub-Request-Id") == "" {
		wrong("X-GitHub-Request-Id", "header is missing")
	}
	if len(x.Body) > 0 && x.Header.Get("Content-Type") != "application/json; charset=utf-8" {
		wrong("Content-Type", "is %q", x.Header.Get("Content-Type"))
	}
	if x.Request.Method == http.MethodGet && (x.Status == http.StatusOK || x.Status == http.StatusNotModified) &&
		!weakOrStrong.MatchString(x.Header.Get("ETag")) {
		wrong("ETag", "is %q", x.Header.Get("ETag"))
	}
	if (x.Status == http.StatusNotModified || x.Status == http.StatusNoContent) && len(x.Body) > 0 {
		wrong("", "has a body of %d bytes", len(x.Body))
	}
	if link := x.Header.Get("Link"); link != "" {
		for one := range strings.SplitSeq(link, ", ") {
			if !linkForm.MatchString(one) {
				wrong("Link", "has %s", one)
			}
		}
	}
	if x.Request.UserAgent() == "" {
		wrong("User-Agent", "of the request is missing; GitHub refuses it")
	}
	if x.Status >= 400 {
		out = append(out, checkRefusal(x)...)
	}
	return append(out, checkLimits(x)...)
}

// checkRefusal checks the body of an error, and that a refusal for a limit says when to come back.
func checkRefusal(x Exchange) []Violation {
	var body struct {
		Message *string `json:"message"`
		Docs    *string `json:"documentation_url"`
	}
	if err := json.Unmarshal(x.Body, &body); err != nil || body.Message == nil || body.Docs == nil {
		return []Violation{wrongf(x.where(), "", "is no error of GitHub's: %.100s", x.Body)}
	}
	limited := x.Status == http.StatusTooManyRequests || strings.Contains(*body.Message, "rate limit exceeded")
	if limited && x.Header.Get("Retry-After") == "" && x.Header.Get("X-RateLimit-Remaining") != "0" {
		return []Violation{wrongf(x.where(), "Retry-After", "is missing and X-RateLimit-Remaining is %q", x.Header.Get("X-RateLimit-Remaining"))}
	}
	return nil
}

// checkLimits checks the headers that tell how much of the hour is left, which all answers have but those of failures.
func checkLimits(x Exchange) []Violation {
	if x.Status >= 500 {
		return nil
	}
	var out []Violation
	for _, name := range []string{"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Used", "X-RateLimit-Reset"} {
		if n, err := strconv.ParseInt(x.Header.Get(name), 10, 64); err != nil || n < 0 {
			out = append(out, wrongf(x.where(), name, "is %q, want a number", x.Header.Get(name)))
		}
	}
	if x.Header.Get("X-RateLimit-Resource") == "" {
		out = append(out, wrongf(x.where(), "X-RateLimit-Resource", "header is missing"))
	}
	return out
}
