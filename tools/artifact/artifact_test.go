package artifact_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"kv-shepherd.io/shepherd/tools/artifact"
)

func TestMakeBuildsOnce(t *testing.T) {
	t.Setenv("SHEPHERD_CACHE", t.TempDir())
	var built atomic.Int32
	build := func(_ context.Context, dir string) error {
		built.Add(1)
		time.Sleep(50 * time.Millisecond)
		return os.WriteFile(filepath.Join(dir, "file"), []byte("made"), 0o600)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			dir, err := artifact.Make(t.Context(), "thing", "k1", build)
			if err != nil {
				t.Error(err)
				return
			}
			if got, err := os.ReadFile(filepath.Join(dir, "file")); err != nil || string(got) != "made" {
				t.Errorf("artifact holds %q, %v", got, err)
			}
		})
	}
	wg.Wait()
	if built.Load() != 1 {
		t.Errorf("built %d times, want 1", built.Load())
	}
}

func TestMakeLeavesNothingAfterFailure(t *testing.T) {
	root := t.TempDir()
	t.Setenv("SHEPHERD_CACHE", root)
	broken := errors.New("broken")
	half := func(_ context.Context, dir string) error {
		return errors.Join(broken, os.WriteFile(filepath.Join(dir, "half"), nil, 0o600))
	}
	if _, err := artifact.Make(t.Context(), "thing", "k1", half); !errors.Is(err, broken) {
		t.Fatalf("error is %v, want %v", err, broken)
	}
	whole := func(_ context.Context, dir string) error {
		entries, err := os.ReadDir(dir)
		if len(entries) != 0 {
			t.Errorf("second build starts with %v", entries)
		}
		return err
	}
	if _, err := artifact.Make(t.Context(), "thing", "k1", whole); err != nil {
		t.Fatal(err)
	}
}

func TestMakeForgetsUnused(t *testing.T) {
	root := t.TempDir()
	t.Setenv("SHEPHERD_CACHE", root)
	nothing := func(context.Context, string) error { return nil }
	old, err := artifact.Make(t.Context(), "thing", "old", nothing)
	if err != nil {
		t.Fatal(err)
	}
	recent, err := artifact.Make(t.Context(), "thing", "recent", nothing)
	if err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-30 * 24 * time.Hour)
	if err := os.Chtimes(old, past, past); err != nil {
		t.Fatal(err)
	}
	if _, err := artifact.Make(t.Context(), "thing", "new", nothing); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); !os.IsNotExist(err) {
		t.Errorf("the unused artifact is still there (%v)", err)
	}
	if _, err := os.Stat(recent); err != nil {
		t.Errorf("the recent artifact is gone: %v", err)
	}
}

func TestMakeStopsWaiting(t *testing.T) {
	t.Setenv("SHEPHERD_CACHE", t.TempDir())
	started, release := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		_, err := artifact.Make(context.Background(), "thing", "k1", func(context.Context, string) error {
			close(started)
			<-release
			return nil
		})
		done <- err
	}()
	<-started
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := artifact.Make(ctx, "thing", "k1", func(context.Context, string) error { return nil })
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("waiting ended with %v, want the deadline", err)
	}
	close(release)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestScratchPrefersTMPDIR(t *testing.T) {
	t.Setenv("TMPDIR", "/somewhere")
	dirs := artifact.Scratch()
	if dirs[0] != "/somewhere" || len(dirs) < 3 {
		t.Errorf("got %v, want TMPDIR before the usual ones", dirs)
	}
}
