package github

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"kv-shepherd.io/shepherd/bot/forge"
)

// Answers keeps the forge's answers. It holds what is private to the repository, and no credential.
type Answers interface {
	// Load finds an answer. Where there is none, or none can be read, it is false.
	Load(ctx context.Context, key string) (forge.Answer, bool)
	// Keep keeps an answer, if it can.
	Keep(ctx context.Context, key string, a forge.Answer)
}

// What became of a question, for Config.Asked.
const (
	AskedNew       = "new"       // nothing was known
	AskedUnchanged = "unchanged" // what was known is still so, and the question cost nothing
	AskedChanged   = "changed"
)

const (
	maxKept = 1 << 20 // an answer that is larger is not kept
	maxTags = 6
)

// conditional asks the forge whether what it answered before is still so. It always asks: GitHub allows to use an answer
// for a minute without, but then a judging would not see the review that it was queued for.
//
// GitHub computes tags also from the token, of which each replica has its own, for an hour. So a body may have several
// tags, and all are sent: whoever asks, of one of them GitHub says that it is unchanged.
type conditional struct {
	scope   string // whose answers they are
	answers Answers
	heard   func(outcome string)
	next    http.RoundTripper
}

func (c *conditional) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet || !worthKeeping(req.URL.Path) {
		return c.next.RoundTrip(req)
	}
	ctx, key := req.Context(), c.key(req)
	known, found := c.answers.Load(ctx, key)
	if found {
		req = req.Clone(ctx)
		req.Header.Set("If-None-Match", strings.Join(known.ETags, ", "))
	}
	resp, err := c.next.RoundTrip(req)
	switch {
	case err != nil:
		return nil, err
	case found && resp.StatusCode == http.StatusNotModified:
		c.heard(AskedUnchanged)
		resp.Body.Close()
		return restored(resp, known), nil
	case resp.StatusCode != http.StatusOK:
		return resp, nil
	}
	return c.fresh(ctx, key, resp, known, found)
}

// fresh keeps an answer that is new.
func (c *conditional) fresh(ctx context.Context, key string, resp *http.Response, known forge.Answer, found bool) (*http.Response, error) {
	body, err := io.ReadAll(resp.Body) // in memory already
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	outcome := AskedNew
	a := forge.Answer{Link: resp.Header.Get("Link"), ContentType: resp.Header.Get("Content-Type"), Body: body}
	if found {
		outcome = AskedChanged
		if bytes.Equal(known.Body, body) && known.Link == a.Link && known.ContentType == a.ContentType {
			a.ETags = known.ETags
		}
	}
	c.heard(outcome)
	if tag := resp.Header.Get("ETag"); validTag(tag) && len(body) <= maxKept {
		a.ETags = slices.DeleteFunc(slices.Clone(a.ETags), func(t string) bool { return t == tag })
		a.ETags = slices.Insert(a.ETags, 0, tag)
		a.ETags = a.ETags[:min(len(a.ETags), maxTags)]
		c.answers.Keep(ctx, key, a)
	}
	return resp, nil
}

// validTag takes tags that a list can hold.
func validTag(tag string) bool {
	return len(tag) > 2 && len(tag) < 200 && strings.HasSuffix(tag, `"`) && !strings.ContainsAny(tag, ", \t\r\n")
}

// restored makes the answer of which the forge says that it is still so. What it says now (its clock, the limits) is kept.
func restored(resp *http.Response, known forge.Answer) *http.Response {
	h := resp.Header.Clone()
	h.Set("Content-Type", known.ContentType)
	h.Del("Link")
	if known.Link != "" {
		h.Set("Link", known.Link)
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: resp.Proto, ProtoMajor: resp.ProtoMajor, ProtoMinor: resp.ProtoMinor,
		Header: h, Body: io.NopCloser(bytes.NewReader(known.Body)), ContentLength: int64(len(known.Body)), Request: resp.Request,
	}
}

// key names a question. Whoever asks with other rights gets another answer.
func (c *conditional) key(req *http.Request) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{c.scope, req.Method, req.URL.String(), req.Header.Get("Accept")}, "\x00")))
	return hex.EncodeToString(sum[:])
}

// asked are the questions that are asked again and again: where a pull request and its reviews and commits stand, which
// are open, who is in a team. What is asked once (a list of comments to find our own, a merge's commits) is not kept.
var asked = regexp.MustCompile(`/(repositories/\d+|repos/[^/]+/[^/]+/(pulls|pulls/\d+|pulls/\d+/(reviews|commits)|issues/\d+/events|activity)|memberships/[^/]+)$`)

func worthKeeping(path string) bool { return asked.MatchString(path) }
