package chaos

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The rules of approval, said once more.

// machine is a virtual machine's file: systems/<system>/<service>/<namespace>/<index>.yaml.
type machine struct{ path, name, environment string }

var machinePath = regexp.MustCompile(`^systems/([^/]+)/([^/]+)/((test|prod)-[^/]+)/(\d+)\.yaml$`)

func machineAt(path string) (machine, bool) {
	m := machinePath.FindStringSubmatch(path)
	if m == nil {
		return machine{}, false
	}
	return machine{path: path, name: m[3] + "-" + m[1] + "-" + m[2] + "-" + m[5], environment: m[4]}, true
}

// change is what a span does to a machine.
type change struct {
	machine
	was, now string // meanings of the file, "" where there is none
}

func (c change) deletes() bool { return c.now == "" }

// free says that nobody has to approve the change: power, in test.
func (c change) free() bool {
	return c.environment == "test" && c.was != "" && c.now != "" && without(c.was, "power") == without(c.now, "power")
}

// meaning is what a file says: its lines but for remarks and empty ones.
func meaning(content string) string {
	return without(content, "#")
}

func without(content, beginning string) string {
	var out []string
	for line := range strings.SplitSeq(content, "\n") {
		if text := strings.TrimSpace(line); text != "" && !strings.HasPrefix(text, beginning) {
			out = append(out, text)
		}
	}
	return strings.Join(out, "\n")
}

// field is a value of a file.
func field(content, key string) string {
	for line := range strings.SplitSeq(content, "\n") {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), key+": "); ok {
			return v
		}
	}
	return ""
}

// shown is a change as an approval check has put it on show.
type shown struct {
	event        Event
	change, plan string // digests, eight digits
}

var digests = regexp.MustCompile("`([0-9a-f]{8})`")

// row finds a machine in a check's table.
func row(e Event, name string) (shown, bool) {
	for line := range strings.SplitSeq(e.Summary, "\n") {
		if !strings.HasPrefix(line, "| `"+name+"`") {
			continue
		}
		s := shown{event: e}
		for i, m := range digests.FindAllStringSubmatch(line, 2) {
			if i == 0 {
				s.change = m[1]
			} else {
				s.plan = m[1]
			}
		}
		return s, s.change != ""
	}
	return shown{}, false
}

// refusal says why a change of a pull request is not to be applied when it is merged at a moment; empty when
// it is. Where it has been applied, what is on the cluster has to be what was signed.
func (m *model) refusal(n int, c change, moment int, applied *Write) string {
	if n == 0 {
		return "it was pushed without a pull request"
	}
	makers := m.makers(n, c.path, moment)
	for who := range makers {
		if !m.People[who].Ask[c.environment] {
			return who + " had no permission to ask for it"
		}
	}
	if c.deletes() && !m.confirmed(n, c, moment) {
		return "nobody confirmed the deletion"
	}
	if c.free() {
		return ""
	}
	return m.unapproved(n, c, moment, makers, applied)
}

// unapproved weighs the latest decision of each reviewer.
func (m *model) unapproved(n int, c change, moment int, makers map[string]bool, applied *Write) string {
	why := []string{"nobody approved it"}
	good := false
	for _, r := range m.decisions(n, moment) {
		if !m.People[r.Reviewer].Approve[c.environment] {
			why = append(why, r.Reviewer+" may not decide in "+c.environment)
			continue
		}
		if r.Verdict == "changes_requested" {
			if !m.lifted(n, r, moment, makers) {
				return r.Reviewer + " has asked for changes"
			}
			continue
		}
		objection := m.objection(n, c, r, moment, makers, applied)
		good = good || objection == ""
		why = append(why, objection)
	}
	if good {
		return ""
	}
	return strings.Join(why, "; ")
}

// objection says why an approving review does not count.
func (m *model) objection(n int, c change, r Event, moment int, makers map[string]bool, applied *Write) string {
	signed := fmt.Sprintf("%s's approval of %s", r.Reviewer, r.At.Format(time.TimeOnly))
	switch {
	case makers[r.Reviewer]:
		return signed + " is of their own change"
	case m.withdrawn(n, r.Review, moment):
		return signed + " was withdrawn"
	case r.At.Before(m.epoch(n, moment)):
		return signed + " is older than the reopening"
	case r.Seq < m.settled[c.path]:
		return signed + " is older than what is accepted by now"
	case m.meaning(r.Commit, c.path) != c.now:
		return signed + " is of other content"
	}
	seen := m.seen(n, c.name, r.At)
	fits := slices.ContainsFunc(seen, func(s shown) bool {
		return m.meaning(s.event.Head, c.path) == c.now && (applied == nil || s.signs(*applied))
	})
	if !fits {
		return fmt.Sprintf("%s was not of what was on show (%d plans)", signed, len(seen))
	}
	return ""
}

