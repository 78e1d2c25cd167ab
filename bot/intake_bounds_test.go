package bot

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// freely is more than any test waits for.
const freely = time.Minute

func intakeWithin(d *database, b bounds) *Intake {
	i := newIntake(d)
	i.bound(b)
	return i
}

// idle tells when nothing of an intake is taken any more.
func (i *Intake) idle() bool { return i.held.Load() == 0 && len(i.storing) == 0 }

// While the database hangs everybody is answered, nobody waits longer than is of use, and no more wait than may. When
// it is back all is as before.
func TestIntakeWhileTheDatabaseHangs(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	i := intakeWithin(d, bounds{body: 1 << 10, bodies: 1 << 20, storing: 8, patience: 300 * time.Millisecond})
	hang, err := d.pool.Begin(t.Context())
	d.ok(err)
	_, err = hang.Exec(t.Context(), "lock table deliveries in access exclusive mode")
	d.ok(err)
	var wg sync.WaitGroup
	for n := range 60 {
		wg.Go(func() {
			w := httptest.NewRecorder()
			i.ServeHTTP(w, webhook(guid(n), []byte("{}")))
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
				t.Errorf("answered %d, retry after %q", w.Code, w.Header().Get("Retry-After"))
			}
		})
	}
	wg.Wait()
	if !i.idle() {
		t.Errorf("%d bytes and %d places are still taken", i.held.Load(), len(i.storing))
	}
	d.ok(hang.Rollback(t.Context()))
	i.bounds.patience = freely
	for n := range 20 {
		if got := post(i, webhook(guid(n), []byte("{}"))); got != http.StatusAccepted {
			t.Errorf("answered %d with the database back", got)
		}
	}
	if n := d.count("deliveries"); n != 20 {
		t.Errorf("%d deliveries", n)
	}
}

// Without a database every answer comes at once, and nothing piles up.
func TestIntakeManyWithoutDatabase(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	i := intakeWithin(d, bounds{body: 1 << 10, bodies: 1 << 20, storing: 64, patience: freely})
	d.pool.Close()
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 50 {
				if got := post(i, webhook(newGUID(), []byte("{}"))); got != http.StatusServiceUnavailable {
					t.Errorf("answered %d", got)
				}
			}
		})
	}
	wg.Wait()
	if !i.idle() {
		t.Errorf("%d bytes and %d places are still taken", i.held.Load(), len(i.storing))
	}
}

// All bodies together are bounded, and what has only been promised is not counted.
func TestIntakeBoundsAllBodies(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	i := intakeWithin(d, bounds{body: 100, bodies: 100, storing: 8, patience: freely})
	slow, write := io.Pipe()
	body := bytes.Repeat([]byte("x"), 60)
	r := webhook(guid(1), body)
	r.Body, r.ContentLength = slow, int64(len(body))
	answered := make(chan int, 1)
	go func() { answered <- post(i, r) }()
	_, _ = write.Write(body[:50])
	for i.held.Load() != 50 {
		time.Sleep(time.Millisecond)
	}
	for size, want := range map[int]int{51: http.StatusServiceUnavailable, 50: http.StatusAccepted} {
		if got := post(i, webhook(guid(size), bytes.Repeat([]byte("y"), size))); got != want {
			t.Errorf("%d bytes beside 50: %d, want %d", size, got, want)
		}
	}
	go func() { _, _ = write.Write(body[50:]); _ = write.Close() }()
	if got := <-answered; got != http.StatusAccepted {
		t.Errorf("the slow one was answered %d", got)
	}
	if got := post(i, webhook(guid(100), bytes.Repeat([]byte("z"), 100))); got != http.StatusAccepted || !i.idle() {
		t.Errorf("answered %d; %d bytes and %d places are still taken", got, i.held.Load(), len(i.storing))
	}
}

// raw is a request as its sender writes it.
func raw(body, extra string, headers ...string) string {
	out := "POST /webhooks/github HTTP/1.1\r\nHost: shepherd\r\n" + extra
	for _, h := range headers {
		out += h + "\r\n"
	}
	return out + "\r\n" + body
}

