package published

import "kv-shepherd.io/shepherd/internal/forgetest"

// Start runs a stand-in for the length of a test, which fails when the stand-in does what GitHub would not. Of several
// options the last wins; Dir defaults to a temporary one.
func Start(t TB, opts ...forgetest.Options) *forgetest.Server {
	t.Helper()
	var o forgetest.Options
	for _, given := range opts {
		o = given
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	if o.Observer == nil {
		o.Observer = Watch(t)
	}
	s, err := forgetest.New(o)
	if err != nil {
		t.Fatalf("start the forge: %v", err)
	}
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatalf("start the forge: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Fatalf("stop the forge: %v", err)
		}
	})
	return s
}
