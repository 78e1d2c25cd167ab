package github

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/bot/forge"
)

const (
	appDeliveries = "GET /app/hook/deliveries"
	repoHooks     = "GET /repos/acme/vms/hooks"
	hookFive      = "GET /repos/acme/vms/hooks/5/deliveries"
	aGUID         = "0b989ba4-242f-11e5-81e1-c7b6966d2516"
)

// attempt is the delivery of that number, which was sent so many minutes ago.
func attempt(id, minutes int, change ...func(fields)) fields {
	d := fields{
		"id": id, "guid": fmt.Sprintf("0b989ba4-242F-11e5-81e1-%012d", id), "event": "push", "status": "OK", "status_code": 200,
		"repository_id": testRepoID, "delivered_at": testNow.Add(-time.Duration(minutes) * time.Minute).Format(time.RFC3339),
	}
	for _, f := range change {
		f(d)
	}
	return d
}

func with(key string, value any) func(fields) { return func(d fields) { d[key] = value } }

func ids(sent []forge.SentDelivery) (out []int64) {
	for _, d := range sent {
		out = append(out, d.ID)
	}
	return out
}

// byApp is a client that speaks as an App.
func (w *wire) byApp(t *testing.T) *Client {
	t.Helper()
	_, pem := newKey(t)
	return w.client(t, appConfig(pem), func(cfg *Config) { cfg.App.InstallationID = 77 })
}

// cursors answers with deliveries and the cursor of the next page, by the cursor that is asked for.
func cursors(t *testing.T, pages map[string][]fields, next map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		at := r.URL.Query().Get("cursor")
		if r.URL.Query().Get("per_page") != "100" {
			t.Errorf("asked for %s", r.URL)
		}
		var headers []string
		if n := next[at]; n != "" {
			headers = []string{"Link", fmt.Sprintf(`<http://%s%s?cursor=%s>; rel="next"`, r.Host, r.URL.Path, n)}
		}
		answer(200, pages[at], headers...)(w, r)
	}
}

func TestDeliveriesOfAnApp(t *testing.T) {
	t.Parallel()
	hour := testNow.Add(-time.Hour)
	for name, tc := range map[string]struct {
		pages map[string][]fields
		next  map[string]string
		want  []int64
		calls int
	}{
		"none":              {calls: 1},
		"one page":          {pages: map[string][]fields{"": {attempt(9, 1), attempt(8, 2)}}, want: []int64{9, 8}, calls: 1},
		"to the last page":  {pages: map[string][]fields{"": {attempt(9, 1)}, "x": {attempt(8, 2)}}, next: map[string]string{"": "x"}, want: []int64{9, 8}, calls: 2},
		"to the time":       {pages: map[string][]fields{"": {attempt(9, 1)}, "x": {attempt(8, 60), attempt(7, 61)}}, next: map[string]string{"": "x", "x": "y"}, want: []int64{9, 8}, calls: 2},
		"the same cursor":   {pages: map[string][]fields{"": {attempt(9, 1)}, "x": {attempt(8, 2)}}, next: map[string]string{"": "x", "x": "x"}, want: []int64{9, 8}, calls: 2},
		"what cannot be so": {pages: map[string][]fields{"": {attempt(0, 1), attempt(6, 1, with("guid", "../x")), attempt(5, 1, with("event", "a b")), attempt(4, 1, with("delivered_at", nil)), attempt(3, 1)}}, want: []int64{3}, calls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, routes{appDeliveries: cursors(t, tc.pages, tc.next)})
			got, err := w.byApp(t).Deliveries(t.Context(), hour)
			if diff := cmp.Diff(tc.want, ids(got)); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
			if seen := w.seen(); len(seen) != tc.calls {
				t.Errorf("%d calls, want %d: %v", len(seen), tc.calls, seen)
			}
		})
	}
}

// A forge that always names another page is not followed for ever.
func TestDeliveriesAreBounded(t *testing.T) {
	t.Parallel()
	n := 0
	w := newWire(t, routes{appDeliveries: func(w http.ResponseWriter, r *http.Request) {
		n++
		answer(200, []fields{attempt(n, 1)}, "Link", fmt.Sprintf(`<http://%s%s?cursor=%d>; rel="next"`, r.Host, r.URL.Path, n))(w, r)
	}})
	got, err := w.byApp(t).Deliveries(t.Context(), testNow.Add(-time.Hour))
	if err != nil || len(got) != maxDeliveryPages || n != maxDeliveryPages {
		t.Errorf("%d in %d calls, %v", len(got), n, err)
	}
}

