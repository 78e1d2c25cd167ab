package forgetest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// signature is an author or committer line.
type signature struct {
	name  string
	email string
	when  time.Time
}

func (g signature) String() string {
	return fmt.Sprintf("%s <%s> %d %s", g.name, g.email, g.when.Unix(), g.when.Format("-0700"))
}

func parseSignature(line string) signature {
	name, rest, _ := strings.Cut(line, " <")
	email, stamp, _ := strings.Cut(rest, "> ")
	secs, zone, _ := strings.Cut(stamp, " ")
	n, _ := strconv.ParseInt(secs, 10, 64) //nolint:errcheck // a bad date reads as 1970, as git shows it
	when := time.Unix(n, 0).UTC()
	if z, err := time.Parse("-0700", zone); err == nil {
		when = when.In(z.Location())
	}
	return signature{name: name, email: email, when: when}
}

// commit is a parsed commit. It is immutable.
type commit struct {
	sha       string
	tree      string
	parents   []string
	author    signature
	committer signature
	message   string
}

func (st *store) commit(sha string) (*commit, error) {
	st.mu.Lock()
	c := st.commits[sha]
	st.mu.Unlock()
	if c != nil {
		return c, nil
	}
	kind, data, err := st.read(sha)
	if err != nil {
		return nil, fmt.Errorf("read commit %s: %w", sha, err)
	}
	if kind != "commit" {
		return nil, fmt.Errorf("%s is a %s, not a commit", sha, kind)
	}
	c = parseCommit(sha, string(data))
	st.mu.Lock()
	st.commits[sha] = c
	st.mu.Unlock()
	return c, nil
}

func parseCommit(sha, data string) *commit {
	c := &commit{sha: sha}
	header, message, _ := strings.Cut(data, "\n\n")
	c.message = message
	for line := range strings.SplitSeq(header, "\n") {
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "tree":
			c.tree = value
		case "parent":
			c.parents = append(c.parents, value)
		case "author":
			c.author = parseSignature(value)
		case "committer":
			c.committer = parseSignature(value)
		}
	}
	return c
}

// writeCommit stores a commit; its sha field is ignored.
func (st *store) writeCommit(c commit) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "tree %s\n", c.tree)
	for _, p := range c.parents {
		fmt.Fprintf(&b, "parent %s\n", p)
	}
	fmt.Fprintf(&b, "author %s\ncommitter %s\n\n%s", c.author, c.committer, c.message)
	if !strings.HasSuffix(c.message, "\n") {
		b.WriteByte('\n')
	}
	return st.write("commit", []byte(b.String()))
}

// leadsTo tells whether a walk along first parents from one commit meets another within a number of steps. False
// may mean only that the walk was too short.
func (st *store) leadsTo(from, to string, steps int) bool {
	for range steps {
		if from == to {
			return true
		}
		c, err := st.commit(from)
		if err != nil || len(c.parents) == 0 {
			return false
		}
		from = c.parents[0]
	}
	return false
}

// straightLine lists the commits after base up to head, oldest first, when each has just one parent. False may mean
// only that there are more than the given number.
func (st *store) straightLine(base, head string, steps int) ([]string, bool) {
	var out []string
	for range steps {
		if head == base {
			slices.Reverse(out)
			return out, true
		}
		c, err := st.commit(head)
		if err != nil || len(c.parents) != 1 {
			return nil, false
		}
		out = append(out, head)
		head = c.parents[0]
	}
	return nil, false
}

// signatureOf is how an account signs commits.
func (s *Server) signatureOf(a *account) signature {
	name := a.name
	if name == "" {
		name = a.login
	}
	return signature{name: name, email: a.email, when: s.now()}
}

// webFlow signs what the forge itself commits.
func (s *Server) webFlow() signature {
	return signature{name: "GitHub", email: "noreply@github.com", when: s.now()}
}

// accountByEmail maps a commit's address to an account, nil when it belongs to nobody.
func (s *Server) accountByEmail(email string) *account {
	if email == "" {
		return nil
	}
	for _, a := range s.accounts {
		if equalFold(a.email, email) {
			return a
		}
	}
	return nil
}

func noreplyEmail(id int64, login string) string {
	return fmt.Sprintf("%d+%s@users.noreply.github.com", id, login)
}
