package api

import (
	"context"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"kv-shepherd.io/shepherd/internal/storetest"
)

type alert struct {
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func alerts(t *testing.T) []alert {
	t.Helper()
	content, err := os.ReadFile("../../deploy/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string  `json:"name"`
			Rules []alert `json:"rules"`
		} `json:"groups"`
	}
	if err := yaml.UnmarshalStrict(content, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Groups) != 1 || file.Groups[0].Name != "shepherd" || len(file.Groups[0].Rules) == 0 {
		t.Fatalf("the groups are %+v", file.Groups)
	}
	return file.Groups[0].Rules
}

// Each alert says when it is raised, how grave it is, what is wrong and what to do.
func TestAlertsAreWhole(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, a := range alerts(t) {
		if !regexp.MustCompile(`^Shepherd[A-Z][A-Za-z]+$`).MatchString(a.Alert) || names[a.Alert] {
			t.Errorf("%q: a name of its own begins with Shepherd", a.Alert)
		}
		names[a.Alert] = true
		if d, err := time.ParseDuration(a.For); err != nil || d <= 0 {
			t.Errorf("%s: for %q", a.Alert, a.For)
		}
		if !slices.Contains([]string{"critical", "warning", "info"}, a.Labels["severity"]) || len(a.Labels) != 1 {
			t.Errorf("%s: labels %v", a.Alert, a.Labels)
		}
		for _, part := range []string{"summary", "description"} {
			if text := a.Annotations[part]; !strings.HasSuffix(text, ".") || strings.Contains(text, "\n") {
				t.Errorf("%s: its %s is %q: want sentences on one line", a.Alert, part, text)
			}
		}
		if len(a.Annotations) != 2 || strings.Count(a.Expr, "(") != strings.Count(a.Expr, ")") {
			t.Errorf("%s: %v, %s", a.Alert, a.Annotations, a.Expr)
		}
	}
}

var (
	selector = regexp.MustCompile(`(shepherd_[a-z_]+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`([a-z_]+)(=~|!~|!=|=)"([^"]*)"`)
	simple   = regexp.MustCompile(`^shepherd_[a-z_]+(?:\{[^}]*\})? (>|==) ([0-9]+)$`)
	line     = regexp.MustCompile(`(?m)^(shepherd_[a-z_]+)(?:\{(.*)\})? (\S+)$`)
)

// choose gives the values of the series that a selector means, and how many have its name.
func (e exposition) choose(t *testing.T, name, matchers string) (values []float64, named int) {
	t.Helper()
	for _, series := range line.FindAllStringSubmatch(string(e), -1) {
		if series[1] != name {
			continue
		}
		named++
		labels := map[string]string{}
		for _, l := range matcher.FindAllStringSubmatch(series[2], -1) {
			labels[l[1]] = l[3]
		}
		meant := true
		for _, m := range matcher.FindAllStringSubmatch(matchers, -1) {
			value, there := labels[m[1]]
			if !there {
				t.Errorf("%s has no label %s", name, m[1])
			}
			pattern := m[3]
			if !strings.HasSuffix(m[2], "~") {
				pattern = regexp.QuoteMeta(pattern)
			}
			meant = meant && regexp.MustCompile(`^(?:`+pattern+`)$`).MatchString(value) == !strings.HasPrefix(m[2], "!")
		}
		if value, err := strconv.ParseFloat(series[3], 64); err != nil {
			t.Error(err)
		} else if meant {
			values = append(values, value)
		}
	}
	return values, named
}

// raised says whether a simple alert would be, were that so for long enough.
func (e exposition) raised(t *testing.T, a alert) bool {
	t.Helper()
	found, limit := selector.FindStringSubmatch(a.Expr), simple.FindStringSubmatch(a.Expr)
	values, _ := e.choose(t, found[1], found[2])
	than, err := strconv.ParseFloat(limit[2], 64)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(values, func(v float64) bool { return limit[1] == ">" && v > than || limit[1] == "==" && v == than })
}

// watched is what a process with such a database serves.
func watched(t *testing.T, held bool, paused time.Duration, statements ...string) exposition {
	t.Helper()
	pool := storetest.Open(t)
	given(t, pool, statements...)
	m := NewMetrics(pool, slog.New(slog.DiscardHandler))
	m.Presence(func(context.Context) (bool, error) { return held, nil })
	m.Clusters(func() map[string]time.Duration { return map[string]time.Duration{"east": paused} })
	return scrape(t, m)
}