// With a token there may be several webhooks, and only those are ours that go where a server listens.
func TestDeliveriesWithAToken(t *testing.T) {
	t.Parallel()
	hook := func(id int, url string) fields { return fields{"id": id, "config": fields{"url": url}} }
	w := newWire(t, routes{
		repoHooks:       answer(200, []fields{hook(4, "https://ci.test/hook"), hook(5, "https://s.test/webhooks/github?x=1"), hook(6, ":")}),
		hookFive:        answer(200, []fields{attempt(9, 1)}),
		hookFive + "/9": answer(200, attempt(9, 1, with("request", fields{"headers": fields{}, "payload": fields{"a": 1}}))),
	})
	c := w.client(t)
	got, err := c.Deliveries(t.Context(), testNow.Add(-time.Hour))
	want := []forge.SentDelivery{{ID: 9, Hook: 5, GUID: "0b989ba4-242f-11e5-81e1-000000000009", Event: "push", RepositoryID: testRepoID, SentAt: testNow.Add(-time.Minute)}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Fatalf("%v (-want +got):\n%s", err, diff)
	}
	body, err := c.DeliveryBody(t.Context(), got[0])
	if string(body) != `{"a":1}` || err != nil {
		t.Errorf("%s, %v", body, err)
	}
}

func TestDeliveriesRefused(t *testing.T) {
	t.Parallel()
	where := answer(200, repoJSON("acme", "vms"))
	missing, forbidden := answer(404, fields{"message": "Not Found"}), answer(403, fields{"message": "Resource not accessible by integration"})
	for name, tc := range map[string]struct {
		app    bool
		routes routes
		want   error
	}{
		"no hook of an App":         {true, routes{appDeliveries: missing}, forge.ErrNotFound},
		"an App that may not":       {true, routes{appDeliveries: forbidden}, forge.ErrRefused},
		"a wrong key":               {true, routes{appDeliveries: answer(401, fields{"message": "A JSON web token could not be decoded"})}, forge.ErrRefused},
		"a token without the scope": {false, routes{repoHooks: missing, whereItIs: where}, forge.ErrNotFound},
		"a token that may not":      {false, routes{repoHooks: forbidden}, forge.ErrRefused},
		"no webhook of ours":        {false, routes{repoHooks: answer(200, []fields{})}, forge.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, tc.routes)
			c := w.client(t)
			if tc.app {
				c = w.byApp(t)
			}
			if got, err := c.Deliveries(t.Context(), testNow); !errors.Is(err, tc.want) || got != nil {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

// A limit is waited for, and is no refusal.
func TestDeliveriesLater(t *testing.T) {
	t.Parallel()
	w := newWire(t, routes{appDeliveries: answer(429, fields{"message": "slow down"}, "Retry-After", "30")})
	_, err := w.byApp(t).Deliveries(t.Context(), testNow)
	var later forge.LaterError
	if !errors.As(err, &later) || !later.Until.Equal(testNow.Add(30*time.Second)) {
		t.Errorf("%v", err)
	}
}

func TestDeliveryBody(t *testing.T) {
	t.Parallel()
	asked := forge.SentDelivery{ID: 9, GUID: aGUID, Event: "push"}
	whole := func(change ...func(fields)) fields {
		change = append([]func(fields){with("guid", strings.ToUpper(aGUID)), with("request", fields{"payload": fields{"a": 1}})}, change...)
		return attempt(9, 1, change...)
	}
	payload := func(p any) func(fields) { return with("request", fields{"payload": p}) }
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"there":            {answer(200, whole()), nil},
		"kept no more":     {answer(404, fields{}), forge.ErrNotFound},
		"another one":      {answer(200, whole(with("id", 8))), forge.ErrRefused},
		"another GUID":     {answer(200, whole(with("guid", "x"))), forge.ErrRefused},
		"another event":    {answer(200, whole(with("event", "issue_comment"))), forge.ErrRefused},
		"no request":       {answer(200, whole(with("request", nil))), forge.ErrRefused},
		"no payload":       {answer(200, whole(payload(nil))), forge.ErrRefused},
		"a text":           {answer(200, whole(payload("{}"))), forge.ErrRefused},
		"a list":           {answer(200, whole(payload([]int{1}))), forge.ErrRefused},
		"more than a hook": {answer(200, whole(payload(fields{"a": strings.Repeat("x", maxBody)}))), forge.ErrRefused},
		"more than can be": {answer(200, whole(payload(fields{"a": strings.Repeat("x", maxAnswer)}))), errTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t, routes{appDeliveries + "/9": tc.answer})
			body, err := w.byApp(t).DeliveryBody(t.Context(), asked)
			if !errors.Is(err, tc.want) || (tc.want == nil) != (string(body) == `{"a":1}`) {
				t.Errorf("%.40s, %v", body, err)
			}
		})
	}
}
