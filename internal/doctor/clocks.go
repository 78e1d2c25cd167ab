package doctor

import "time"

// From when on clocks that differ are told.
const (
	skewTold  = 5 * time.Second
	skewWrong = time.Minute
)

func clocks(f Facts, r *report) {
	seen := 0
	for _, c := range []struct {
		of   string
		seen bool
		skew time.Duration
		why  string
	}{
		{"the forge", f.Forge.Timed, f.Forge.Skew, "tokens are refused, and reviews seem to be older or younger than the plan"},
		{"the database", f.Database.Unseen == "", f.Database.Skew, "jobs run late, and graces end at the wrong time"},
	} {
		if !c.seen {
			continue // told as its own
		}
		seen++
		level := Wrong
		switch off := c.skew.Abs(); {
		case off <= skewTold:
			continue
		case off <= skewWrong:
			level = Warning
		}
		which := "ahead of"
		if c.skew < 0 {
			which = "behind"
		}
		r.add(level, "synchronise the clocks with NTP, this machine's first", "the clock of %s is %s %s this machine's: %s", c.of, age(c.skew.Abs()), which, c.why)
	}
	if seen > 0 {
		r.clean("within %s of each other", skewTold)
	}
}
