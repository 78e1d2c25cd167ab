package forgetest

import (
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"time"
)

// account is a user, a bot or an organisation: they share one id space and one name space.
type account struct {
	id        int64
	login     string
	name      string
	email     string
	kind      string // User, Bot, Organization
	createdAt time.Time

	members        map[int64]string // organisations: user id → admin | member
	basePermission string           // organisations: what every member may do in every repository
	teams          []*team
}

type team struct {
	id      int64
	org     *account
	slug    string
	name    string
	members map[int64]*teamMember
	repos   map[int64]string // repository id → permission
}

type teamMember struct {
	user  *account
	role  string // member, maintainer
	state string // active, pending
}

// repository is one repository with everything in it. refs mirrors the references on disk.
type repository struct {
	id            int64
	owner         *account
	name          string
	private       bool
	defaultBranch string
	dir           string
	store         *store
	parent        *repository
	createdAt     time.Time
	pushedAt      time.Time
	formerNames   []string // "owner/name", in lower case, until somebody else takes them

	refs        map[string]string
	perms       map[int64]string // collaborators
	issues      map[int]*issue   // pull requests are issues too
	lastNumber  int
	labels      []*label
	protection  map[string]Protection
	queues      map[string][]*MergeGroup // merge queues by branch
	noMerging   map[string]bool          // the methods that are switched off
	suites      []*checkSuite
	runs        []*checkRun
	runsBySHA   map[string][]*checkRun
	statuses    map[string][]*commitStatus
	deployments []*deployment
	hooks       []*hook
	activity    []activity
	comments    map[int64]*comment
	memo        map[string]any // results of git commands about immutable objects
}

// issue is what pull requests and plain issues share. pull is nil for a plain issue.
type issue struct {
	id        int64
	number    int
	repo      *repository
	author    *account
	title     string
	body      string
	state     string // open, closed
	createdAt time.Time
	updatedAt time.Time
	closedAt  time.Time
	closedBy  *account
	labels    []*label
	assignees []*account
	comments  []*comment
	reactions []*reaction
	events    []*issueEvent
	pull      *pull
}

type pull struct {
	*issue
	pullID          int64
	headRepo        *repository // nil when the fork is gone
	headRef         string
	headSHA         string
	baseRef         string
	baseSHA         string
	draft           bool
	merged          bool
	mergedAt        time.Time
	mergedBy        *account
	mergeCommit     string
	maintainerEdits bool
	reviews         []*review
	reviewComments  []*reviewComment
	requested       []*account
	requestedTeams  []*team
}

type review struct {
	id          int64
	pull        *pull
	user        *account
	body        string
	state       string // APPROVED, CHANGES_REQUESTED, COMMENTED, DISMISSED, PENDING
	commitID    string
	submittedAt time.Time
}

type reviewComment struct {
	id        int64
	pull      *pull
	review    *review
	user      *account
	body      string
	path      string
	startLine int // 0: a single line
	line      int
	side      string
	commitID  string
	inReplyTo int64
	createdAt time.Time
	updatedAt time.Time
}

type comment struct {
	id        int64
	issue     *issue
	user      *account
	app       *app
	body      string
	createdAt time.Time
	updatedAt time.Time
	edits     int
	reactions []*reaction
}

type reaction struct {
	id        int64
	user      *account
	content   string
	createdAt time.Time
}

type label struct {
	id    int64
	name  string
	color string
}

type checkSuite struct {
	id        int64
	app       *app
	headSHA   string
	branch    string
	reset     bool // asked for again, and nothing reported since
	createdAt time.Time
	updatedAt time.Time
}

type checkRun struct {
	id          int64
	suite       *checkSuite
	name        string
	status      string // queued, in_progress, completed
	conclusion  string
	detailsURL  string
	externalID  string
	startedAt   time.Time
	completedAt time.Time
	title       *string
	summary     *string
	text        *string
	annotations []Annotation
	actions     []CheckAction
}

type commitStatus struct {
	id          int64
	user        *account
	context     string
	state       string
	description string
	targetURL   string
	createdAt   time.Time
}