// exchange sends a raw request and reads the answer's status.
func exchange(t *testing.T, addr, request string) int {
	t.Helper()
	conn := dial(t, addr)
	go func() { _, _ = io.WriteString(conn, request) }() // the server need not read it to its end
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%v\n%.300s", err, request)
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(context.WithoutCancel(t.Context()), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// What senders may write around a body is taken or refused; what is refused is not stored.
func TestIntakeOnTheWire(t *testing.T) {
	t.Parallel()
	const body = `{"zen":"x"}`
	d := newDatabase(t)
	srv := httptest.NewServer(intakeWithin(d, bounds{body: 4000, bodies: 1 << 20, storing: 8, patience: freely}))
	t.Cleanup(srv.Close)
	mac := sign256(body)
	signed := "X-Hub-Signature-256: sha256=" + mac
	length := fmt.Sprintf("Content-Length: %d\r\n", len(body))
	names := []string{"X-GitHub-Delivery: " + guid(1), "X-GitHub-Event: ping"}
	with := func(more ...string) []string { return append(append([]string{}, names...), more...) }
	big := strings.Repeat("x", 5000)
	for name, c := range map[string]struct {
		request string
		status  int
	}{
		"as usual":                   {raw(body, length, with(signed, "Content-Type: application/json")...), 202},
		"with a character set":       {raw(body, length, with(signed, "Content-Type: application/json; charset=utf-8")...), 202},
		"without a type":             {raw(body, length, with(signed)...), 202},
		"of a type that is none":     {raw(body, length, with(signed, "Content-Type: ;;;")...), 202},
		"names in other letters":     {raw(body, length, "x-github-delivery: "+guid(1), "X-GITHUB-EVENT: ping", "x-hub-signature-256: sha256="+mac), 202},
		"digits in capitals":         {raw(body, length, with("X-Hub-Signature-256: sha256="+strings.ToUpper(mac))...), 202},
		"in chunks":                  {raw("b\r\n"+body+"\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n", with(signed)...), 202},
		"the algorithm in capitals":  {raw(body, length, with("X-Hub-Signature-256: SHA256="+mac)...), 401},
		"no signature":               {raw(body, length, names...), 401},
		"an empty signature":         {raw(body, length, with("X-Hub-Signature-256:")...), 401},
		"a signature of nothing":     {raw(body, length, with("X-Hub-Signature-256: sha256=")...), 401},
		"a short signature":          {raw(body, length, with("X-Hub-Signature-256: sha256="+mac[:32])...), 401},
		"a long signature":           {raw(body, length, with("X-Hub-Signature-256: sha256="+mac+"00")...), 401},
		"the bare digits":            {raw(body, length, with("X-Hub-Signature-256: "+mac)...), 401},
		"two in one header":          {raw(body, length, with(signed+", sha256="+mac)...), 401},
		"the same signature twice":   {raw(body, length, with(signed, signed)...), 401},
		"the old signature":          {raw(body, length, with("X-Hub-Signature: sha1="+mac[:40])...), 401},
		"a form's bytes":             {raw("payload=%7B%7D", "Content-Length: 14\r\n", with("X-Hub-Signature-256: sha256="+sign256("payload=%7B%7D"), "Content-Type: application/x-www-form-urlencoded")...), 415},
		"a form with parts":          {raw(body, length, with(signed, "Content-Type: multipart/form-data; boundary=x")...), 415},
		"plain text":                 {raw(body, length, with(signed, "Content-Type: text/plain")...), 415},
		"two deliveries":             {raw(body, length, with(signed, "X-GitHub-Delivery: "+guid(2))...), 400},
		"two events":                 {raw(body, length, with(signed, "X-GitHub-Event: push")...), 400},
		"an event in capitals":       {raw(body, length, names[0], signed, "X-GitHub-Event: PING"), 400},
		"an event of many letters":   {raw(body, length, names[0], signed, "X-GitHub-Event: "+big), 400},
		"a body that is cut":         {raw(body, "Content-Length: 4\r\n", with(signed)...), 401},
		"too long a body":            {raw(big, "Content-Length: 5000\r\n", with("X-Hub-Signature-256: sha256="+sign256(big))...), 413},
		"too long a promise":         {raw("", "Content-Length: 99999999999\r\n", with(signed)...), 413},
		"too long in chunks":         {raw("1388\r\n"+big+"\r\n0\r\n\r\n", "Transfer-Encoding: chunked\r\n", with("X-Hub-Signature-256: sha256="+sign256(big))...), 413},
		"no length at all":           {raw("", "", with(signed)...), 401},
		"a length that is none":      {raw(body, "Content-Length: eleven\r\n", with(signed)...), 400},
		"two lengths":                {raw(body, length+"Content-Length: 5\r\n", with(signed)...), 400},
		"a chunk that is none":       {raw("zz\r\n"+body, "Transfer-Encoding: chunked\r\n", with(signed)...), 400},
		"headers that do not end":    {raw(body, length, with(signed, "X-A: "+strings.Repeat("a", 2<<20))...), 431},
		"another method":             {strings.Replace(raw(body, length, with(signed)...), "POST", "PUT", 1), 405},
		"a compressed body, unread":  {raw("\x1f\x8b\x08\x00", "Content-Length: 4\r\n", with("X-Hub-Signature-256: sha256="+sign256("\x1f\x8b\x08\x00"), "Content-Encoding: gzip")...), 202},
		"signed before compression":  {raw("\x1f\x8b\x08\x00", "Content-Length: 4\r\n", with(signed, "Content-Encoding: gzip")...), 401},
		"a delivery in capitals":     {raw(body, length, "X-GitHub-Delivery: AAAAAAAA-0000-4000-8000-000000000001", names[1], signed), 202},
		"a delivery without dashes":  {raw(body, length, "X-GitHub-Delivery: 00000000000040008000000000000001", names[1], signed), 400},
		"a delivery with a NUL":      {raw(body, length, "X-GitHub-Delivery: 00000000-0000-4000-8000-00000000000\x00", names[1], signed), 400},
		"a delivery that would drop": {raw(body, length, "X-GitHub-Delivery: '; drop table deliveries; --", names[1], signed), 400},
	} {
		t.Run(name, func(t *testing.T) {
			defer d.forgetAll()
			got := exchange(t, srv.Listener.Addr().String(), c.request)
			if stored := d.count("deliveries"); got != c.status || (stored == 1) != (c.status == http.StatusAccepted) {
				t.Errorf("answered %d, want %d; %d are stored", got, c.status, stored)
			}
		})
	}
}

// Senders who promise much and send little keep nobody waiting.
func TestIntakeBesideSlowSenders(t *testing.T) {
	t.Parallel()
	d := newDatabase(t)
	i := intakeWithin(d, bounds{body: MaxDelivery, bodies: MaxDelivery, storing: 4, patience: freely})
	srv := httptest.NewServer(i)
	t.Cleanup(srv.Close)
	addr := srv.Listener.Addr().String()
	for range 200 {
		conn := dial(t, addr)
		_, err := io.WriteString(conn, raw(`{"a":`, fmt.Sprintf("Content-Length: %d\r\n", MaxDelivery), "X-GitHub-Delivery: "+newGUID(), "X-GitHub-Event: push"))
		d.ok(err)
	}
	for n := range 20 {
		r := webhook(guid(n), []byte("{}"))
		r.URL.Scheme, r.URL.Host, r.RequestURI = "http", addr, ""
		resp, err := srv.Client().Do(r)
		d.ok(err)
		d.ok(resp.Body.Close())
		if resp.StatusCode != http.StatusAccepted {
			t.Errorf("answered %d", resp.StatusCode)
		}
	}
}
