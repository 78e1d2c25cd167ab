package doctor

import (
	"time"

	"kv-shepherd.io/shepherd/bot/forge"
)

// Facts are what was seen. An area whose Unseen is not empty holds nothing else.
type Facts struct {
	Configuration Configuration
	Forge         Forge
	Protection    Protection
	Database      Database
	Clusters      Clusters
}

// Configuration is what of the server's configuration is judged.
type Configuration struct {
	Problems    []string // what keeps the server from starting
	Grace       time.Duration
	Keys        []string // the ids of the encryption keys; the first one seals
	Deployments bool     // merges are announced as deployments
	Branch      string
	SweepEvery  time.Duration
	CheckEvery  time.Duration
}

// Forge is what the forge says of the repository and of the bot's App.
type Forge struct {
	Unseen     string
	Repository string        // owner/name
	Branch     bool          // the governed branch exists
	Timed      bool          // its clock was seen
	Skew       time.Duration // of its clock against ours
	App        *forge.App    // nil: the bot is a token's user
	AppUnseen  string
}

// Protection is how the governed branch is protected.
type Protection struct {
	Unseen string
	forge.Protection
}

// Database is what PostgreSQL says of itself and of what is in it.
type Database struct {
	Unseen         string
	Version        int // of PostgreSQL: the major one
	Skew           time.Duration
	MaxConnections int // that are not reserved
	PoolSize       int
	Pending        bool              // migrations are; nothing below was read
	JobOptions     map[string]string // the storage options of river_job
	Baseline       bool              // there is one
	Blocked        string            // why the branch is not followed
	Heartbeat      time.Duration     // since the last one; 0: none is known
	LastDelivery   time.Duration     // since then; 0: there was none
	LastSweep      time.Duration     // since then; 0: there was none
	Fetched        time.Duration     // since the moment up to which no webhook of the forge's is missing; 0: none was looked for
}

// Clusters is what is registered, and what the accepted platform names.
type Clusters struct {
	Unseen         string
	Registered     []Cluster
	Platform       map[string]string // name → status
	PlatformUnseen string
}

// Cluster is a cluster with stored credentials.
type Cluster struct {
	Name, Health, Message string
	Key                   string        // the id of the encryption key that its credentials are sealed with
	Checked               time.Duration // since then; 0: it never was
	Paused                time.Duration // from now on
	PausedReason          string
}
