package chaos

import (
	"fmt"
	"slices"
	"strings"
)

// Finding is something that must not be.
type Finding struct{ Kind, Text string }

func (f Finding) String() string { return f.Kind + ": " + f.Text }

// The kinds of findings.
const (
	Lost       = "lost"
	Twice      = "twice"
	Unapproved = "unapproved"
	Otherwise  = "otherwise"
	SaidTwice  = "said twice"
)

// Verdict is what the checker came to.
type Verdict struct {
	Findings []Finding
	// Merged is how many changes of machines were merged, Applied how many of them reached a cluster,
	// Refused how many rightly did not, and Open how many might have gone either way: past red checks, or
	// with another pull request in between.
	Spans, Merged, Applied, Refused, Open int
}

// Check holds a history to the rules.
func Check(h History) (Verdict, error) {
	c := &checker{model: newModel(h), used: map[int]bool{}}
	for _, s := range c.spans {
		if err := c.span(s); err != nil {
			return Verdict{}, err
		}
	}
	c.surplus()
	c.twice()
	c.order()
	c.objects()
	if err := c.openPulls(); err != nil {
		return Verdict{}, err
	}
	c.saidTwice()
	c.Spans = len(c.spans)
	return c.Verdict, nil
}

type checker struct {
	*model
	Verdict
	used map[int]bool // the writes that a merged change explains
}

func (c *checker) find(kind, format string, args ...any) {
	c.Findings = append(c.Findings, Finding{kind, fmt.Sprintf(format, args...)})
}

// span holds what the clusters were given to one step of the governed branch.
func (c *checker) span(s span) error {
	changes, err := c.changes(s.Before, s.After)
	if err != nil {
		return err
	}
	quiet := 0 // changes that were neither applied nor rightly recorded
	for _, ch := range changes {
		if ch.was != ch.now && !c.change(s, ch) {
			quiet++
		}
		c.touched[ch.path] = append(c.touched[ch.path], s.Seq)
	}
	if quiet > 0 && s.pull != 0 && !c.owned(s.pull) {
		c.find(Lost, "#%d: %d changes were not applied, and nobody is told that they are quarantined", s.pull, quiet)
	}
	return nil
}

// changes are the machines that a step changes, from what is accepted.
func (m *model) changes(from, to string) (out []change, err error) {
	paths, err := m.Git.Changed(from, to)
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		if vm, ok := machineAt(path); ok {
			out = append(out, change{vm, m.accepted[path], m.meaning(to, path)})
		}
	}
	return out, nil
}

// change judges one merged change, and reports whether it was applied.
func (c *checker) change(s span, ch change) bool {
	c.Merged++
	write := c.take(s, ch)
	why := c.refusal(s.pull, ch, s.Seq, write)
	switch {
	case write != nil && why != "":
		c.find(Unapproved, "%s was applied by #%d (%.8s): %s", ch.name, s.pull, s.After, why)
	case write != nil:
		c.Applied++
	case why != "":
		c.Refused++
	case !c.mergedGreen(s) || c.contested(s, ch.path):
		c.Open++
	default:
		c.find(Lost, "%s was merged by #%d (%.8s) as approved, and not applied", ch.name, s.pull, s.After)
	}
	if write == nil {
		return false
	}
	c.accepted[ch.path], c.settled[ch.path] = ch.now, s.Seq
	return true
}

func (c *checker) mergedGreen(s span) bool {
	for _, e := range c.pulls[s.pull].moves {
		if e.Merged && e.Action == "closed" {
			return c.green(s.pull, e.Head, s.Seq)
		}
	}
	return false
}

// contested reports whether another step changed the path while the pull request was under way.
func (c *checker) contested(s span, path string) bool {
	return slices.ContainsFunc(c.touched[path], func(at int) bool { return at > c.pulls[s.pull].began })
}

// owned reports whether the bot says on a pull request that something of it is quarantined.
func (c *checker) owned(n int) bool {
	return slices.ContainsFunc(c.Pulls, func(p Pull) bool {
		return p.Number == n && slices.ContainsFunc(p.Comments, func(k Comment) bool {
			return k.Author == c.Bot && strings.Contains(strings.ToLower(k.Body), "quarantine")
		})
	})
}

