package forgetest

import (
	"net/http"
	"slices"
)

func listPulls(c *call) (reply, error) {
	state := c.query("state")
	if state == "" {
		state = "open"
	}
	head, base := c.query("head"), c.query("base")
	pulls := slices.DeleteFunc(c.repo.pulls(), func(p *pull) bool {
		label := p.headRef
		if p.headRepo != nil {
			label = p.headRepo.owner.login + ":" + p.headRef
		}
		return state != "all" && p.state != state || base != "" && p.baseRef != base || head != "" && !equalFold(head, label)
	})
	c.sortPulls(pulls)
	return page(c, pulls, c.s.pullView)
}

// sortPulls orders by creation, newest first, or by last update, oldest first, unless asked otherwise.
func (c *call) sortPulls(pulls []*pull) {
	by, direction := c.query("sort"), c.query("direction")
	ascending := direction == "asc" || direction == "" && by != "" && by != "created"
	slices.SortStableFunc(pulls, func(a, b *pull) int {
		order := a.number - b.number
		if by == "updated" {
			if byTime := a.updatedAt.Compare(b.updatedAt); byTime != 0 {
				order = byTime
			}
		}
		if ascending {
			return order
		}
		return -order
	})
}

func getPull(c *call) (reply, error) {
	p, err := c.pull()
	if err != nil {
		return reply{}, err
	}
	return ok(c.s.fullPullView(p, true))
}

func postPull(c *call) (reply, error) {
	var in newPull
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	p, err := c.s.openPull(c.actor, c.repo, in)
	if err != nil {
		return reply{}, err
	}
	return created(c.s.fullPullView(p, false))
}

func patchPull(c *call) (reply, error) {
	p, err := c.pull()
	if err != nil {
		return reply{}, err
	}
	var in pullEdit
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if err := c.s.editPull(c.actor, p, in); err != nil {
		return reply{}, err
	}
	return ok(c.s.fullPullView(p, true))
}

const (
	maxPullCommits = 250
	maxPullFiles   = 3000
)

func listPullCommits(c *call) (reply, error) {
	p, err := c.pull()
	if err != nil {
		return reply{}, err
	}
	shas, err := c.s.commitsBetween(c.repo, c.s.pullBase(p), p.headSHA)
	if err != nil {
		return reply{}, err
	}
	return c.pageCommits(shas[:min(len(shas), maxPullCommits)])
}

func listPullFiles(c *call) (reply, error) {
	p, err := c.pull()
	if err != nil {
		return reply{}, err
	}
	files, err := c.s.diffFiles(c.repo, c.s.pullBase(p), p.headSHA)
	if err != nil {
		return reply{}, err
	}
	return page(c, files[:min(len(files), maxPullFiles)], func(f fileChange) obj { return c.s.fileView(c.repo, p.headSHA, f) })
}

func isMerged(c *call) (reply, error) {
	p, err := c.pull()
	if err != nil {
		return reply{}, err
	}
	if !p.merged {
		return reply{}, notFound()
	}
	return noContent()
}

func putMerge(c *call) (reply, error) {
	p, err := c.pull()
	if err != nil {
		return reply{}, err
	}
	var in struct {
		Title   string `json:"commit_title"`
		Message string `json:"commit_message"`
		SHA     string `json:"sha"`
		Method  string `json:"merge_method"`
	}
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	order := mergeOrder{method: in.Method, title: in.Title, message: in.Message, sha: in.SHA, bypass: true}
	sha, err := c.s.mergePull(c.actor, p, order)
	if err != nil {
		return reply{}, err
	}
	return ok(obj{"sha": sha, "merged": true, "message": "Pull Request successfully merged"})
}

func putUpdateBranch(c *call) (reply, error) {
	p, err := c.pull()
	if err != nil {
		return reply{}, err
	}
	var in struct {
		Expected string `json:"expected_head_sha"`
	}
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	if err := c.s.updateBranch(c.actor, p, in.Expected); err != nil {
		return reply{}, err
	}
	return reply{status: http.StatusAccepted, body: obj{"message": "Updating pull request branch.", "url": c.s.issueURL(p.issue)}}, nil
}
