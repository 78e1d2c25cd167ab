package smarthttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/google/go-cmp/cmp"
)

const (
	id1 = "1111111111111111111111111111111111111111"
	id2 = "2222222222222222222222222222222222222222"
)

func pkt(lines ...string) string {
	var b strings.Builder
	for _, l := range lines {
		if l == "" {
			b.WriteString("0000")
			continue
		}
		fmt.Fprintf(&b, "%04x%s", len(l)+4, l)
	}
	return b.String()
}

var hello = pkt("# service=git-upload-pack\n", "", "version 2\n", "agent=git/2\n", "ls-refs=unborn\n",
	"fetch=shallow wait-for-done filter\n", "object-format=sha1\n", "")

// script answers the first request with one text and each command with another, and keeps what the
// client sent.
type script struct {
	*httptest.Server
	sent []string
}

func serve(t *testing.T, hello, answer string) (*script, *Client) {
	t.Helper()
	s := &script{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.sent = append(s.sent, string(body))
		if r.Header.Get("Git-Protocol") != "version=2" {
			t.Error("a request without protocol version 2")
		}
		if r.Method == http.MethodGet {
			_, _ = io.WriteString(w, hello)
		} else {
			_, _ = io.WriteString(w, answer)
		}
	}))
	t.Cleanup(s.Close)
	c, err := New(s.URL+"/r.git/", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s, c
}

func TestRefs(t *testing.T) {
	t.Parallel()
	s, c := serve(t, hello, pkt(id1+" refs/heads/main\n", id2+" refs/heads/main2\n", id2+" refs/pull/1/head peeled:"+id1, ""))
	got, err := c.Refs(t.Context(), []string{"refs/heads/main", "refs/pull/1/head", "refs/pull/2/head"})
	want := map[string]plumbing.Hash{"refs/heads/main": plumbing.NewHash(id1), "refs/pull/1/head": plumbing.NewHash(id2)}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	wantSent := "0014command=ls-refs\n" + pkt("agent="+agent+"\n") + "0001" +
		pkt("ref-prefix refs/heads/main\n", "ref-prefix refs/pull/1/head\n", "ref-prefix refs/pull/2/head\n", "")
	if d := cmp.Diff(wantSent, s.sent[1]); d != "" {
		t.Errorf("sent (-want +got)\n%s", d)
	}
}

func TestFetch(t *testing.T) {
	t.Parallel()
	s, c := serve(t, hello, pkt("packfile\n", "\x01PACK", "\x02counting", "\x01 data", ""))
	body, err := c.Fetch(t.Context(), Fetch{
		Wants: []plumbing.Hash{plumbing.NewHash(id1)}, Haves: []plumbing.Hash{plumbing.NewHash(id2)}, BlobLimit: 1024,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); string(got) != "PACK data" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	want := pkt("command=fetch\n", "agent="+agent+"\n") + "0001" + pkt("ofs-delta\n", "no-progress\n",
		"filter blob:limit=1024\n", "want "+id1+"\n", "have "+id2+"\n", "done\n", "")
	if d := cmp.Diff(want, s.sent[1]); d != "" {
		t.Errorf("sent (-want +got)\n%s", d)
	}
}

// TestBadAnswers has servers that are too old, that break off, and that report errors.
func TestBadAnswers(t *testing.T) {
	t.Parallel()
	v0 := pkt("# service=git-upload-pack\n", "", id1+" HEAD\x00multi_ack ofs-delta\n", id1+" refs/heads/main\n", "")
	for _, tt := range []struct {
		name, hello, answer string
		is                  error
		contains            string
	}{
		{"version 0", v0, "", ErrUnsupported, ""},
		{"a web page", "<html>", "", ErrUnsupported, ""},
		{"nothing", "", "", ErrUnsupported, ""},
		{"SHA-256", pkt("version 2\n", "object-format=sha256\n", ""), "", ErrUnsupported, ""},
		{"greeting cut off", hello[:len(hello)-10], "", ErrUnsupported, ""},
		{"not our ref", hello, pkt("ERR upload-pack: not our ref " + id1), ErrNotOurRef, ""},
		{"other error", hello, pkt("ERR access denied\n"), nil, "access denied"},
		{"empty", hello, "", io.ErrUnexpectedEOF, ""},
		{"cut off", hello, "00", nil, "pkt-len"},
		{"another section", hello, pkt("acknowledgments\n", "NAK\n", ""), nil, "acknowledgments"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, c := serve(t, tt.hello, tt.answer)
			_, err := c.Fetch(t.Context(), Fetch{Wants: []plumbing.Hash{plumbing.NewHash(id1)}})
			if err == nil || (tt.is != nil && !errors.Is(err, tt.is)) || !strings.Contains(err.Error(), tt.contains) {
				t.Errorf("Fetch: %v", err)
			}
			if refs, err := c.Refs(t.Context(), []string{"refs/heads/main"}); err == nil {
				t.Errorf("Refs = %v", refs)
			}
		})
	}
}

