package chaos

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// script is what people and disasters did, in order.
type script struct {
	mu    sync.Mutex
	began time.Time
	file  *os.File
}

func newScript(t testing.TB, dir string) *script {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "script.log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return &script{began: time.Now(), file: f}
}

func (s *script) line(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.file, "%9.3f "+format+"\n", append([]any{time.Since(s.began).Seconds()}, args...)...)
}