// take finds the write that carried out a change: it names the merge commit, or deletes.
func (c *checker) take(s span, ch change) *Write {
	for i, w := range c.Writes {
		if c.used[i] || w.Resource != "virtualmachines" || w.Name != ch.name {
			continue
		}
		if ch.deletes() != (w.Verb == "DELETE") || !ch.deletes() && w.Annotations[annotation+"merge-commit"] != s.After {
			continue
		}
		c.used[i] = true
		if !ch.deletes() {
			c.content(fmt.Sprintf("#%d gave the cluster", s.pull), w.Object, ch.now)
		}
		return &c.Writes[i]
	}
	return nil
}

// content holds an object to its file.
func (c *checker) content(where string, o Object, file string) {
	if want := field(file, "memory"); o.Memory != want {
		c.find(Otherwise, "%s %s with memory %s, merged was %s", where, o.Name, o.Memory, want)
	}
	if want := field(file, "power") == "running"; o.Running != want {
		c.find(Otherwise, "%s %s with running=%t, merged was %t", where, o.Name, o.Running, want)
	}
}

// surplus are writes that no merged change explains. A second one for the same merge is found by twice.
func (c *checker) surplus() {
	explained := map[string]bool{}
	for i, w := range c.Writes {
		if c.used[i] {
			explained[w.once()] = true
		}
	}
	for i, w := range c.Writes {
		if w.Resource == "virtualmachines" && !c.used[i] && !explained[w.once()] {
			c.find(Unapproved, "%s of %s by merge %.8q, which did not change it", w.Verb, w.Name, w.Annotations[annotation+"merge-commit"])
		}
	}
}

// once is what a write of a machine may happen once for.
func (w Write) once() string {
	if w.Verb == "DELETE" {
		return w.Resource + "/" + w.Namespace + "/" + w.Name + " deleted"
	}
	return w.Resource + "/" + w.Namespace + "/" + w.Name + " " + w.Annotations[annotation+"merge-commit"]
}

// twice finds machines that were written twice for one merge, and objects that were made anew.
func (c *checker) twice() {
	times, uids := map[string]int{}, map[string]string{}
	for _, w := range c.Writes {
		key := w.Resource + "/" + w.Namespace + "/" + w.Name
		if before := uids[key]; before != "" && w.UID != "" && w.UID != before {
			c.find(Twice, "%s was made anew", key)
		}
		if w.UID != "" {
			uids[key] = w.UID
		}
		if w.Resource == "virtualmachines" {
			times[w.once()]++
		}
	}
	for _, key := range slices.Sorted(keys(times)) {
		if times[key] > 1 {
			c.find(Twice, "%s: %d times", key, times[key])
		}
	}
}

// order finds machines on which an earlier change was written over a later one.
func (c *checker) order() {
	at, last := map[string]int{}, map[string]int{}
	for i, s := range c.spans {
		at[s.After] = i
	}
	for _, w := range c.Writes {
		i, known := at[w.Annotations[annotation+"merge-commit"]]
		if w.Resource != "virtualmachines" || !known {
			continue
		}
		if before, ok := last[w.Name]; ok && i < before {
			c.find(Otherwise, "%s: %.8s was written over the later %.8s", w.Name, c.spans[i].After, c.spans[before].After)
		}
		last[w.Name] = i
	}
}

// objects holds what is there at the end to what was accepted.
func (c *checker) objects() {
	want := map[string]string{}
	for path, file := range c.accepted {
		if vm, ok := machineAt(path); ok && file != "" {
			want[vm.name] = file
		}
	}
	there := map[string]bool{}
	for _, o := range c.Objects {
		there[o.Name] = true
		file, wanted := want[o.Name]
		if !wanted {
			c.find(Unapproved, "%s is on the cluster, and nobody asked for it", o.Name)
			continue
		}
		c.content("the cluster has", o, file)
	}
	for _, name := range slices.Sorted(keys(want)) {
		if !there[name] {
			c.find(Lost, "%s was applied and is not there", name)
		}
	}
}
