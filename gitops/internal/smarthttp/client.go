package smarthttp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/pktline"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
)

const (
	agent = "git/2.0-shepherd"
	// maxAnswer bounds the answers that are kept in memory (capabilities, references).
	maxAnswer    = 16 << 20
	maxRedirects = 5
)

// Auth gives the user name and password for a request; both empty means without.
type Auth func(ctx context.Context) (username, password string, err error)

// Client talks to one repository. It is safe for concurrent use.
type Client struct {
	http *http.Client
	auth Auth

	mu     sync.Mutex
	base   string          // the repository's URL, after redirects
	server map[string]bool // what the server can do; nil before the first request
}

// New makes a client. The URL is http or https, without credentials. auth and rt may be nil.
func New(repository string, auth Auth, rt http.RoundTripper) (*Client, error) {
	u, err := url.Parse(repository)
	if err != nil {
		return nil, errors.New("repository URL cannot be parsed") // the text may hold a password
	}
	if (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, fmt.Errorf("repository URL %s is not http or https", u.Redacted())
	}
	if u.User != nil {
		return nil, errors.New("repository URL holds credentials")
	}
	u.RawQuery, u.Fragment = "", ""
	c := &Client{auth: auth, base: strings.TrimSuffix(u.String(), "/")}
	c.http = &http.Client{Transport: rt, CheckRedirect: sameHost}
	return c, nil
}

// sameHost follows a server that moved a repository, but carries no credentials elsewhere, and
// never turns a POST into a GET.
func sameHost(req *http.Request, via []*http.Request) error {
	first := via[0]
	if first.Method != http.MethodGet || len(via) > maxRedirects {
		return http.ErrUseLastResponse
	}
	if req.URL.Host != first.URL.Host || req.URL.Scheme != first.URL.Scheme {
		return http.ErrUseLastResponse
	}
	return nil
}

// Refs asks where references point, by their full names. One that the server does not have is
// missing from the answer.
func (c *Client) Refs(ctx context.Context, names []string) (map[string]plumbing.Hash, error) {
	if err := c.discover(ctx); err != nil {
		return nil, err
	}
	var req request
	req.line("command=ls-refs")
	req.line("agent=" + agent)
	req.delim()
	wanted := make(map[string]bool, len(names))
	for _, n := range names {
		req.line("ref-prefix " + n)
		wanted[n] = true
	}
	body, err := c.post(ctx, &req)
	if err != nil {
		return nil, fmt.Errorf("list references: %w", err)
	}
	defer body.Close()
	refs, err := parseRefs(io.LimitReader(body, maxAnswer), wanted)
	if err != nil {
		return nil, fmt.Errorf("list references: %w", err)
	}
	return refs, nil
}

func parseRefs(r io.Reader, wanted map[string]bool) (map[string]plumbing.Hash, error) {
	refs := make(map[string]plumbing.Hash, len(wanted))
	s := pktline.NewScanner(r)
	for s.Scan() {
		line := strings.TrimSuffix(string(s.Bytes()), "\n")
		if line == "" {
			return refs, nil // flush: the list is whole
		}
		id, rest, _ := strings.Cut(line, " ")
		name, _, _ := strings.Cut(rest, " ")
		if !plumbing.IsHash(id) {
			return nil, fmt.Errorf("malformed reference line %.80q", line)
		}
		if !wanted[name] {
			continue // a prefix matches more than was asked for
		}
		refs[name] = plumbing.NewHash(id)
	}
	if err := scanError(s); err != nil {
		return nil, err
	}
	return nil, io.ErrUnexpectedEOF
}

// Fetch is what to download.
type Fetch struct {
	Wants []plumbing.Hash // with all that they reach
	Haves []plumbing.Hash // without all that these reach; ids unknown to the server are ignored
	// BlobLimit leaves out files of this many bytes or more, when the server can; 0 is no limit.
	BlobLimit int64
}

