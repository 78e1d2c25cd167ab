package doctor

import (
	"strconv"
	"time"
)

// What the database has to have.
const (
	minPostgres     = 14
	vacuumScale     = 0.01
	vacuumThreshold = 100
)

func database(f Facts, r *report) {
	d := f.Database
	if d.Unseen != "" {
		r.add(Wrong, "check database (or DATABASE_URL), the password, the network and that PostgreSQL runs", "the database cannot be asked: %s", d.Unseen)
		return
	}
	if d.Version < minPostgres {
		r.add(Wrong, "upgrade PostgreSQL", "PostgreSQL %d: at least %d is needed", d.Version, minPostgres)
	}
	switch {
	case d.PoolSize > d.MaxConnections:
		r.add(Wrong, "raise max_connections, or lower the pool with pool_max_conns in the database's address",
			"a server may open %d connections, PostgreSQL allows %d", d.PoolSize, d.MaxConnections)
	case 2*d.PoolSize > d.MaxConnections:
		r.add(Warning, "raise max_connections", "one server may open %d connections, PostgreSQL allows %d: there is no room for a second one in a rolling restart", d.PoolSize, d.MaxConnections)
	}
	if d.Pending {
		r.add(Wrong, "run shepherd migrate up", "migrations are pending")
		return
	}
	if !vacuumed(d.JobOptions) {
		r.add(Warning, "alter table river_job set (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 100)",
			"the table of jobs is not vacuumed eagerly: with many dead rows every job is taken more slowly")
	}
	r.clean("PostgreSQL %d, migrations current, %d of %d connections for a server", d.Version, d.PoolSize, d.MaxConnections)
}

// vacuumed reports whether the table of jobs is vacuumed at least as eagerly as it should be.
func vacuumed(options map[string]string) bool {
	scale, err := strconv.ParseFloat(options["autovacuum_vacuum_scale_factor"], 64)
	if err != nil || scale > vacuumScale {
		return false
	}
	threshold, err := strconv.Atoi(options["autovacuum_vacuum_threshold"])
	return err == nil && threshold <= vacuumThreshold && options["autovacuum_enabled"] != "false"
}

// heartbeatStale is from when on no server is at work; its heart beats every ten seconds.
const heartbeatStale = time.Minute

// activity judges whether a server is at work on what there is.
func activity(f Facts, r *report) {
	d := f.Database
	if d.Unseen != "" || d.Pending {
		return // told as the database's
	}
	switch {
	case !d.Baseline:
		r.add(Wrong, `run shepherd repo baseline "$(git rev-parse origin/`+f.Configuration.Branch+`)"`, "there is no baseline yet: the branch is not followed and nothing can be asked for")
	case d.Blocked != "":
		r.add(Wrong, "put the branch's history back, or look through the new one and accept it with shepherd repo baseline SHA", "the branch is not followed: %s", d.Blocked)
	}
	switch {
	case d.Heartbeat == 0:
		r.add(Warning, "run shepherd serve", "no server is at work: none has been for an hour")
	case d.Heartbeat > heartbeatStale:
		r.add(Warning, "run shepherd serve, or look at its log", "no server is at work: the last job finished %s ago", age(d.Heartbeat))
	}
	switch {
	case d.LastSweep == 0 && d.Baseline:
		r.add(Warning, "run shepherd serve", "the open pull requests were never compared with what was judged")
	case d.LastSweep > 3*f.Configuration.SweepEvery:
		r.add(Warning, "run shepherd serve, or look in its log for why sweep_pull_requests fails",
			"the open pull requests were last compared with what was judged %s ago; it is to happen every %s", age(d.LastSweep), f.Configuration.SweepEvery)
	}
	switch {
	case d.LastDelivery == 0:
		r.add(Info, "open a pull request, or redeliver the ping in the App's settings under Advanced", "no webhook has come in yet")
	case d.LastDelivery > 24*time.Hour:
		r.add(Info, "nothing, when nobody worked; otherwise look at the App's deliveries", "the last webhook came in %s ago", age(d.LastDelivery))
	}
	fetched(f, r)
	r.clean("a server is at work; swept %s ago%s", age(d.LastSweep), lastHook(d.LastDelivery))
}

// deliveriesKept is how long forges keep what they sent.
const deliveriesKept = 72 * time.Hour

// fetched judges whether webhooks that were lost are fetched. Where nothing is swept at all, that is told already; a
// token may not be allowed to.
func fetched(f Facts, r *report) {
	d := f.Database
	const fix = "look in the server's log for why sweep_deliveries fails, or what it says the forge does not show"
	switch {
	case f.Forge.App == nil || d.LastSweep == 0 || d.LastSweep > 3*f.Configuration.SweepEvery:
	case d.Fetched == 0:
		r.add(Warning, fix, "webhooks that were lost were never looked for")
	case d.Fetched > deliveriesKept:
		r.add(Wrong, fix+"; commands in comments of that time that were not answered have to be given again",
			"webhooks that were lost have been fetched up to %s ago only, and the forge keeps them for %s", age(d.Fetched), age(deliveriesKept))
	case d.Fetched > 3*f.Configuration.SweepEvery:
		r.add(Warning, fix, "webhooks that were lost have been fetched up to %s ago only; it is to happen every %s", age(d.Fetched), f.Configuration.SweepEvery)
	}
}

func lastHook(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return ", last webhook " + age(d) + " ago"
}

// age is a duration as people say it.
func age(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return strconv.Itoa(int(d/(24*time.Hour))) + " days"
	case d >= time.Minute:
		return d.Round(time.Minute).String()[:len(d.Round(time.Minute).String())-len("0s")]
	}
	return d.Round(time.Second).String()
}