func TestPackBreaksOff(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"error in the pack": pkt("packfile\n", "\x01PACK", "\x03out of memory"),
		"connection lost":   pkt("packfile\n", "\x01PACK") + "0100\x01half",
	} {
		_, c := serve(t, hello, answer)
		body, err := c.Fetch(t.Context(), Fetch{Wants: []plumbing.Hash{plumbing.NewHash(id1)}})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(body); err == nil {
			t.Errorf("%s: read %q without an error", name, got)
		}
		_ = body.Close()
	}
}

// TestRedirects: a renamed repository is followed on its own host, once; credentials go nowhere else.
func TestRedirects(t *testing.T) {
	t.Parallel()
	leaked := false
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _, ok := r.BasicAuth()
		leaked = leaked || ok
	}))
	defer other.Close()
	target, posts := "", 0
	home := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasPrefix(r.URL.Path, "/old.git"):
			http.Redirect(w, r, target+"/info/refs?service=git-upload-pack", http.StatusMovedPermanently)
		case r.Method == http.MethodGet:
			_, _ = io.WriteString(w, hello)
		case r.URL.Path == "/new.git/git-upload-pack":
			posts++
			_, _ = io.WriteString(w, pkt(id1+" refs/heads/main\n", ""))
		}
	}))
	defer home.Close()
	auth := func(context.Context) (string, string, error) { return "x", "secret", nil }

	target = home.URL + "/new.git"
	c, err := New(home.URL+"/old.git", auth, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if refs, err := c.Refs(t.Context(), []string{"refs/heads/main"}); len(refs) != 1 || err != nil {
			t.Errorf("after a rename: %v, %v", refs, err)
		}
	}
	if posts != 2 {
		t.Errorf("%d commands at the new place", posts)
	}

	target = other.URL + "/new.git"
	c, err = New(home.URL+"/old.git", auth, nil)
	if err != nil {
		t.Fatal(err)
	}
	var status *StatusError
	if _, err := c.Refs(t.Context(), []string{"refs/heads/main"}); !errors.As(err, &status) || status.Status != http.StatusMovedPermanently {
		t.Errorf("to another host: %v", err)
	}
	if leaked {
		t.Error("the other host was given the credentials")
	}
}

func TestStatusError(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "7")
		http.Error(w, "token abc is wrong", http.StatusServiceUnavailable)
	}))
	defer s.Close()
	c, err := New(s.URL, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Refs(t.Context(), nil)
	var status *StatusError
	if !errors.As(err, &status) || status.Status != 503 || status.RetryAfter != 7*time.Second {
		t.Errorf("got %v", err)
	}
	if strings.Contains(err.Error(), "abc") {
		t.Error("the server's text is in the error")
	}
}

// FuzzAnswers feeds arbitrary bytes as a server's answers.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte(hello))
	f.Add([]byte(pkt(id1+" refs/heads/main\n", "")))
	f.Add([]byte("0004000"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if server, err := parseCapabilities(strings.NewReader(string(raw))); (server == nil) == (err == nil) {
			t.Fatalf("capabilities %v, %v", server, err)
		}
		refs, err := parseRefs(strings.NewReader(string(raw)), map[string]bool{"refs/heads/main": true})
		if (refs == nil) == (err == nil) || len(refs) > 1 {
			t.Fatalf("references %v, %v", refs, err)
		}
	})
}
