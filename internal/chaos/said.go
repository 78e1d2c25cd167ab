package chaos

import (
	"math"
	"slices"
	"strings"
)

// openPulls holds what open pull requests show to what is so: both checks on the head, green if and only if
// everything is approved.
func (c *checker) openPulls() error {
	for _, p := range c.Pulls {
		if p.State != "open" || p.Base != c.Branch {
			continue
		}
		if p.Checks["shepherd/validate"] == "" || p.Checks["shepherd/approval"] == "" {
			c.find(Lost, "#%d has no checks on its head %.8s", p.Number, p.Head)
			continue
		}
		if err := c.shows(p); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) shows(p Pull) error {
	base, err := c.Git.MergeBase(c.tip(math.MaxInt), p.Head)
	if err != nil {
		return err
	}
	changes, err := c.changes(base, p.Head)
	if err != nil {
		return err
	}
	var reasons []string
	for _, ch := range changes {
		if ch.was == ch.now {
			continue
		}
		if why := c.refusal(p.Number, ch, math.MaxInt, nil); why != "" {
			reasons = append(reasons, ch.name+": "+why)
		}
	}
	green := p.Checks["shepherd/approval"] == "success" && p.Checks["shepherd/validate"] == "success"
	held := slices.ContainsFunc(c.said[p.Number], func(e Event) bool { return strings.HasPrefix(e.Body, "/hold") })
	valid := p.Checks["shepherd/validate"] == "success"
	switch {
	case green && len(reasons) > 0:
		c.find(Unapproved, "#%d shows that it is approved: %s", p.Number, strings.Join(reasons, ", "))
	case !green && valid && !held && len(reasons) == 0:
		c.find(Lost, "#%d is approved and does not show it: %s", p.Number, p.Checks["shepherd/approval"])
	}
	return nil
}

// saidTwice finds what the bot said more than once.
func (c *checker) saidTwice() {
	for _, p := range c.Pulls {
		c.repeated(p)
	}
	deployed := map[[2]string]int{}
	for _, d := range c.Deployments {
		key := [2]string{d.Commit, d.Environment}
		deployed[key]++
		if deployed[key] == 2 {
			c.find(SaidTwice, "%s was deployed to %s more than once", d.Commit, d.Environment)
		}
		for i := 1; i < len(d.States); i++ {
			if d.States[i] == d.States[i-1] {
				c.find(SaidTwice, "the deployment of %.8s to %s was %s twice in a row", d.Commit, d.Environment, d.States[i])
			}
		}
	}
	undone := map[string]bool{}
	for _, p := range c.Pulls {
		if !strings.HasPrefix(p.HeadRef, "shepherd/undo-") {
			continue
		}
		if undone[p.HeadRef] {
			c.find(SaidTwice, "#%d is a second pull request from %s", p.Number, p.HeadRef)
		}
		undone[p.HeadRef] = true
	}
}

// repeated finds comments with the same hidden mark, or the same text, on a pull request.
func (c *checker) repeated(p Pull) {
	seen := map[string]bool{}
	for _, k := range p.Comments {
		if k.Author != c.Bot {
			continue
		}
		mark, _, marked := strings.Cut(k.Body, "\n")
		if !marked || !strings.HasPrefix(mark, "<!-- shepherd") {
			mark = k.Body
		}
		if seen[mark] {
			c.find(SaidTwice, "#%d: %q", p.Number, mark)
		}
		seen[mark] = true
	}
}