// Fetch downloads a pack that is complete in itself. The caller reads it to the end and closes it;
// a server's error message may come as a read error.
func (c *Client) Fetch(ctx context.Context, f Fetch) (io.ReadCloser, error) {
	if err := c.discover(ctx); err != nil {
		return nil, err
	}
	body, err := c.post(ctx, c.fetchRequest(f))
	if err != nil {
		return nil, fmt.Errorf("fetch pack: %w", err)
	}
	s := pktline.NewScanner(body)
	if !s.Scan() {
		err = scanError(s)
		if err == nil {
			err = io.ErrUnexpectedEOF
		}
	} else if string(s.Bytes()) != "packfile\n" {
		err = fmt.Errorf("unexpected answer %.80q", s.Bytes())
	}
	if err != nil {
		_ = body.Close()
		return nil, fmt.Errorf("fetch pack: %w", err)
	}
	return &packReader{sideband.NewDemuxer(sideband.Sideband64k, body), body}, nil
}

func (c *Client) fetchRequest(f Fetch) *request {
	var req request
	req.line("command=fetch")
	req.line("agent=" + agent)
	req.delim()
	req.line("ofs-delta")
	req.line("no-progress")
	if f.BlobLimit > 0 && c.can("filter") {
		req.line(fmt.Sprintf("filter blob:limit=%d", f.BlobLimit))
	}
	for _, h := range f.Wants {
		req.line("want " + h.String())
	}
	for _, h := range f.Haves {
		req.line("have " + h.String())
	}
	req.line("done")
	return &req
}

type packReader struct {
	io.Reader
	io.Closer
}

// discover asks once what the server can do. It also finds where a renamed repository is now.
func (c *Client) discover(ctx context.Context) error {
	c.mu.Lock()
	known, url := c.server != nil, c.base+"/info/refs?service=git-upload-pack"
	c.mu.Unlock()
	if known {
		return nil
	}
	resp, err := c.do(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask git server: %w", err)
	}
	defer resp.Body.Close()
	server, err := parseCapabilities(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("ask git server: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server = server
	moved := *resp.Request.URL
	moved.RawQuery = ""
	if base, ok := strings.CutSuffix(moved.String(), "/info/refs"); ok {
		c.base = base
	}
	return nil
}

// parseCapabilities reads the answer to the first request. A fetch feature is kept by its own name.
func parseCapabilities(r io.Reader) (map[string]bool, error) {
	server, v2 := make(map[string]bool), false
	s := pktline.NewScanner(r)
	for s.Scan() {
		line := strings.TrimSuffix(string(s.Bytes()), "\n")
		if line == "version 2" {
			v2 = true
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		switch {
		case !v2:
			continue // "# service=git-upload-pack" and its flush
		case line == "":
			return server, nil
		case key == "object-format" && value != "sha1":
			return nil, ErrUnsupported
		case key == "fetch":
			for feature := range strings.FieldsSeq(value) {
				server[feature] = true
			}
		}
	}
	if err := scanError(s); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return nil, ErrUnsupported
}

func (c *Client) can(feature string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.server[feature]
}

func (c *Client) post(ctx context.Context, req *request) (io.ReadCloser, error) {
	c.mu.Lock()
	url := c.base + "/git-upload-pack"
	c.mu.Unlock()
	resp, err := c.do(ctx, http.MethodPost, url, req.bytes())
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

func (c *Client) do(ctx context.Context, method, url string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", agent)
	req.Header.Set("Git-Protocol", "version=2")
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-git-upload-pack-request")
		req.Header.Set("Accept", "application/x-git-upload-pack-result")
	}
	if c.auth != nil {
		user, password, err := c.auth(ctx)
		if err != nil {
			return nil, fmt.Errorf("credentials: %w", err)
		}
		if user != "" || password != "" {
			req.SetBasicAuth(user, password)
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		return nil, statusError(resp)
	}
	return resp, nil
}

// request builds a command in pkt-lines.
type request struct{ buf bytes.Buffer }

func (r *request) line(s string) {
	fmt.Fprintf(&r.buf, "%04x%s\n", len(s)+5, s)
}

func (r *request) delim() { r.buf.WriteString("0001") }

func (r *request) bytes() []byte { return append(r.buf.Bytes(), "0000"...) }

// scanError gives a server's own error line its meaning.
func scanError(s *pktline.Scanner) error {
	err := s.Err()
	var line *pktline.ErrorLine
	if errors.As(err, &line) && strings.Contains(line.Text, "not our ref") {
		return ErrNotOurRef
	}
	return err
}
