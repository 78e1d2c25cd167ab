package forgetest

import (
	"fmt"
	"net/http"
	"strings"
)

// Error is a refusal as GitHub words it: the HTTP status and the body's message and errors.
type Error struct {
	Status  int
	Message string
	Errors  []any

	header http.Header
	url    string // where what was asked for is now
	docs   string // where the documentation URL points; clients tell limits apart by it
}

// Error gives status and message, with the details that the body would carry.
func (e *Error) Error() string {
	if len(e.Errors) == 0 {
		return fmt.Sprintf("%d %s", e.Status, e.Message)
	}
	return fmt.Sprintf("%d %s %v", e.Status, e.Message, e.Errors)
}

func refuse(status int, format string, args ...any) *Error {
	return &Error{Status: status, Message: fmt.Sprintf(format, args...)}
}

func notFound() *Error { return refuse(http.StatusNotFound, "Not Found") }

// invalid is GitHub's "Validation Failed" for one field.
func invalid(resource, field, code, message string) *Error {
	detail := obj{"resource": resource, "field": field, "code": code}
	if message != "" {
		detail["message"] = message
	}
	return &Error{Status: http.StatusUnprocessableEntity, Message: "Validation Failed", Errors: []any{detail}}
}

// unprocessable is GitHub's other 422, whose errors are plain sentences.
func unprocessable(reasons ...string) *Error {
	e := refuse(http.StatusUnprocessableEntity, "Unprocessable Entity")
	for _, r := range reasons {
		e.Errors = append(e.Errors, r)
	}
	return e
}

func equalFold(a, b string) bool { return strings.EqualFold(a, b) }
