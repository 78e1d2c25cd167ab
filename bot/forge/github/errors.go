package github

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/bradleyfalzon/ghinstallation/v2"
	gh "github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/bot/forge"
)

// errMisfit is an answer about something else than what was asked for, or with its essential parts missing.
var errMisfit = errors.New("the answer does not fit the question")

// errElsewhere is an answer from another repository: ours was renamed and its old name was taken.
var errElsewhere = errors.New("the answer is about another repository")

// secondaryWait is how long GitHub asks to wait after a secondary limit that names no time.
const secondaryWait = time.Minute

// failure turns an error of go-github, of the token's minting or of the network into the vocabulary's. It is the one
// place where that is decided.
func (c *Client) failure(doing string, err error) error {
	if err == nil {
		return nil
	}
	var (
		wait    forge.LaterError
		primary *gh.RateLimitError
		abuse   *gh.AbuseRateLimitError
		refusal *gh.ErrorResponse
		minting *ghinstallation.HTTPError
	)
	switch {
	case errors.As(err, &wait):
		return c.later(doing, wait.Until, wait.Reason)
	case errors.As(err, &primary):
		return c.later(doing, primary.Rate.Reset.Time, "the hourly limit of requests is used up")
	case errors.As(err, &abuse):
		wait := secondaryWait
		if abuse.RetryAfter != nil {
			wait = *abuse.RetryAfter
		}
		return c.later(doing, c.now().Add(wait), "a secondary limit was hit")
	case errors.As(err, &refusal):
		return c.refusal(doing, refusal)
	case errors.As(err, &minting) && minting.Response != nil:
		return c.mintingFailure(doing, minting.Response)
	}
	return fmt.Errorf("%s: %w", doing, c.redactor.hide(err))
}

// refusal sorts an answer with an error status.
func (c *Client) refusal(doing string, e *gh.ErrorResponse) error {
	if until, limited := c.limit(e.Response, e.Message); limited {
		return c.later(doing, until, "a limit of requests was hit")
	}
	text := c.redactor.line(describe(e))
	if kind := kindOf(e.Response.StatusCode, text); kind != nil {
		return fmt.Errorf("%s: %w: %s", doing, kind, text)
	}
	return fmt.Errorf("%s: %s", doing, text)
}

// mintingFailure sorts a failed token request. Not found means that the App is not installed any more: a refusal of
// everything, and never the absence of the thing that was asked for.
func (c *Client) mintingFailure(doing string, resp *http.Response) error {
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // only searched for the word limit
	if until, limited := c.limit(resp, string(body)); limited {
		return c.later(doing, until, "a limit of requests was hit while minting a token")
	}
	text := fmt.Sprintf("the App's token was not minted: HTTP %d", resp.StatusCode)
	if resp.StatusCode >= 400 && resp.StatusCode < 500 {
		return fmt.Errorf("%s: %w: %s", doing, forge.ErrRefused, text)
	}
	return fmt.Errorf("%s: %s", doing, text)
}

// limit recognises the refusals that ask to wait and go-github has no type for.
func (c *Client) limit(resp *http.Response, message string) (time.Time, bool) {
	after, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	asked := err == nil && after >= 0
	message = strings.ToLower(message)
	spoken := strings.Contains(message, "rate limit") || strings.Contains(message, "abuse detection")
	switch {
	case resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusTooManyRequests:
		return time.Time{}, false
	case asked:
		return c.now().Add(time.Duration(after) * time.Second), true
	case resp.Header.Get("X-RateLimit-Remaining") == "0":
		reset, _ := strconv.ParseInt(resp.Header.Get("X-RateLimit-Reset"), 10, 64)
		return time.Unix(reset, 0), true
	case resp.StatusCode == http.StatusTooManyRequests || spoken:
		return c.now().Add(secondaryWait), true
	}
	return time.Time{}, false
}

func (c *Client) later(doing string, until time.Time, reason string) error {
	if soonest := c.now().Add(time.Second); until.Before(soonest) {
		until = soonest
	}
	return fmt.Errorf("%s: %w", doing, forge.LaterError{Until: until, Reason: reason})
}

// conflicts are the 422 answers that mean a lost race. GitHub has no code for them.
var conflicts = regexp.MustCompile(`(?i)not a fast.forward|already exists|reference does not exist|does not match|is at .* but expected|was modified`)

func kindOf(status int, text string) error {
	switch status {
	case http.StatusNotFound, http.StatusGone:
		return forge.ErrNotFound
	case http.StatusConflict, http.StatusMethodNotAllowed, http.StatusPreconditionFailed:
		return forge.ErrConflict
	case http.StatusUnprocessableEntity:
		if conflicts.MatchString(text) {
			return forge.ErrConflict
		}
		return forge.ErrRefused
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden,
		http.StatusRequestEntityTooLarge, http.StatusUnavailableForLegalReasons:
		return forge.ErrRefused
	}
	return nil
}

func describe(e *gh.ErrorResponse) string {
	parts := []string{fmt.Sprintf("HTTP %d", e.Response.StatusCode)}
	if e.Message != "" {
		parts = append(parts, e.Message)
	}
	for _, d := range e.Errors {
		parts = append(parts, strings.Join(strings.Fields(strings.Join([]string{d.Resource, d.Field, d.Code, d.Message}, " ")), " "))
	}
	return strings.Join(parts, ": ")
}

// status is the HTTP status of an answer that go-github made an error of, or 0.
func status(err error) int {
	var refusal *gh.ErrorResponse
	if errors.As(err, &refusal) && refusal.Response != nil {
		return refusal.Response.StatusCode
	}
	return 0
}

func mayHaveMoved(err error) bool {
	if errors.Is(err, errElsewhere) {
		return true
	}
	switch status(err) {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect,
		http.StatusNotFound:
		return true
	}
	return false
}

// redactor takes credentials out of text that others wrote: an answer or a proxy may echo what it was sent.
type redactor struct{ token string }

func newRedactor(token string) redactor { return redactor{token} }

var credentials = regexp.MustCompile(`gh[a-z]_[A-Za-z0-9_.-]+|github_pat_\w+|eyJ[\w-]+\.[\w-]+\.[\w-]*|(?i:bearer|token|basic) [^\s"',;]{16,}|://[^/\s"@]+@`)

const maxText = 400

// line makes one short line without credentials.
func (r redactor) line(s string) string {
	if r.token != "" {
		s = strings.ReplaceAll(s, r.token, "[redacted]")
	}
	s = credentials.ReplaceAllString(s, "[redacted]")
	s = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return ' '
		}
		return c
	}, s)
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "…"
	}
	return s
}

// hidden shows a redacted text and keeps what errors.Is and errors.As look for.
type hidden struct {
	text  string
	cause error
}

func (h *hidden) Error() string { return h.text }
func (h *hidden) Unwrap() error { return h.cause }

// hide drops the URL that net/http puts around a failed request, and redacts the rest.
func (r redactor) hide(err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	return &hidden{text: r.line(err.Error()), cause: err}
}
