package budget

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/internal/storetest"
)

func newAnswers(t testing.TB) (*Answers, *pgxpool.Pool) {
	t.Helper()
	pool := storetest.Open(t)
	return NewAnswers(pool, slog.New(slog.DiscardHandler)), pool
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	s, pool := newAnswers(t)
	ctx := t.Context()
	if _, found := s.Load(ctx, "k"); found {
		t.Error("there is an answer")
	}
	for _, want := range []forge.Answer{
		{ETags: []string{`W/"a"`}, Link: `<https://api.example.com/2>; rel="next"`, ContentType: "application/json", Body: []byte(strings.Repeat(`{"id": 1}`, 1000))},
		{ETags: []string{`"b"`, `W/"a"`}, Body: []byte("[]")},
		{ETags: []string{`"c"`}, Body: []byte{}},
	} {
		s.Keep(ctx, "k", want)
		got, found := s.Load(ctx, "k")
		if diff := cmp.Diff(want, got); !found || diff != "" {
			t.Errorf("found %v (-want +got):\n%s", found, diff)
		}
	}
	s.Keep(ctx, "large", forge.Answer{ETags: []string{`"a"`}, Body: bytes.Repeat([]byte("the same again and "), 10_000)})
	if n := count(t, pool, `select octet_length(body) from forge_cache where id = 'large'`); n > 5000 {
		t.Errorf("190 kB take %d bytes", n)
	}
	exec(t, pool, `update forge_cache set body = '\x00ff' where id = 'k'`)
	if _, found := s.Load(ctx, "k"); found {
		t.Error("what is broken was found")
	}
	pool.Close()
	if _, found := s.Load(ctx, "large"); found {
		t.Error("found without a database")
	}
	s.Keep(ctx, "large", forge.Answer{}) // says so in the log
}

func TestAnswersOfMany(t *testing.T) {
	t.Parallel()
	s, _ := newAnswers(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 20 {
				body := fmt.Appendf(nil, "body %d", n)
				s.Keep(t.Context(), fmt.Sprint(n), forge.Answer{ETags: []string{fmt.Sprintf(`"%d-%d"`, n, i)}, Body: body})
				if got, found := s.Load(t.Context(), fmt.Sprint(n)); !found || !bytes.Equal(got.Body, body) {
					t.Errorf("%d: %q", n, got.Body)
				}
			}
		})
	}
	wg.Wait()
}

// What is asked for stays; what is not goes, and so does what is too much.
func TestPrune(t *testing.T) {
	t.Parallel()
	s, pool := newAnswers(t)
	ctx := t.Context()
	for _, key := range []string{"old", "used", "new"} {
		s.Keep(ctx, key, forge.Answer{ETags: []string{`"a"`}, Body: []byte("x")})
	}
	exec(t, pool, `update forge_cache set used_at = now() - interval '73 hours' where id in ('old', 'used')`)
	if _, found := s.Load(ctx, "used"); !found {
		t.Fatal("it is gone already")
	}
	if err := s.Prune(ctx); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]bool{"old": false, "used": true, "new": true} {
		if _, found := s.Load(ctx, key); found != want {
			t.Errorf("%s: %v", key, found)
		}
	}
	const each = 1 << 20
	exec(t, pool, fmt.Sprintf(`insert into forge_cache (id, etags, body, used_at) select 'm' || n, 'x', convert_to(repeat('x', %d), 'UTF8'), now() - n * interval '1 minute' from generate_series(1, 80) n`, each))
	if err := s.Prune(ctx); err != nil {
		t.Fatal(err)
	}
	want := int(math.Floor(float64(keepSize-600) / (each + 300)))
	if n := count(t, pool, `select count(*) from forge_cache where id like 'm%'`); n != want {
		t.Errorf("%d megabytes are left, want %d", n, want)
	}
	if n := count(t, pool, `select count(*) from forge_cache where id in ('m1', 'new')`); n != 2 {
		t.Error("what was used last is gone")
	}
	pool.Close()
	if err := s.Prune(ctx); err == nil {
		t.Error("no error without a database")
	}
}

func count(t testing.TB, pool *pgxpool.Pool, query string) (n int) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), query).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func exec(t testing.TB, pool *pgxpool.Pool, statement string) {
	t.Helper()
	if _, err := pool.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkAnswers is what a question costs besides the forge's answer: a look, and where it is new a note.
func BenchmarkAnswers(b *testing.B) {
	s, _ := newAnswers(b)
	a := forge.Answer{ETags: []string{`W/"a"`}, Body: bytes.Repeat([]byte(`{"id": 1, "login": "alice"}`), 800)}
	s.Keep(b.Context(), "k", a)
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			s.Load(b.Context(), "k")
		}
	})
	b.Run("keep", func(b *testing.B) {
		for b.Loop() {
			s.Keep(b.Context(), "k", a)
		}
	})
}

// BenchmarkTake is what leave costs.
func BenchmarkTake(b *testing.B) {
	pool := storetest.Open(b)
	for _, c := range []struct {
		name string
		left int
		ask  forge.Ask
	}{{"plenty", 4000, question}, {"few", 150, question}, {"creating", 4000, creation}} {
		b.Run(c.name, func(b *testing.B) {
			p := newProcess(b, pool, Rate{math.MaxInt32, time.Millisecond})
			ask := c.ask
			ask.Identity = c.name
			for b.Loop() {
				if c.left < edge {
					exec(b, pool, `update forge_limits set remaining = 150`)
				}
				if err := p.Take(b.Context(), ask); err != nil {
					b.Fatal(err)
				}
				p.Told(b.Context(), ask, forge.Allowance{Limit: 5000, Remaining: c.left, Period: 1 << 40, Reset: time.Minute})
			}
		})
	}
}
