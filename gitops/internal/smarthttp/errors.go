package smarthttp

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// ErrUnsupported says that the server does not speak what this package needs: protocol version 2
// and SHA-1 object names.
var ErrUnsupported = errors.New("git server without protocol version 2 or with another object format")

// ErrNotOurRef says that the server does not have (or does not give) an object that was wanted.
var ErrNotOurRef = errors.New("the git server does not have the object")

// StatusError is an answer other than 200.
type StatusError struct {
	Status     int           // HTTP status code
	RetryAfter time.Duration // how long the server asked to wait, or 0
}

// Error implements error.
func (e *StatusError) Error() string {
	return fmt.Sprintf("git server answered %d %s", e.Status, http.StatusText(e.Status))
}

func statusError(resp *http.Response) error {
	e := &StatusError{Status: resp.StatusCode}
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		e.RetryAfter = time.Duration(s) * time.Second
	}
	return e
}
