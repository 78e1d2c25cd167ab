package forgetest

import (
	"fmt"
	"net/http"
	"strings"
)

// mergeOrder is how a pull request is to be merged.
type mergeOrder struct {
	method  string // merge, squash, rebase
	title   string
	message string
	sha     string // the head that the caller saw
	bypass  bool   // use an administrator's right to pass branch protection
}

func (s *Server) mergePull(who *actor, p *pull, in mergeOrder) (string, error) {
	if in.method == "" {
		in.method = "merge"
	}
	if err := s.mayMerge(who, p, in); err != nil {
		return "", err
	}
	tip := p.repo.branch(p.baseRef)
	tree, clean, err := s.mergeTrees(p.repo, tip, p.headSHA)
	if err != nil {
		return "", err
	}
	if !clean {
		return "", refuse(http.StatusMethodNotAllowed, "Pull Request is not mergeable")
	}
	sha, err := s.writeMerged(who, p, in, tip, tree)
	if err != nil {
		return "", err
	}
	if err := s.git.updateRef(p.repo.dir, "refs/heads/"+p.baseRef, tip, sha); err != nil {
		return "", err
	}
	p.baseSHA = tip
	s.setMerged(who, p, sha)
	s.refMoved(who, p.repo, refUpdate{ref: "refs/heads/" + p.baseRef, old: tip, new: sha}, "pr_merge")
	s.emitPull(who, p, "closed", nil)
	return sha, nil
}

// writeMerged makes the commits of a merge, given the tree that it ends in, and names the last of them.
func (s *Server) writeMerged(who *actor, p *pull, in mergeOrder, tip, tree string) (string, error) {
	switch in.method {
	case "merge":
		return s.writeMerge(who, p, in, tip, tree)
	case "squash":
		return s.writeSquash(p, in, tip, tree)
	}
	return s.writeRebase(p, tip)
}

// methodNames are how GitHub calls the ways to merge when it refuses one.
var methodNames = map[string]string{"merge": "Merge commits", "squash": "Squash merges", "rebase": "Rebase merges"}

func (s *Server) mayMerge(who *actor, p *pull, in mergeOrder) error {
	if err := who.can(p.repo, "write", "contents:write"); err != nil {
		return err
	}
	switch {
	case methodNames[in.method] == "":
		return invalid("PullRequest", "merge_method", "invalid", "")
	case p.merged || p.state != "open":
		return refuse(http.StatusMethodNotAllowed, "Pull Request is not mergeable")
	case in.sha != "" && in.sha != p.headSHA:
		return refuse(http.StatusConflict, "Head branch was modified. Review and try the merge again.")
	case p.draft:
		return refuse(http.StatusMethodNotAllowed, "Pull Request is still a draft")
	case p.repo.noMerging[in.method]:
		return refuse(http.StatusMethodNotAllowed, "%s are not allowed on this repository.", methodNames[in.method])
	}
	unmet := s.unmet(p)
	if p.repo.protection[p.baseRef].MergeQueue != "" {
		unmet = append(unmet, "Changes must be made through the merge queue")
	}
	if len(unmet) == 0 || in.bypass && who.bypasses(p.repo) && !p.repo.protection[p.baseRef].EnforceAdmins {
		return nil
	}
	return refuse(http.StatusMethodNotAllowed, "%s", strings.Join(unmet, " "))
}

func (s *Server) writeMerge(who *actor, p *pull, in mergeOrder, tip, tree string) (string, error) {
	from := p.headRef
	if p.headRepo != nil {
		from = p.headRepo.owner.login + "/" + p.headRef
	}
	title, message := in.title, in.message
	if title == "" {
		title = fmt.Sprintf("Merge pull request #%d from %s", p.number, from)
	}
	if message == "" {
		message = p.title
	}
	return p.repo.store.writeCommit(commit{
		tree: tree, parents: []string{tip, p.headSHA}, author: s.signatureOf(who.user), committer: s.webFlow(),
		message: title + "\n\n" + message,
	})
}

