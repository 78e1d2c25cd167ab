package e2e

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"

	"kv-shepherd.io/shepherd/internal/app"
	"kv-shepherd.io/shepherd/internal/governance/audit"
	"kv-shepherd.io/shepherd/internal/kubetest"
)

// front is an API server of its own behind a server that can answer in its place.
type front struct {
	kube       *kubetest.Cluster
	kubeconfig []byte
	requests   atomic.Int64
	answer     atomic.Pointer[answer]
}

// answer gets every request; pass is the API server's own answer.
type answer func(rw http.ResponseWriter, r *http.Request, pass http.Handler)

// second starts another control plane behind a front.
func (w *world) second() *front {
	w.t.Helper()
	kube := must(kubetest.Start(context.WithoutCancel(w.t.Context()), kubetest.Options{}))(w)
	w.t.Cleanup(func() { _ = kube.Stop() })
	f := &front{kube: kube}
	config := kube.Config()
	target := must(url.Parse(config.Host))(w)
	pass := &httputil.ReverseProxy{Transport: must(rest.TransportFor(config))(w), Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Del("Authorization")
	}}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		f.requests.Add(1)
		if a := f.answer.Load(); a != nil {
			(*a)(rw, r, pass)
			return
		}
		pass.ServeHTTP(rw, r)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	w.t.Cleanup(server.CloseClientConnections)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	f.kubeconfig = fmt.Appendf(nil, `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: k, user: u}}],
clusters: [{name: k, cluster: {server: %q, certificate-authority-data: %s}}], users: [{name: u, user: {token: t}}]}`,
		server.URL, base64.StdEncoding.EncodeToString(authority))
	return f
}

func (f *front) answers(a answer) { f.answer.Store(&a) }
func (f *front) mend()            { f.answer.Store(nil) }

// The ways in which a cluster is out of order.

func silent(_ http.ResponseWriter, r *http.Request, _ http.Handler) { <-r.Context().Done() }

// slow answers each call after ten seconds, which is when nobody waits for it any more.
func slow(rw http.ResponseWriter, r *http.Request, pass http.Handler) {
	select {
	case <-time.After(10 * time.Second):
		pass.ServeHTTP(rw, r)
	case <-r.Context().Done():
	}
}

// sluggish answers each call late, but in time.
func sluggish(rw http.ResponseWriter, r *http.Request, pass http.Handler) {
	select {
	case <-time.After(2 * time.Second):
		pass.ServeHTTP(rw, r)
	case <-r.Context().Done():
	}
}

func refuses(code int, reason string) answer {
	return func(rw http.ResponseWriter, _ *http.Request, _ http.Handler) {
		rw.Header().Set("Retry-After", "10") // so long what it refuses waits, also when it is mended before
		rw.Header().Set("Content-Type", "application/json")
		rw.WriteHeader(code)
		fmt.Fprintf(rw, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":%q,"message":"no","code":%d}`, reason, code)
	}
}

// addCluster gives credentials to the server, as an operator does.
func (w *world) addCluster(name string, kubeconfig []byte) {
	w.t.Helper()
	clusters, _, err := app.NewClusters(w.cfg, w.pool, w.logger())
	w.do(err)
	_, err = clusters.Add(w.t.Context(), name, kubeconfig, audit.Actor{Login: "dave", ID: 104})
	w.do(err)
}
