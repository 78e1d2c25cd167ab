package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	kubevirtv1 "kubevirt.io/api/core/v1"

	"kv-shepherd.io/shepherd/gitops/spec"
	"kv-shepherd.io/shepherd/internal/forgetest"
	"kv-shepherd.io/shepherd/internal/oracle"
	"kv-shepherd.io/shepherd/internal/stage"
)

// seat is where one script is played at a time: the pull request, and what the oracle thinks of it.
type seat struct {
	table  *table
	number int
	rita   *forgetest.User
	games  int // played here

	script  *oracle.Script
	out     *result
	oracle  *oracle.State
	round   int // 0: the opening
	pr      *forgetest.Pull
	branch  string
	shas    []string // the heads, as the oracle numbers them
	reviews map[oracle.Person]int64
	paths   []string
	spares  []*spare // of the changes that take one
	pushes  int
	wrong   []string
}

// system is where a seat makes its machines: in one of its two systems new machines in prod need two approvals.
func (s *seat) system(strict bool) string {
	return fmt.Sprintf("%s-%d", map[bool]string{false: "easy", true: "strict"}[strict], s.number)
}

// sit begins a script.
func (s *seat) sit(script oracle.Script, out *result) {
	s.games++
	s.script, s.out, s.oracle, s.round = &script, out, oracle.New(script.Setup), 0
	s.branch = fmt.Sprintf("seat%d-%d", s.number, s.games)
	s.shas, s.reviews, s.paths, s.spares, s.wrong, s.pr, s.pushes = nil, map[oracle.Person]int64{}, nil, nil, nil, nil, 0
	system := s.system(script.Setup.Strict)
	service := system + "-base"
	if slices.Contains(script.Setup.Changes, oracle.CreateService) {
		service = fmt.Sprintf("%s-%d", system, s.games)
	}
	for i, k := range script.Setup.Changes {
		var sp *spare
		env := map[bool]string{false: "test-shop", true: "prod-shop"}[k.Prod()]
		path := vmPath(system, service, fmt.Sprintf("%s/%02d", env, 4*s.games+i))
		switch {
		case k == oracle.CreateService:
			path = "systems/" + system + "/" + service + "/service.yaml"
		case !k.Machine():
			sp = s.take(k.Prod())
			path = sp.path
		}
		s.paths, s.spares = append(s.paths, path), append(s.spares, sp)
	}
	s.table.team.Add(s.rita)
}

func (s *seat) take(prod bool) *spare {
	stock := s.table.stock[prod]
	s.table.stock[prod] = stock[1:]
	return stock[0]
}

// file is what a change's file says as its content of a number; nil where it is deleted.
func (s *seat) file(i, content int) []byte {
	switch k := s.script.Setup.Changes[i]; {
	case k.Deletes():
		return nil
	case k == oracle.CreateService:
		return stage.Service(fmt.Sprintf("description %d", content))
	case k.Machine():
		return stage.VM([]string{"small", "medium"}[content%2], fmt.Sprintf("version %d", content))
	}
	return spareFile(!s.spares[i].off)
}

// files are all that the pull request changes.
func (s *seat) files() forgetest.Files {
	out := forgetest.Files{}
	for i, content := range s.oracle.Contents() {
		out[s.paths[i]] = s.file(i, content)
	}
	return out
}

// act does the steps of the round.
func (s *seat) act() {
	if s.round == 0 {
		sha, err := s.table.Alice.Commit(s.table.Repo, s.branch, "main", s.files(), "ask for it")
		if err == nil {
			s.shas = []string{sha}
			s.pr, err = s.table.Alice.OpenPull(s.table.Repo, "Game "+s.branch, s.branch, "main", "", s.script.Setup.Draft)
		}
		if err != nil {
			s.complain("open: %v", err)
		}
		return
	}
	for _, st := range s.script.Rounds[s.round-1] {
		if !s.oracle.Can(st) {
			continue // what a shorter script makes impossible
		}
		former := s.oracle.Former()
		lets := s.oracle.Do(st)
		if err := s.do(st, former); (err == nil) != lets {
			s.complain("%s: the forge says %v, and the oracle that it is let: %t", st, err, lets)
		}
	}
}

func (s *seat) complain(format string, args ...any) {
	s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
}

func (s *seat) person(p oracle.Person) *forgetest.User {
	t := s.table
	return map[oracle.Person]*forgetest.User{
		oracle.Alice: t.Alice, oracle.Bob: t.Bob, oracle.Carol: t.Carol, oracle.Dave: t.Dave,
		oracle.Erin: t.Erin, oracle.Frank: t.Frank, oracle.Adam: t.Adam, oracle.Rita: s.rita,
	}[p]
}