// What alerts speak of is served, in sickness and in health: where nothing is wrong no alert is raised, where
// everything is, all are.
func TestAlerts(t *testing.T) {
	t.Parallel()
	well := watched(t, true, time.Second,
		`insert into repository (id, branch, cursor, last_sweep_at, deliveries_swept_to) values (1, 'main', 'c1', now(), now())`,
		`insert into deliveries (id, event, body, received_at, status) values ('1', 'push', '', now(), 'received')`,
		pushed(`'refs/heads/main', 'c2', 5`), vmsOf(1), events+`(values ('p1', 'PROCESSING', interval '5 minutes')) e(path, status, ago)`, ticketsOf(`'PENDING_APPROVAL'`),
		`insert into clusters (id, uid, kubeconfig, key_id, health, checked_at, created_at) values ('east', 'u', '', 'k', 'healthy', now(), now())`,
		`insert into river_leader (name, leader_id, elected_at, expires_at) values ('default', 'a', now(), now() + interval '1 hour')`,
		limits+`('installation/5', 5000, 1200, now() + interval '10 minutes', now() - interval '1 hour', now() + interval '1 minute', now())`,
		pulls+`(2, 'open', 3, 2, '', now())`,
		job+`('walk_branch', '{}', 'completed', now(), now(), 1, 'default'), ('heartbeat', '{}', 'discarded', now(), now(), 1, 'default'),
('route_delivery', '{"delivery_id": "1"}', 'available', now(), null, 1, 'default'), ('judge_pull_request', '{"number": 2}', 'available', now(), null, 1, 'default'),
('tell_pull_request', '{"number": 2}', 'running', now(), null, 1, 'default')`)
	ill := watched(t, false, time.Hour,
		`insert into repository (id, branch, cursor, blocked, last_sweep_at, deliveries_swept_to) values (1, 'main', 'c1', 'HISTORY_REWRITTEN', now() - interval '1 week', now() - interval '1 week')`,
		`insert into deliveries (id, event, body, received_at, status) values ('1', 'push', '', now() - interval '1 week', 'received')`,
		pushed(`'refs/heads/main', 'c2', 3600`), vmsOf(1), events+`(values ('p1', 'PROCESSING', interval '5 hours')) e(path, status, ago)`,
		ticketsOf(`'PENDING_APPROVAL'`), `update tickets set created_at = now() - interval '3 weeks'`,
		`insert into clusters (id, uid, kubeconfig, key_id, health, checked_at, created_at) values ('east', 'u', '', 'k', 'unreachable', now() - interval '1 hour', now())`,
		limits+`('installation/5', 5000, 900, now() + interval '10 minutes', now() + interval '20 minutes', null, now())`,
		pulls+`(2, 'open', 3, 2, '', now() - interval '1 hour')`, spans+`(now(), 'CHANGE_QUARANTINED', 'a', '{"commit": "c0"}')`,
		job+`('walk_branch', '{}', 'completed', now(), now() - interval '2 hours', 1, 'default'), ('event_job', '{}', 'discarded', now(), now(), 1, 'default'),
('tell_pull_request', '{"number": 2}', 'running', now() - interval '1 hour', null, 1, 'default')`,
		`insert into river_job (kind, args, state, scheduled_at, max_attempts, queue) values ('judge_pull_request', '{"number": 2}', 'available', now() - interval '1 hour', 1, 'default'),
('route_delivery', '{"delivery_id": "1"}', 'available', now(), 1, 'default')`,
		`update river_job set created_at = now() - interval '1 hour' where state = 'available'`)
	for _, a := range alerts(t) {
		for _, s := range selector.FindAllStringSubmatch(a.Expr, -1) {
			for state, e := range map[string]exposition{"well": well, "ill": ill} {
				if _, named := e.choose(t, s[1], s[2]); named == 0 {
					t.Errorf("%s: %s is not served where Shepherd is %s", a.Alert, s[1], state)
				}
			}
		}
		if !simple.MatchString(a.Expr) {
			if !strings.HasPrefix(a.Expr, "absent(") && !strings.HasPrefix(a.Expr, "sum(increase(") {
				t.Errorf("%s: %s is not tried", a.Alert, a.Expr)
			}
			continue
		}
		if well.raised(t, a) {
			t.Errorf("%s is raised where all is well", a.Alert)
		}
		if !ill.raised(t, a) {
			t.Errorf("%s is not raised where all is ill", a.Alert)
		}
	}
	// The other two that are not tried count what a process did; the first of each is an increase.
	for _, e := range []exposition{well, ill} {
		e.expect(t, `shepherd_deliveries_total{outcome="not stored"}`, 0, 0)
		e.expect(t, `shepherd_deliveries_total{outcome="bad signature"}`, 0, 0)
	}
}

// What is said of a metric is a sentence.
func TestHelp(t *testing.T) {
	t.Parallel()
	e := watched(t, true, time.Second)
	help := regexp.MustCompile(`(?m)^# HELP (shepherd_\S+) (.*)$`).FindAllStringSubmatch(string(e), -1)
	if len(help) < 10 {
		t.Errorf("only %d metrics", len(help))
	}
	for _, h := range help {
		if !regexp.MustCompile(`^[A-Z].*[a-z0-9]\.$`).MatchString(h[2]) {
			t.Errorf("%s: %q", h[1], h[2])
		}
	}
}
