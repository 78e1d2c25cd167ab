package chaos

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
	"time"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// story is one pull request, from its asking to its end, and what follows from it.
type story struct {
	*run
	n      int
	rng    *rand.Rand
	author *forgetest.User
	branch string
	pr     *forgetest.Pull
	asked  []*living
	gone   bool // the machines are to be deleted
}

// patience is how long people wait for an answer before they do something else.
const patience = 15 * time.Second

// play is the story of a seed: what kind it is, and what happens in it.
func (r *run) play(n int) {
	rng := rand.New(rand.NewPCG(r.seed, uint64(n)))
	s := &story{run: r, n: n, rng: rng, branch: fmt.Sprintf("ask-%03d", n), author: pick(rng, r.Alice, r.Alice, r.erin)}
	switch k := rng.IntN(100); {
	case k < 50 || n < 4: // somebody has to begin
		s.creates()
	case k < 66:
		s.changes((*living).resize)
	case k < 78:
		s.changes(func(v *living, _ *rand.Rand) { v.toggle() })
	case k < 86:
		s.deletes()
	case k < 93:
		s.bypasses()
	default:
		s.stale()
	}
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

// act does something and writes it down. What the forge refuses was not to be had.
func (s *story) act(who *forgetest.User, what string, err error) bool {
	number := 0
	if s.pr != nil {
		number = s.pr.Number()
	}
	s.script.line("story %d #%d: %s %s (%v)", s.n, number, who.Login(), what, err)
	return err == nil
}

// new asks for one to three machines of a new system.
func (s *story) new() forgetest.Files {
	system := fmt.Sprintf("c%d", s.n)
	files := forgetest.Files{
		"systems/" + system + "/system.yaml":                 document("System"),
		"systems/" + system + "/" + system + "/service.yaml": document("Service"),
	}
	for i := range 1 + s.rng.IntN(3) {
		v := newLiving(system, pick(s.rng, "test", "prod"), i+1, s.rng)
		s.asked = append(s.asked, v)
		files[v.path] = v.file()
	}
	return files
}

func document(kind string) []byte {
	return []byte("apiVersion: kubevirt-shepherd.io/v1alpha1\nkind: " + kind + "\nspec:\n  description: of the chaos\n")
}

func (s *story) creates() {
	if s.ask(s.new()) {
		s.live()
	}
}

// changes asks for something else of one or two machines that are there.
func (s *story) changes(how func(*living, *rand.Rand)) {
	s.asked = s.estate.borrow(s.rng, 1+s.rng.IntN(2))
	files := forgetest.Files{}
	for _, v := range s.asked {
		how(v, s.rng)
		files[v.path] = v.file()
	}
	if len(files) == 0 {
		files = s.new()
	}
	if s.ask(files) {
		s.live()
	}
}

func (s *story) deletes() {
	s.asked = s.estate.borrow(s.rng, 1)
	if len(s.asked) == 0 {
		s.creates()
		return
	}
	s.gone = true
	if s.ask(forgetest.Files{s.asked[0].path: nil}) {
		s.live()
	}
}

// bypasses is a merge past everything by an administrator.
func (s *story) bypasses() {
	if !s.ask(s.new()) {
		return
	}
	for range s.rng.IntN(3) {
		s.disturb()
	}
	s.bypassed()
}

// stale is an approval of something else than what an administrator then merges.
func (s *story) stale() {
	if !s.ask(s.new()) || !s.green() {
		return
	}
	s.push(s.author)
	s.bypassed()
}

// bypassed merges as an administrator, takes the undo, and perhaps asks again properly.
func (s *story) bypassed() {
	sha, err := s.Dave.MergeBypassing(s.pr, pick(s.rng, "merge", "squash"))
	if !s.act(s.Dave, "merges past everything", err) {
		s.estate.settle(s.asked, false, false)
		return
	}
	undo := s.pullFrom("shepherd/undo-" + sha[:8])
	if undo == nil {
		return
	}
	s.wait("the undo to be green", patience, func() bool { return len(undo.Blockers()) == 0 })
	if _, err := s.Bob.Merge(undo, "merge"); !s.act(s.Bob, "merges the undo", err) || s.rng.IntN(3) == 0 {
		return
	}
	branch := "shepherd/redo-" + sha[:8]
	if !s.wait("the redo", patience, func() bool { return s.Repo.Head(branch) != "" }) {
		return
	}
	s.branch = branch
	pr, err := s.author.OpenPull(s.Repo, "Once more", branch, "main", "", false)
	if s.act(s.author, "asks again", err) {
		s.pr = pr
		s.live()
	}
}

func (s *story) pullFrom(branch string) (found *forgetest.Pull) {
	s.wait(branch, patience, func() bool {
		for _, p := range s.Repo.Pulls() {
			if p.HeadRef() == branch {
				found = p
			}
		}
		return found != nil
	})
	return found
}

func (s *story) ask(files forgetest.Files) bool {
	_, err := s.author.Commit(s.Repo, s.branch, "main", files, "ask")
	if !s.act(s.author, "pushes "+s.branch, err) {
		return false
	}
	pr, err := s.author.OpenPull(s.Repo, "Machines of "+s.branch, s.branch, "main", "", false)
	if !s.act(s.author, "opens", err) {
		return false
	}
	s.pr = pr
	return true
}

// live is what happens to a pull request until it is merged or given up.
func (s *story) live() {
	for range s.rng.IntN(5) {
		s.disturb()
		s.sleep(400)
	}
	merged := s.pr.Merged()
	if s.rng.IntN(10) > 0 && !merged && s.green() {
		merged = s.merge()
	}
	merged = merged || s.pr.Merged()
	if !merged && s.rng.IntN(2) == 0 {
		s.act(s.author, "closes", s.author.Close(s.pr))
	}
	if merged && !s.gone { // others see the machines some time later
		s.wait("the machines", patience/2, func() bool { return s.allThere() })
	}
	s.estate.settle(s.asked, merged, s.gone)
}

func (s *story) allThere() bool {
	for _, v := range s.asked {
		if !s.there(v) {
			return false
		}
	}
	return true
}

func (s *story) sleep(most int) { time.Sleep(time.Duration(s.rng.IntN(most)+1) * time.Millisecond) }

// wait looks until something is so or the time is over.
func (s *story) wait(what string, long time.Duration, ok func() bool) bool {
	for end := time.Now().Add(long); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if ok() {
			return true
		}
		if s.ctx.Err() != nil {
			return false
		}
	}
	s.script.line("story %d: waited for %s", s.n, what)
	return false
}

