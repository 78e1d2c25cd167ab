package store_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"kv-shepherd.io/shepherd/internal/pgtest"
	"kv-shepherd.io/shepherd/internal/store"
)

func openEmpty(t *testing.T) *pgxpool.Pool {
	t.Helper()
	pool, err := store.Open(t.Context(), pgtest.New(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// schemaOf describes every table, column, index, trigger and storage option, so that two schemas can
// be compared.
func schemaOf(t *testing.T, pool *pgxpool.Pool) []string {
	t.Helper()
	const query = `
select 'column ' || table_name || '.' || column_name || ' ' || data_type || ' ' || is_nullable || ' ' || coalesce(column_default, '')
  from information_schema.columns where table_schema = 'public'
union all select 'index ' || indexdef from pg_indexes where schemaname = 'public'
union all select 'trigger ' || pg_get_triggerdef(t.oid) from pg_trigger t join pg_class c on c.oid = t.tgrelid where not tgisinternal
union all select 'constraint ' || conrelid::regclass || ' ' || pg_get_constraintdef(oid) from pg_constraint where connamespace = 'public'::regnamespace
union all select 'option ' || relname || ' ' || array_to_string(reloptions, ',') from pg_class where reloptions is not null and relnamespace = 'public'::regnamespace
order by 1`
	rows, err := pool.Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}

// Up, down, up again gives the same schema, and down leaves nothing but goose's own table.
func TestMigrationsRoundTrip(t *testing.T) {
	t.Parallel()
	pool := openEmpty(t)
	m, err := store.NewMigrator(pool)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()

	do := func(what string, f func(context.Context) ([]string, error)) {
		t.Helper()
		names, err := f(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		t.Logf("%s: %v", what, names)
	}
	if pending, err := m.Pending(t.Context()); err != nil || !pending {
		t.Fatalf("an empty database: pending = %v, %v", pending, err)
	}
	do("up", m.Up)
	first := schemaOf(t, pool)
	if pending, err := m.Pending(t.Context()); err != nil || pending {
		t.Fatalf("after up: pending = %v, %v", pending, err)
	}
	do("down one", func(ctx context.Context) ([]string, error) { return m.Down(ctx, false) })
	if pending, err := m.Pending(t.Context()); err != nil || !pending {
		t.Fatalf("after one down: pending = %v, %v", pending, err)
	}
	do("down all", func(ctx context.Context) ([]string, error) { return m.Down(ctx, true) })
	var tables int
	const left = `select count(*) from information_schema.tables where table_schema = 'public' and table_name not in ('goose_db_version', 'river_migration')`
	if err := pool.QueryRow(t.Context(), left).Scan(&tables); err != nil || tables != 0 {
		t.Fatalf("after down %d tables are left (%v)", tables, err)
	}
	do("up again", m.Up)
	if diff := cmp.Diff(first, schemaOf(t, pool)); diff != "" {
		t.Fatalf("the schema differs after a round trip (-first +second):\n%s", diff)
	}
	states, err := m.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range states {
		if s.AppliedAt.IsZero() {
			t.Errorf("%s is pending after up", s.Name)
		}
	}
}

func TestMigrateTwice(t *testing.T) {
	t.Parallel()
	pool := openEmpty(t)
	for round, least := range []int{3, 0} {
		names, err := store.Migrate(t.Context(), pool)
		if err != nil || len(names) < least || least == 0 && len(names) != 0 {
			t.Errorf("round %d: %v, %v", round, names, err)
		}
	}
}

// Replicas that start together on an empty database all come up, and every step is applied once.
func TestMigrateTogether(t *testing.T) {
	t.Parallel()
	dsn := pgtest.New(t)
	applied := make(chan []string, 6)
	for range cap(applied) {
		go func() {
			pool, err := store.Open(context.WithoutCancel(t.Context()), dsn)
			if err != nil {
				t.Error(err)
				applied <- nil
				return
			}
			defer pool.Close()
			names, err := store.Migrate(context.WithoutCancel(t.Context()), pool)
			if err != nil {
				t.Error(err)
			}
			applied <- names
		}()
	}
	times := map[string]int{}
	for range cap(applied) {
		for _, name := range <-applied {
			times[name]++
		}
	}
	for name, n := range times {
		if n != 1 {
			t.Errorf("%s was applied %d times", name, n)
		}
	}
	if len(times) == 0 {
		t.Error("nothing was applied")
	}
}
