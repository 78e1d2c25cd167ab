package github

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	gh "github.com/google/go-github/v60/github"
)

// maxAnswer bounds an answer's body. A page of 100 comments of 65,536 characters fits, however it is escaped.
const maxAnswer = 64 << 20

var errTooLarge = errors.New("the answer is too large")

// guard lets requests go to the configured host only. It reads each answer as a whole, so that its length and the time
// for it are bounded, and a connection that breaks off is an error here, and never half an answer. Minting a token
// passes here too.
type guard struct {
	scheme, host string
	timeout      time.Duration
	next         http.RoundTripper
}

func (g *guard) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Scheme != g.scheme || req.URL.Host != g.host {
		if req.Body != nil {
			req.Body.Close()
		}
		return nil, errors.New("a request to a host that is not the configured forge")
	}
	ctx, cancel := context.WithTimeout(req.Context(), g.timeout)
	defer cancel()
	resp, err := g.next.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("read the answer: %w", err)
	case len(body) > maxAnswer:
		return nil, errTooLarge
	}
	body = withoutProperties(body)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	waitAMinute(resp)
	return resp, nil
}

var propertiesKey = regexp.MustCompile(`"custom_properties"\s*:`)

// withoutProperties renames a key that this version of go-github cannot read: it wants custom properties to be texts,
// but an organisation may give its repositories lists. Only a key is followed by a colon, so no text is touched.
func withoutProperties(body []byte) []byte {
	return propertiesKey.ReplaceAll(body, []byte(`"unread_properties":`))
}

// withProperties gives the key its name again in what is handed on and not read with that version's types.
func withProperties(body []byte) []byte {
	return bytes.ReplaceAll(body, []byte(`"unread_properties":`), []byte(`"custom_properties":`))
}

// waitAMinute gives a refusal for a secondary limit the wait that GitHub documents when it names none. Without it
// go-github would take the hourly limit's reset for it and stay silent for up to an hour.
func waitAMinute(resp *http.Response) {
	limited := resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusTooManyRequests
	if limited && resp.Header.Get("Retry-After") == "" && resp.Header.Get("X-RateLimit-Remaining") != "0" {
		resp.Header.Del("X-RateLimit-Reset")
	}
}

// bearer authorises requests with a token that does not change.
type bearer struct {
	token string
	next  http.RoundTripper
}

func (b *bearer) RoundTrip(req *http.Request) (*http.Response, error) {
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+b.token)
	return b.next.RoundTrip(req)
}

// tokenScope restricts installation tokens to the one repository and to what the bot does.
func tokenScope(repositoryID int64) *gh.InstallationTokenOptions {
	read, write := gh.String("read"), gh.String("write")
	return &gh.InstallationTokenOptions{
		RepositoryIDs: []int64{repositoryID},
		Permissions: &gh.InstallationPermissions{
			Metadata: read, Members: read,
			Contents: write, PullRequests: write, Checks: write, Statuses: write, Issues: write,
		},
	}
}

// deploymentScope is that of the token for deployments: GitHub mints none that asks for a permission which the App was
// not given, and without this one everything else has to go on.
func deploymentScope(repositoryID int64) *gh.InstallationTokenOptions {
	return &gh.InstallationTokenOptions{
		RepositoryIDs: []int64{repositoryID},
		Permissions:   &gh.InstallationPermissions{Metadata: gh.String("read"), Deployments: gh.String("write")},
	}
}

// examinationScope is that of the token for reading how the branch is protected.
func examinationScope(repositoryID int64) *gh.InstallationTokenOptions {
	return &gh.InstallationTokenOptions{
		RepositoryIDs: []int64{repositoryID},
		Permissions:   &gh.InstallationPermissions{Metadata: gh.String("read"), Administration: gh.String("read")},
	}
}

// GitCredentials gives the user name and password for git over HTTP. An App's token lives for an hour and is minted
// again a minute before it ends.
func (c *Client) GitCredentials(ctx context.Context) (username, token string, err error) {
	const anyone = "x-access-token" // GitHub looks at the password only
	if c.minter == nil {
		return anyone, c.token, nil
	}
	token, err = c.minter.Token(ctx)
	if err != nil {
		return "", "", c.failure("mint an installation token", err)
	}
	return anyone, token, nil
}

// CloneURL is where git finds the repository. It is made from the configuration, not from an answer: credentials go
// there.
func (c *Client) CloneURL() string {
	at := c.where()
	return fmt.Sprintf("%s/%s/%s.git", c.web, at.owner, at.name)
}

var (
	namePattern  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)
	loginPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}(\[bot\])?$`)
	shaPattern   = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

// validName keeps owners and repository names from changing the path of a request.
func validName(s string) bool { return namePattern.MatchString(s) && s != "." && s != ".." }

func validLogin(s string) bool { return loginPattern.MatchString(s) }

func validSHA(s string) bool { return shaPattern.MatchString(s) }

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