type deployment struct {
	id          int64
	sha         string
	ref         string
	task        string
	environment string
	description string
	payload     any
	creator     *account
	createdAt   time.Time
	updatedAt   time.Time
	transient   bool
	production  bool
	statuses    []*deploymentStatus
}

type deploymentStatus struct {
	id             int64
	state          string
	description    string
	environment    string
	environmentURL string
	logURL         string
	targetURL      string
	creator        *account
	createdAt      time.Time
}

type app struct {
	id            int64
	slug          string
	name          string
	owner         *account
	bot           *account
	key           *rsa.PrivateKey
	permissions   map[string]string
	events        []string
	hook          *hook
	installations []*installation
	createdAt     time.Time
}

type installation struct {
	id          int64
	app         *app
	account     *account
	repos       map[int64]bool // nil: all repositories of the account
	permissions map[string]string
	suspendedAt time.Time
	createdAt   time.Time
}

func (i *installation) covers(r *repository) bool {
	if r.owner != i.account || !i.suspendedAt.IsZero() {
		return false
	}
	return i.repos == nil || i.repos[r.id]
}

// token is a credential: a person's, or an installation's with its own scope.
type token struct {
	user        *account
	inst        *installation
	repos       map[int64]bool // nil: whatever the installation covers
	permissions map[string]string
	expiresAt   time.Time
}

func (r *repository) fullName() string { return r.owner.login + "/" + r.name }

func (r *repository) branch(name string) string { return r.refs["refs/heads/"+name] }

// pulls lists the pull requests by falling number, as GitHub does by default.
func (r *repository) pulls() []*pull {
	var out []*pull
	for n := r.lastNumber; n > 0; n-- {
		if is := r.issues[n]; is != nil && is.pull != nil {
			out = append(out, is.pull)
		}
	}
	return out
}

func (r *repository) pull(n int) *pull {
	if is := r.issues[n]; is != nil {
		return is.pull
	}
	return nil
}

// remember keeps the result of a computation about immutable objects.
func remember[T any](r *repository, key string, compute func() (T, error)) (T, error) {
	if v, ok := r.memo[key].(T); ok {
		return v, nil
	}
	v, err := compute()
	if err != nil {
		return v, err
	}
	if len(r.memo) > 20000 {
		clear(r.memo)
	}
	r.memo[key] = v
	return v, nil
}

func (s *Server) nextID() int64 {
	s.lastID++
	return s.lastID
}

// now is the server's idea of the time, at the resolution of GitHub's timestamps.
func (s *Server) now() time.Time { return s.clock().UTC().Truncate(time.Second) }

func (s *Server) account(login string) *account {
	for _, a := range s.accounts {
		if equalFold(a.login, login) {
			return a
		}
	}
	return nil
}

// idFor derives an account's id from its login, so that files written before a server starts can name it.
func (s *Server) idFor(login string) int64 {
	h := fnv.New32a()
	h.Write([]byte(login))
	id := int64(h.Sum32()%90_000_000) + 1_000_000
	for s.accounts[id] != nil {
		id++
	}
	return id
}

// moved finds the repository that had a name which no other has now.
func (s *Server) moved(owner, name string) *repository {
	former := strings.ToLower(owner + "/" + name)
	for _, r := range s.repos {
		if slices.Contains(r.formerNames, former) {
			return r
		}
	}
	return nil
}

func (s *Server) repository(owner, name string) *repository {
	for _, r := range s.repos {
		if equalFold(r.owner.login, owner) && equalFold(r.name, name) {
			return r
		}
	}
	return nil
}

func (s *Server) sortedRepos() []*repository {
	out := make([]*repository, 0, len(s.repos))
	for _, r := range s.repos {
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b *repository) int { return int(a.id - b.id) })
	return out
}

func nodeID(kind string, id int64) string {
	return base64.RawStdEncoding.EncodeToString([]byte(fmt.Sprintf("%03d:%s%d", len(kind), kind, id)))
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
