package forgetest

// TB is the part of testing.TB that Start needs. Naming it here keeps the testing package out of the demo.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
	TempDir() string
}

// Start runs a server for the length of a test. Of several options the last wins; Dir defaults to a temporary one.
func Start(t TB, opts ...Options) *Server {
	t.Helper()
	var o Options
	for _, given := range opts {
		o = given
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := New(o)
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
