package provider

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"
)

// front puts a server before the real API server: answer gets every request, and passes on what it
// does not answer itself. What is passed on is the administrator's.
func (b bench) front(answer func(w http.ResponseWriter, r *http.Request, pass http.Handler)) bench {
	b.t.Helper()
	c, err := newCluster([]byte(b.frontConfig(answer)), Options{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(c.Close)
	b.Cluster = c
	return b
}

// frontConfig is the kubeconfig of such a front.
func (b bench) frontConfig(answer func(w http.ResponseWriter, r *http.Request, pass http.Handler)) string {
	b.t.Helper()
	config := b.kube.Config()
	target, err := url.Parse(config.Host)
	if err != nil {
		b.t.Fatal(err)
	}
	transport, err := rest.TransportFor(config)
	if err != nil {
		b.t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{Transport: transport, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Del("Authorization")
	}}
	return servedConfig(b.t.(*testing.T), func(w http.ResponseWriter, r *http.Request) { answer(w, r, pass) })
}

// cutting lets a number of writes through and then loses every connection on which one comes: before
// it is carried out or, late, after that.
func (b bench) cutting(writes int, late bool) bench {
	var seen atomic.Int64
	return b.front(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if r.Method == http.MethodGet || seen.Add(1) <= int64(writes) {
			pass.ServeHTTP(w, r)
			return
		}
		if late {
			pass.ServeHTTP(httptest.NewRecorder(), r)
		}
		panic(http.ErrAbortHandler)
	})
}

// answeringTo gives one answer to the requests that match, and passes on the others.
func (b bench) answeringTo(match func(*http.Request) bool, code int, body string) bench {
	return b.front(func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
		if !match(r) {
			pass.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	})
}
