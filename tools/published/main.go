// Command published writes the data of internal/forgetest/published anew, from the npm packages in which Octokit
// publishes GitHub's descriptions of itself:
//
//	published -out internal/forgetest/published
//
// It needs npm once for each version; the packages are then in the cache.
package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	out := flag.String("out", "", "the `directory` to write to")
	flag.Parse()
	if err := run(ctx, *out); err != nil {
		fmt.Fprintln(os.Stderr, "published:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out string) error {
	if out == "" {
		return fmt.Errorf("say with -out where to write to")
	}
	rest, err := collectREST(ctx)
	if err != nil {
		return err
	}
	if err := write(filepath.Join(out, "rest.json.gz"), rest); err != nil {
		return err
	}
	var hooks document
	if err := webhookSource.read(ctx, "generated/api.github.com.json", &hooks); err != nil {
		return err
	}
	events, err := collectEvents(ctx, &hooks)
	if err != nil {
		return err
	}
	if err := write(filepath.Join(out, "events.json.gz"), events); err != nil {
		return err
	}
	payloads, err := collectWebhooks(ctx)
	if err != nil {
		return err
	}
	return write(filepath.Join(out, "webhooks.json.gz"), payloads)
}

// write packs a value so that equal values make equal files.
func write(path string, v any) error {
	var buf bytes.Buffer
	z, err := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(z).Encode(v); err != nil {
		return fmt.Errorf("encode %s: %w", path, err)
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, buf.Bytes(), 0o644)
}
