package judge

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/domain"
)

// batch holds the pull request as a whole to its rules.
func (j *judging) batch() {
	j.unmixed()
	j.unmoved()
	j.withinLimits()
	j.withinRate()
}

func (j *judging) problem(code domain.Code, message, hint string) {
	j.report.Problems = append(j.report.Problems, domain.Problem{Code: code, Severity: domain.Error, Message: message, Hint: hint})
}

// unmixed refuses rules and what they govern in one pull request: the one could not be judged by the
// other.
func (j *judging) unmixed() {
	var platform, governed bool
	for _, c := range j.changes {
		if c.Ref.Platform() {
			platform = true
		} else {
			governed = true
		}
	}
	if platform && governed {
		j.problem(domain.MixedChange, "the pull request changes the platform and systems together",
			"make a pull request of the platform's change, and one of the systems' after it")
	}
}

// tally is a count of operations that a limit is about.
type tally struct {
	verb      string
	what      string // in an environment
	elsewhere string
	of        func(domain.Operation) bool
	limit     func(Limits) int
}

var tallies = []tally{
	{"creates", "VMs", "systems and services", creates, func(l Limits) int { return l.Creates }},
	{"deletes", "VMs", "systems and services", domain.Operation.Removes, func(l Limits) int { return l.Deletes }},
	{"changes", "VMs and consoles", "systems, services and files of the platform", modifies, func(l Limits) int { return l.Modifications }},
	{"starts, stops or restarts", "VMs", "VMs", domain.Operation.Power, func(l Limits) int { return l.PowerOperations }},
}

func creates(op domain.Operation) bool {
	return op == domain.CreateSystem || op == domain.CreateService || op == domain.CreateVM
}

func modifies(op domain.Operation) bool { return !creates(op) && !op.Removes() && !op.Power() }

// withinLimits counts by environment: a limit is of what people can look through.
func (j *judging) withinLimits() {
	for _, env := range []domain.Environment{"", domain.Test, domain.Prod} {
		limits, ok := j.in.Limits[env]
		if !ok {
			continue
		}
		for _, t := range tallies {
			if n, limit := j.tally(t, env), t.limit(limits); limit > 0 && n > limit {
				j.problem(domain.BatchTooLarge, fmt.Sprintf("the pull request %s %d %s; the limit is %d", t.verb, n, t.things(env), limit),
					fmt.Sprintf("split it into pull requests of at most %d", limit))
			}
		}
	}
}

func (j *judging) tally(t tally, env domain.Environment) (n int) {
	for _, c := range j.changes {
		if c.Environment == env && t.of(c.Operation) {
			n++
		}
	}
	return n
}

// things is what the tally counts in an environment, or where there is none.
func (t tally) things(env domain.Environment) string {
	if env == "" {
		return t.elsewhere
	}
	return t.what + " in " + string(env)
}

// withinRate counts what the author asks for now to what the author asked for lately. What this pull request
// has tickets for was counted when it got them.
func (j *judging) withinRate() {
	r := j.in.Rate
	more := 0
	for _, c := range j.changes {
		if !slices.Contains(j.in.Submitted, c.Ref) {
			more++
		}
	}
	if r.Limit <= 0 || more == 0 || r.Used+more <= r.Limit {
		return
	}
	message := fmt.Sprintf("%d changes within %s are allowed; %s has asked for %d already, and this pull request for %d more",
		r.Limit, hours(r.Window), j.in.Author.Login, r.Used, more)
	hint := "come back later"
	if !r.FreeAt.IsZero() {
		hint = "come back at " + moment(r.FreeAt, j.in.Now)
	}
	if free := r.Limit - r.Used; free > 0 {
		hint += fmt.Sprintf(", or ask for no more than %d now", free)
	}
	j.problem(domain.RateLimitExceeded, message, hint)
}

// hours is a duration without the zero units at its end.
func hours(d time.Duration) string {
	text := d.Round(time.Minute).String()
	text = strings.TrimSuffix(text, "0s")
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// moment is a time of today's, or with its day.
func moment(t, now time.Time) string {
	t, now = t.UTC(), now.UTC()
	if !now.IsZero() && t.Truncate(24*time.Hour).Equal(now.Truncate(24*time.Hour)) {
		return t.Format("15:04 UTC")
	}
	return t.Format("15:04 UTC on 2 January")
}

// asks reports whether the head still has the file.
func (j *judging) asks(ref spec.Ref) bool {
	for _, f := range j.in.Files {
		if f.Path == ref.Path() {
			return f.Head != nil
		}
	}
	return false
}