// do does one step at the forge.
func (s *seat) do(st oracle.Step, former int) error {
	who, pr, t := s.person(st.Who), s.pr, s.table
	switch st.Does {
	case oracle.Writes, oracle.WritesBack, oracle.WritesFor, oracle.CommitsFor, oracle.WritesWith, oracle.WritesUnknown:
		return s.write(st)
	case oracle.Reformats:
		file := s.file(st.Change, s.oracle.Contents()[st.Change])
		return s.push(st, forgetest.Files{s.paths[st.Change]: fmt.Appendf(bytes.Clone(file), "# form %d\n", s.pushes)})
	case oracle.Touches:
		return s.push(st, forgetest.Files{"docs/" + s.branch + ".md": fmt.Appendf(nil, "%d\n", s.pushes)})
	case oracle.Rebases:
		sha, err := who.ForcePush(t.Repo, s.branch, "main", s.files(), "rebased")
		s.shas = append(s.shas, sha)
		return err
	case oracle.Updates:
		_ = who.UpdateBranch(pr) // refused where there is nothing new
		s.shas = append(s.shas, pr.HeadSHA())
		return nil
	case oracle.Dismisses:
		return who.DismissReview(pr, s.reviews[st.Whom], "because")
	case oracle.Plans:
		_, err := who.Comment(pr, s.planOf(st))
		return err
	case oracle.Confirms:
		return s.confirm(st)
	case oracle.Holds:
		_, err := who.Comment(pr, "/hold")
		return err
	case oracle.Unholds:
		_, err := who.Comment(pr, "/unhold")
		return err
	case oracle.Merges:
		_, err := who.Merge(pr, st.Method())
		return err
	case oracle.Bypasses:
		_, err := who.MergeBypassing(pr, st.Method())
		return err
	case oracle.Leaves:
		t.team.Remove(s.rita)
		return nil
	case oracle.Joins:
		t.team.Add(s.rita)
		return nil
	}
	if turn, ok := turns[st.Does]; ok {
		return turn(who, pr)
	}
	return s.review(st, former)
}

// turns are the turns in a pull request's life.
var turns = map[oracle.Action]func(*forgetest.User, *forgetest.Pull) error{
	oracle.Closes:     (*forgetest.User).Close,
	oracle.Reopens:    (*forgetest.User).Reopen,
	oracle.MakesDraft: (*forgetest.User).MarkDraft,
	oracle.MakesReady: (*forgetest.User).MarkReady,
	oracle.AimsAway:   func(u *forgetest.User, pr *forgetest.Pull) error { return u.Retarget(pr, "elsewhere") },
	oracle.AimsBack:   func(u *forgetest.User, pr *forgetest.Pull) error { return u.Retarget(pr, "main") },
}

func (s *seat) write(st oracle.Step) error {
	var opts []forgetest.CommitOption
	message := ""
	switch whom := s.person(st.Whom); st.Does {
	case oracle.WritesFor:
		opts = append(opts, forgetest.AuthoredBy(whom.Login(), whom.Email()))
	case oracle.CommitsFor:
		opts = append(opts, forgetest.CommittedBy(whom.Login(), whom.Email()))
	case oracle.WritesWith:
		message = fmt.Sprintf("\n\nCo-authored-by: %s <%d+%s@users.noreply.github.com>\n", whom.Login(), whom.ID(), whom.Login())
	case oracle.WritesUnknown:
		opts = append(opts, forgetest.AuthoredBy("nobody", "nobody@example.org"), forgetest.CommittedBy("nobody", "nobody@example.org"))
	}
	files := forgetest.Files{s.paths[st.Change]: s.file(st.Change, s.oracle.Contents()[st.Change])}
	return s.pushed(st, files, message, opts...)
}

func (s *seat) push(st oracle.Step, files forgetest.Files) error { return s.pushed(st, files, "") }

func (s *seat) pushed(st oracle.Step, files forgetest.Files, trailer string, opts ...forgetest.CommitOption) error {
	s.pushes++
	sha, err := s.person(st.Who).Commit(s.table.Repo, s.branch, "main", files, fmt.Sprintf("push %d%s", s.pushes, trailer), opts...)
	s.shas = append(s.shas, sha)
	return err
}

// review sends a review, and keeps its number where it decides.
func (s *seat) review(st oracle.Step, former int) error {
	who := s.person(st.Who)
	var sent forgetest.Review
	var err error
	switch {
	case st.Who == oracle.Robot:
		s.table.reviewOn(s.table.robot, s.pr, "APPROVE", s.pr.HeadSHA(), "")
		return nil
	case st.Does == oracle.ApprovesOld:
		s.table.reviewOn(who.Token(), s.pr, "APPROVE", s.shas[former], "")
		all := s.pr.Reviews()
		sent = all[len(all)-1]
	case st.Does == oracle.Approves:
		sent, err = who.Approve(s.pr)
	case st.Does == oracle.PlansAlong:
		_, err = who.ApproveWith(s.pr, s.planOf(st))
		return err
	case st.Does == oracle.Objects:
		sent, err = who.RequestChanges(s.pr, "not like this")
	case st.Does == oracle.Remarks:
		_, err = who.ReviewComment(s.pr, "by the way")
		return err
	default:
		return errors.New("nobody knows how to do that")
	}
	s.reviews[st.Who] = sent.ID
	return err
}

