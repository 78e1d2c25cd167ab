// Package api is the HTTP face of the server: webhooks, health, metrics.
package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Check is one thing that has to be so for the server to be ready.
type Check struct {
	Name string
	// Run returns nil when it is so.
	Run func(ctx context.Context) error
}

// Options are what the server serves.
type Options struct {
	Webhooks http.Handler // POST /webhooks/github
	Metrics  http.Handler
	Ready    []Check
}

// New routes requests.
func New(o Options) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/webhooks/github", o.Webhooks)
	mux.Handle("GET /metrics", o.Metrics)
	mux.HandleFunc("GET /health/live", func(w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, map[string]string{"status": "live"})
	})
	mux.HandleFunc("GET /health/ready", ready(o.Ready))
	return mux
}

// readyTimeout bounds all checks together.
const readyTimeout = 5 * time.Second

func ready(checks []Check) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readyTimeout)
		defer cancel()
		status, body := http.StatusOK, map[string]string{"status": "ready"}
		for _, c := range checks {
			body[c.Name] = "ok"
			if err := c.Run(ctx); err != nil {
				status, body["status"], body[c.Name] = http.StatusServiceUnavailable, "not ready", err.Error()
			}
		}
		reply(w, status, body)
	}
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client has gone: nobody is left to tell
}
