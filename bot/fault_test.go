package bot

import (
	"errors"

	"github.com/google/go-cmp/cmp"

	"kv-shepherd.io/shepherd/internal/faulttest"
	"kv-shepherd.io/shepherd/internal/store"
)

// breakEverywhere runs something again and again, each time with its next statement broken, until it gets
// through. Every failure has to be reported and to leave the database as it was. It returns how many
// statements there were.
func (d *database) breakEverywhere(run func(*database) error) int {
	d.Helper()
	before := d.dump()
	statements, err := faulttest.Everywhere(d.pool,
		func(p *faulttest.Pool) error {
			return run(&database{TB: d.TB, pool: d.pool, db: store.New(p), queue: d.queue})
		},
		func(n int, fired string, err error) bool {
			if !errors.Is(err, faulttest.ErrInjected) {
				d.Errorf("statement %d was broken and the caller was told %v:\n%s", n, err, fired)
			}
			if diff := cmp.Diff(before, d.dump()); diff != "" {
				d.Fatalf("statement %d was broken and left something behind:\n%s\n%s", n, fired, diff)
			}
			return true
		})
	if err != nil {
		d.Fatalf("without a fault: %v", err)
	}
	return statements
}

// dump is all that routing can write.
func (d *database) dump() []string {
	d.Helper()
	var out []string
	for _, table := range []string{"deliveries", "pull_requests", "pushes", "reviews", "audit_log", "river_job"} {
		out = append(out, d.lines("select '"+table+": ' || t::text from "+table+" t order by 1")...)
	}
	return out
}