func (s *seat) subject(i int) string {
	if s.spares[i] != nil {
		return s.spares[i].name
	}
	part := strings.Split(strings.TrimSuffix(s.paths[i], ".yaml"), "/")
	return strings.Join([]string{part[3], part[1], part[2], part[4]}, "-")
}

func (s *seat) planOf(st oracle.Step) string {
	return planWith("vms:", fmt.Sprintf("  %s: {templateVersion: %d}", s.subject(st.Change), st.Version()))
}

// confirm says the line that the comment asks for.
func (s *seat) confirm(st oracle.Step) error {
	digests := s.table.strings(`select change_digest from tickets where pull_request = $1 and path = $2 order by created_at desc limit 1`, s.pr.Number(), s.paths[st.Change])
	line := "/confirm " + spec.Digest8(digests[0])
	if s.script.Setup.Changes[st.Change].Prod() {
		line = "/confirm " + s.subject(st.Change) + " " + spec.Digest8(digests[0])
	}
	_, err := s.person(st.Who).Comment(s.pr, line)
	return err
}

// look holds what is to be seen to what the oracle says.
func (s *seat) look() {
	var want oracle.Verdict
	if s.round == 0 {
		want = s.oracle.Verdict()
	} else {
		want = s.oracle.Settle()
	}
	s.round++
	if s.pr == nil {
		return
	}
	got := s.seen(want)
	if diff := cmp.Diff(want, got); diff != "" {
		s.complain("#%d after round %d (-oracle +bot):\n%s", s.pr.Number(), s.round-1, diff)
	}
}

func (s *seat) seen(want oracle.Verdict) oracle.Verdict {
	got := oracle.Verdict{Merged: s.pr.Merged(), Validate: s.conclusion("shepherd/validate", want.Validate), Approval: s.conclusion("shepherd/approval", want.Approval)}
	for i, path := range s.paths {
		status := oracle.None
		if rows := s.table.strings(`select status from tickets where pull_request = $1 and path = $2 order by created_at desc limit 1`, s.pr.Number(), path); len(rows) > 0 {
			status = oracle.Status(rows[0])
		}
		got.Tickets = append(got.Tickets, status)
		got.Accepted = append(got.Accepted, s.carriedOut(i))
	}
	return got
}

// conclusion is that of a check; where the oracle does not say which, it is not looked at.
func (s *seat) conclusion(name, want string) string {
	check, _ := s.pr.Check(name)
	switch {
	case want == "":
		return ""
	case want == oracle.NotSuccess && check.Conclusion != "success":
		return want
	}
	return check.Conclusion
}

// carriedOut reports whether a change is accepted, and what it is about is as it asks for. It complains where
// the two differ.
func (s *seat) carriedOut(i int) bool {
	k := s.script.Setup.Changes[i]
	documents := s.table.strings(`select convert_from(document, 'UTF8') from accepted where id = $1`, s.paths[i])
	file := s.file(i, s.oracle.Contents()[i])
	accepted := len(documents) == 0 && file == nil || len(documents) == 1 && strings.HasPrefix(documents[0], string(file)) && file != nil
	if k == oracle.CreateService {
		return accepted
	}
	vm := &kubevirtv1.VirtualMachine{}
	err := s.table.kube.Client().Get(s.table.t.Context(), s.table.key(s.subject(i)), vm)
	there := err == nil
	applied := there
	switch {
	case k.Deletes():
		applied = !there
	case !k.Machine():
		applied = there && vm.Spec.RunStrategy != nil && (*vm.Spec.RunStrategy == kubevirtv1.RunStrategyHalted) != s.spares[i].off
	}
	if applied != accepted {
		s.complain("#%d, %s: accepted: %t, applied: %t", s.pr.Number(), s.subject(i), accepted, applied)
	}
	return accepted
}

// leave ends the script when it is over or went wrong.
func (s *seat) leave() {
	over := s.round > len(s.script.Rounds)
	if !over && len(s.wrong) == 0 {
		return
	}
	played := *s.script
	played.Rounds = played.Rounds[:min(s.round-1, len(played.Rounds))]
	*s.out = result{script: played, wrong: strings.Join(s.wrong, "\n")}
	if s.pr != nil && !s.pr.Merged() && s.pr.State() == "open" {
		_ = s.table.Alice.Close(s.pr)
	}
	for i, sp := range s.spares {
		switch {
		case sp == nil:
		case s.pr != nil && !s.pr.Merged():
			s.giveBack(i)
		case s.pr != nil && !s.script.Setup.Changes[i].Deletes() && s.carriedOut(i):
			sp.off = !sp.off
			s.giveBack(i)
		}
	}
	s.script = nil
}

func (s *seat) giveBack(i int) {
	prod := s.script.Setup.Changes[i].Prod()
	s.table.stock[prod] = append(s.table.stock[prod], s.spares[i])
}
