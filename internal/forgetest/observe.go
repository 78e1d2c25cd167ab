package forgetest

import "net/http"

// Observer sees every answer of the REST interface and every webhook, as they leave the server. Its methods are called
// from several goroutines at once, and may not keep what they are given.
type Observer interface {
	// Answered gets the route's pattern, the request with the body that was sent, and the answer.
	Answered(route string, r *http.Request, sent []byte, status int, header http.Header, body []byte)
	// Delivered gets a webhook before it is sent.
	Delivered(header http.Header, body []byte)
}
