package chaos

import (
	"fmt"

	"kv-shepherd.io/shepherd/internal/forgetest"
)

// disturb does something that a pull request can do without, or that sets it back.
func (s *story) disturb() {
	acts := []struct {
		weight int
		do     func()
	}{
		{10, s.noise}, {8, func() { s.push(s.author) }}, {3, func() { s.push(s.erin) }}, {3, s.remark}, {3, s.rebase}, {3, s.update},
		{4, func() { s.approves(s.Bob) }}, {2, func() { s.approves(s.frank) }}, {2, func() { s.approves(s.erin) }}, {1, func() { s.approves(s.Carol) }},
		{3, func() { s.objects(pick(s.rng, s.Bob, s.Bob, s.frank, s.erin, s.Carol)) }}, {3, s.dismiss}, {3, s.reopen}, {2, s.retarget},
		{2, s.draft}, {4, s.command},
	}
	total := 0
	for _, a := range acts {
		total += a.weight
	}
	k := s.rng.IntN(total)
	for _, a := range acts {
		if k -= a.weight; k < 0 {
			a.do()
			return
		}
	}
}

// noise is what has nothing to do with the request.
func (s *story) noise() {
	u := pick(s.rng, s.Alice, s.Bob, s.Carol, s.frank)
	switch s.rng.IntN(3) {
	case 0:
		s.act(u, "labels", u.AddLabel(s.pr, fmt.Sprintf("label-%d", s.rng.IntN(20))))
	case 1:
		c, err := u.Comment(s.pr, fmt.Sprintf("Looks interesting (%d).", s.rng.IntN(1000)))
		s.act(u, "comments", err)
		if err == nil && s.rng.IntN(2) == 0 {
			s.act(u, "edits the comment", u.EditComment(s.pr, c.ID, "/confirm approve everything"))
		}
	default:
		s.act(s.author, "edits the title", s.author.EditPull(s.pr, fmt.Sprintf("Machines, take %d", s.rng.IntN(1000)), ""))
	}
}

// push gives one of the machines other content.
func (s *story) push(u *forgetest.User) {
	if s.gone || len(s.asked) == 0 {
		return
	}
	v := pick(s.rng, s.asked...)
	v.resize(s.rng)
	s.commit(u, "pushes "+v.name, forgetest.Files{v.path: v.file()})
}

func (s *story) commit(u *forgetest.User, what string, files forgetest.Files) {
	if s.Repo.Head(s.branch) == "" {
		return
	}
	_, err := u.Commit(s.Repo, s.branch, "", files, what)
	s.act(u, what, err)
}

// remark changes a file without changing what it says; carol, who may not ask for machines, changes another.
func (s *story) remark() {
	if s.gone || len(s.asked) == 0 || s.rng.IntN(2) == 0 {
		s.commit(s.Carol, "writes to the README", forgetest.Files{fmt.Sprintf("notes/%d.md", s.n): fmt.Appendf(nil, "%d\n", s.rng.IntN(1000))})
		return
	}
	v := pick(s.rng, s.asked...)
	s.commit(s.author, "remarks", forgetest.Files{v.path: append(v.file(), fmt.Sprintf("  # remark %d\n", s.rng.IntN(1000))...)})
}

// rebase makes the branch anew on the tip, with what the machines' files are to say.
func (s *story) rebase() {
	if s.gone || len(s.asked) == 0 {
		return
	}
	files := forgetest.Files{}
	for _, v := range s.asked {
		files[v.path] = v.file()
	}
	for _, path := range []string{fmt.Sprintf("systems/c%d/system.yaml", s.n), fmt.Sprintf("systems/c%d/c%d/service.yaml", s.n, s.n)} {
		if content, ok := s.Repo.File(s.branch, path); ok {
			files[path] = content
		}
	}
	_, err := s.author.ForcePush(s.Repo, s.branch, "main", files, "rebased")
	s.act(s.author, "rebases", err)
}

func (s *story) update() {
	s.act(s.author, "updates the branch", s.author.UpdateBranch(s.pr))
}

func (s *story) objects(u *forgetest.User) {
	_, err := u.RequestChanges(s.pr, "not like this")
	s.act(u, "requests changes", err)
}

// dismiss takes back a decision: one's own, or as the administrator.
func (s *story) dismiss() {
	for _, r := range s.pr.Reviews() {
		if r.State != "APPROVED" && r.State != "CHANGES_REQUESTED" {
			continue
		}
		u := pick(s.rng, s.Dave, s.Forge.User(r.Author), s.author)
		s.act(u, fmt.Sprintf("dismisses the review of %s (%s)", r.Author, r.State), u.DismissReview(s.pr, r.ID, "on second thoughts"))
		return
	}
}

func (s *story) reopen() {
	if s.act(s.author, "closes", s.author.Close(s.pr)) {
		s.sleep(800)
		s.act(s.author, "reopens", s.author.Reopen(s.pr))
	}
}

func (s *story) retarget() {
	if s.act(s.author, "aims elsewhere", s.author.Retarget(s.pr, "other")) {
		s.sleep(800)
		s.act(s.author, "aims back", s.author.Retarget(s.pr, "main"))
	}
}

func (s *story) draft() {
	s.act(s.author, "makes it a draft", s.author.MarkDraft(s.pr))
	s.sleep(300)
	s.act(s.author, "ends the draft", s.author.MarkReady(s.pr))
}

func (s *story) command() {
	u := pick(s.rng, s.author, s.author, s.Bob, s.Carol)
	text := pick(s.rng, "/explain", "/help", "/hold", "/unhold", "/retry", "/plan", "/confirm 00000000")
	_, err := u.Comment(s.pr, text)
	s.act(u, "says "+text, err)
}