// signs reports whether what a cluster was given is what was on show.
func (s shown) signs(w Write) bool {
	return w.Verb == "DELETE" ||
		strings.HasPrefix(w.Annotations[annotation+"change-digest"], s.change) &&
			strings.HasPrefix(w.Annotations[annotation+"effective-digest"], s.plan)
}

// seen is what was on show of a machine last before a time. The forge's clock has seconds: whatever was put
// on show within the last of them counts.
func (m *model) seen(n int, name string, before time.Time) (out []shown) {
	for _, e := range m.checks[n] {
		if e.Check != "shepherd/approval" || e.At.After(before) {
			continue
		}
		s, ok := row(e, name)
		if !ok {
			continue
		}
		if len(out) > 0 && e.At.After(out[0].event.At) {
			out = nil
		}
		out = append(out, s)
	}
	return out
}

// makers are those who made a change: who asked for it, and who pushed a version of it.
func (m *model) makers(n int, path string, moment int) map[string]bool {
	out := map[string]bool{}
	p := m.pulls[n]
	out[p.author] = true
	for _, e := range p.pushes {
		if e.Seq < moment && m.meaning(m.before(e), path) != m.meaning(e.After, path) {
			out[e.Sender] = true
		}
	}
	delete(out, m.Bot) // its redo is what somebody else had asked for
	return out
}

// before is what a push came on top of; a new branch comes on top of the governed one.
func (m *model) before(e Event) string {
	if strings.Trim(e.Before, "0") != "" {
		return e.Before
	}
	if base, ok := m.bases[e.After]; ok {
		return base
	}
	base, err := m.Git.MergeBase(e.After, m.tip(e.Seq))
	if err != nil {
		base = m.Baseline
	}
	m.bases[e.After] = base
	return base
}

// decisions are the latest of each reviewer, in no order.
func (m *model) decisions(n, moment int) (out []Event) {
	last := map[string]Event{}
	for _, e := range m.reviews[n] {
		if e.Seq < moment && e.Action == "submitted" && (e.Verdict == "approved" || e.Verdict == "changes_requested") {
			last[e.Reviewer] = e
		}
	}
	for _, who := range slices.Sorted(keys(last)) {
		out = append(out, last[who])
	}
	return out
}

func (m *model) dismissals(n int, review int64, moment int) (out []Event) {
	for _, e := range m.reviews[n] {
		if e.Seq < moment && e.Action == "dismissed" && e.Review == review {
			out = append(out, e)
		}
	}
	return out
}

func (m *model) withdrawn(n int, review int64, moment int) bool {
	return len(m.dismissals(n, review, moment)) > 0
}

// lifted reports whether a veto is gone: taken back by who made it, or by somebody who may and has no part
// in the change.
func (m *model) lifted(n int, r Event, moment int, makers map[string]bool) bool {
	return slices.ContainsFunc(m.dismissals(n, r.Review, moment), func(e Event) bool {
		return e.Sender == r.Reviewer || m.People[e.Sender].Lift && !makers[e.Sender]
	})
}

// epoch is when the pull request was last reopened or retargeted.
func (m *model) epoch(n, moment int) (at time.Time) {
	for _, e := range m.pulls[n].moves {
		if e.Seq < moment && (e.Action == "reopened" || e.Retargeted) {
			at = e.At
		}
	}
	return at
}

// confirmed reports whether somebody who may delete has confirmed the deletion that was on show: in prod by
// its name.
func (m *model) confirmed(n int, c change, moment int) bool {
	for _, e := range m.said[n] {
		if e.Seq >= moment || !m.People[e.Author].Ask[c.environment] {
			continue
		}
		for _, s := range m.allSeen(n, c.name) {
			want := "/confirm " + s.change
			if c.environment == "prod" {
				want = "/confirm " + c.name + " " + s.change
			}
			if strings.Contains(e.Body, want) {
				return true
			}
		}
	}
	return false
}

func (m *model) allSeen(n int, name string) (out []shown) {
	for _, e := range m.checks[n] {
		if s, ok := row(e, name); ok {
			out = append(out, s)
		}
	}
	return out
}
