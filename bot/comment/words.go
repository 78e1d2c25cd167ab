package comment

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"kv-shepherd.io/shepherd/internal/domain"
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

// operation is what is done, in words.
func operation(op domain.Operation) string {
	if w, ok := operationWords[op]; ok {
		return w
	}
	return cell(string(op), 40)
}

// count is a number with its noun: "1 problem", "3 problems".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
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
