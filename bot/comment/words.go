package comment

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"kv-shepherd.io/shepherd/internal/domain"
	"kv-shepherd.io/shepherd/internal/judge"
)

var operationWords = map[domain.Operation]string{
	domain.CreateSystem:   "create system",
	domain.ModifySystem:   "change system",
	domain.DeleteSystem:   "delete system",
	domain.CreateService:  "create service",
	domain.ModifyService:  "change service",
	domain.DeleteService:  "delete service",
	domain.CreateVM:       "create VM",
	domain.ModifyVM:       "change VM",
	domain.DeleteVM:       "delete VM",
	domain.StartVM:        "start VM",
	domain.StopVM:         "stop VM",
	domain.RestartVM:      "restart VM",
	domain.VNCAccess:      "open console",
	domain.ChangePlatform: "change platform",
}

// operation is what is done, in words; for a console with the person and the time that are asked for.
func operation(c judge.Change) string {
	w, ok := operationWords[c.Operation]
	switch {
	case !ok:
		return cell(string(c.Operation), 40)
	case c.Operation == domain.ChangePlatform && len(c.Accepted) == 0 && len(c.Wanted) > 0:
		return "add to platform"
	case c.Operation == domain.ChangePlatform && len(c.Wanted) == 0 && len(c.Accepted) > 0:
		return "remove from platform"
	case revokes(c):
		return "revoke console" + orNothing(" of ", cell(c.Ref.Login, 60))
	case c.Operation == domain.VNCAccess:
		return w + orNothing(" for ", cell(c.Ref.Login, 60)) + orNothing(", ", span(c.Grant))
	}
	return w
}

// revokes reports whether the change takes the right to a console away.
func revokes(c judge.Change) bool {
	return c.Operation == domain.VNCAccess && len(c.Wanted) == 0 && len(c.Accepted) > 0
}

// span is a length of time in words; empty where there is none.
func span(d time.Duration) string {
	var words []string
	if h := int(d / time.Hour); h > 0 {
		words = append(words, count(h, "hour"))
	}
	if m := int(d % time.Hour / time.Minute); m > 0 {
		words = append(words, count(m, "minute"))
	}
	if len(words) == 0 && d > 0 {
		return d.String()
	}
	return strings.Join(words, " ")
}

// these names pull requests by their numbers, which forges turn into links.
func these(numbers []int) string {
	var words []string
	for _, n := range numbers {
		words = append(words, fmt.Sprintf("#%d", n))
	}
	if last := len(words) - 1; last > 0 && last < 6 {
		return strings.Join(words[:last], ", ") + " and " + words[last]
	}
	return listed(words, 6)
}

// count is a number with its noun: "1 problem", "3 problems".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// listed joins a few words; what is over the limit is only counted.
func listed(words []string, max int) string {
	if len(words) > max {
		return strings.Join(words[:max], ", ") + fmt.Sprintf(" and %d more", len(words)-max)
	}
	return strings.Join(words, ", ")
}

// names renders people and teams.
func names(of []string, max int) string {
	var out []string
	for _, n := range of {
		if n = cell(n, 60); n != "" {
			out = append(out, n)
		}
	}
	return listed(out, max)
}

// environments are those of the rows, in words; false where a row has none.
func environments(rows []entry) (words string, all bool) {
	var envs []string
	for _, r := range rows {
		e := cell(string(r.Change.Environment), 20)
		if e == "" {
			return "", false
		}
		if !slices.Contains(envs, e) {
			envs = append(envs, e)
		}
	}
	slices.Sort(envs)
	return strings.Join(envs, " and "), len(envs) > 0
}

// waited is for how many whole days something has waited.
func (v View) waited() int {
	if v.WaitingSince.IsZero() || v.Now.Before(v.WaitingSince) {
		return 0
	}
	return int(v.Now.Sub(v.WaitingSince) / (24 * time.Hour))
}

// The days after which waiting is marked.
const (
	yellowAfter = 4
	redAfter    = 7
)

// patience is the mark of somebody who waits for long.
func patience(days int) string {
	switch {
	case days > redAfter:
		return "🔴 "
	case days >= yellowAfter:
		return "🟡 "
	}
	return ""
}

// sentence ends text with a full stop where it has no end of its own.
func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") || strings.HasSuffix(s, "…") || strings.HasSuffix(s, "?") {
		return s
	}
	return s + "."
}