func (s *story) conclusion(check string) string {
	c, ok := s.pr.Check(check)
	if !ok || c.HeadSHA != s.pr.HeadSHA() {
		return ""
	}
	return c.Conclusion
}

// green brings a pull request to where it can be merged, or gives up after some attempts.
func (s *story) green() bool {
	for range 4 {
		if s.pr.State() != "open" {
			return false
		}
		s.wait("an answer", patience, func() bool { return s.conclusion("shepherd/approval") != "" || s.pr.Merged() })
		if s.pr.Merged() || len(s.pr.Blockers()) == 0 {
			return !s.pr.Merged()
		}
		s.ready()
		s.sleep(300)
		if s.wait("green", patience/2, func() bool { return len(s.pr.Blockers()) == 0 || s.pr.Merged() }) {
			return !s.pr.Merged()
		}
	}
	return false
}

// ready does what a pull request may still wait for.
func (s *story) ready() {
	s.act(s.author, "ends the draft", s.author.MarkReady(s.pr))
	for _, c := range s.pr.Comments() {
		if strings.HasPrefix(c.Body, "/hold") {
			_, err := s.author.Comment(s.pr, "/unhold")
			s.act(s.author, "lets it go on", err)
			break
		}
	}
	for _, u := range []*forgetest.User{s.frank, s.erin, s.Bob} {
		vetoed := false
		for _, r := range s.pr.Reviews() {
			vetoed = r.Author == u.Login() && r.State == "CHANGES_REQUESTED"
		}
		if vetoed || u == s.Bob {
			s.approves(u)
		}
	}
	if s.gone {
		s.confirm()
	}
}

var confirmation = regexp.MustCompile("`(/confirm [^`]*[0-9a-f]{8})`")

func (s *story) confirm() {
	for _, c := range s.pr.CommentsBy("shepherd[bot]") {
		if line := confirmation.FindStringSubmatch(c.Body); line != nil {
			_, err := s.author.Comment(s.pr, line[1])
			s.act(s.author, "says "+line[1], err)
			return
		}
	}
}

func (s *story) approves(u *forgetest.User) {
	_, err := u.Approve(s.pr)
	s.act(u, "approves", err)
}

func (s *story) merge() bool {
	_, err := s.Bob.Merge(s.pr, pick(s.rng, "merge", "merge", "squash", "rebase"))
	return s.act(s.Bob, "merges", err)
}