// writeSquash makes one commit of all, by the pull request's author, naming the other authors as co-authors.
func (s *Server) writeSquash(p *pull, in mergeOrder, tip, tree string) (string, error) {
	title, message := in.title, in.message
	if title == "" {
		title = fmt.Sprintf("%s (#%d)", p.title, p.number)
	}
	shas, err := s.commitsBetween(p.repo, tip, p.headSHA)
	if err != nil {
		return "", err
	}
	author := s.signatureOf(p.author)
	seen := map[string]bool{author.email: true}
	var others []string
	for _, sha := range shas {
		c, err := p.repo.store.commit(sha)
		if err != nil {
			return "", err
		}
		if in.message == "" && len(shas) > 1 {
			message += "* " + strings.TrimSpace(c.message) + "\n\n"
		}
		if !seen[c.author.email] {
			seen[c.author.email] = true
			others = append(others, fmt.Sprintf("Co-authored-by: %s <%s>", c.author.name, c.author.email))
		}
	}
	text := strings.TrimSpace(title + "\n\n" + strings.TrimSpace(message))
	if len(others) > 0 {
		text += "\n\n" + strings.Join(others, "\n")
	}
	return p.repo.store.writeCommit(commit{tree: tree, parents: []string{tip}, author: author, committer: s.webFlow(), message: text})
}

// writeRebase replays each commit of the pull request that is no merge on the tip, and gives the last one.
func (s *Server) writeRebase(p *pull, tip string) (string, error) {
	shas, err := s.commitsBetween(p.repo, tip, p.headSHA)
	if err != nil {
		return "", err
	}
	on := tip
	for _, sha := range shas {
		c, err := p.repo.store.commit(sha)
		if err != nil {
			return "", err
		}
		if len(c.parents) > 1 {
			continue
		}
		tree, err := s.replay(p.repo, c, on)
		if err != nil {
			return "", err
		}
		on, err = p.repo.store.writeCommit(commit{
			tree: tree, parents: []string{on}, author: c.author, committer: s.webFlow(), message: c.message,
		})
		if err != nil {
			return "", err
		}
	}
	return on, nil
}

// replay merges a commit's own change into another commit. git merge-tree of this age takes no merge base, so
// stand-ins with just the right ancestry are merged.
func (s *Server) replay(r *repository, c *commit, on string) (string, error) {
	target, err := r.store.commit(on)
	if err != nil {
		return "", err
	}
	baseTree := ""
	if len(c.parents) > 0 {
		parent, err := r.store.commit(c.parents[0])
		if err != nil {
			return "", err
		}
		baseTree = parent.tree
	} else if baseTree, err = r.store.emptyTree(); err != nil {
		return "", err
	}
	sign := s.webFlow()
	base, err := r.store.writeCommit(commit{tree: baseTree, author: sign, committer: sign, message: "base"})
	if err != nil {
		return "", err
	}
	side := func(tree, name string) (string, error) {
		return r.store.writeCommit(commit{tree: tree, parents: []string{base}, author: sign, committer: sign, message: name})
	}
	ours, err := side(target.tree, "ours")
	if err != nil {
		return "", err
	}
	theirs, err := side(c.tree, "theirs")
	if err != nil {
		return "", err
	}
	tree, clean, err := s.mergeTrees(r, ours, theirs)
	if err != nil {
		return "", err
	}
	if !clean {
		return "", refuse(http.StatusMethodNotAllowed, "This branch can't be rebased")
	}
	return tree, nil
}

// updateBranch merges the base branch into the head branch.
func (s *Server) updateBranch(who *actor, p *pull, expected string) error {
	tip := p.repo.branch(p.baseRef)
	switch {
	case p.state != "open" || p.headRepo == nil:
		return refuse(http.StatusUnprocessableEntity, "The pull request is closed.")
	case expected != "" && expected != p.headSHA:
		return refuse(http.StatusUnprocessableEntity, "expected head sha didn't match current head ref.")
	case s.isAncestor(p.repo, tip, p.headSHA):
		return refuse(http.StatusUnprocessableEntity, "There are no new commits on the base branch.")
	case !who.writes(p.headRepo) && !(p.maintainerEdits && who.writes(p.repo)):
		return refuse(http.StatusForbidden, "Must have push access to the head repository.")
	}
	tree, clean, err := s.mergeTrees(p.repo, p.headSHA, tip)
	if err != nil {
		return err
	}
	if !clean {
		return refuse(http.StatusUnprocessableEntity, "merge conflict between base and head")
	}
	sha, err := p.repo.store.writeCommit(commit{
		tree: tree, parents: []string{p.headSHA, tip}, author: s.signatureOf(who.user), committer: s.webFlow(),
		message: fmt.Sprintf("Merge branch '%s' into %s", p.baseRef, p.headRef),
	})
	if err != nil {
		return err
	}
	if p.headRepo != p.repo {
		if _, err := s.git.run(p.headRepo.dir, nil, "fetch", "-q", "--no-tags", p.repo.dir, sha); err != nil {
			return err
		}
	}
	return s.writeRef(who, p.headRepo, refUpdate{ref: "refs/heads/" + p.headRef, old: p.headSHA, new: sha})
}
