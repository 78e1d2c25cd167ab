package comment

import (
	"fmt"
	"slices"

	"kv-shepherd.io/shepherd/bot/forge"
	"kv-shepherd.io/shepherd/internal/judge"
)

// GroupView is the head of a merge queue's group: several pull requests on top of each other.
type GroupView struct {
	// Report is the judging of the whole group against its base.
	Report judge.Report
	// Changes are what the group changes, each with the pull request that asks for it.
	Changes []Grouped
}

// Grouped is one change of a group.
type Grouped struct {
	Change      judge.Change
	PullRequest int // 0: none that is open asks for this
	// Passed says that it can be merged as it is: approved and confirmed, or neither needed.
	Passed bool
	Why    string // why not, in a sentence
}

// Group is what a merge queue is told about a group's head: green where every change is valid and stands
// as it was approved, else why not and in which pull request. Nothing is waited for in a queue: what is
// not green fails.
func Group(g GroupView) (validate, approval forge.Check) {
	v := read(View{State: Open, Report: g.Report})
	validate = groupValidate(v)
	approval = forge.Check{Name: ApprovalName, HeadSHA: g.Report.Head, Conclusion: forge.Success, Title: "Approved, " + count(len(g.Changes), "change")}
	var wrong []string
	for _, c := range g.Changes {
		if why := c.wrong(); why != "" {
			wrong = append(wrong, why)
		}
	}
	p := newPage(limit)
	switch {
	case v.blocking():
		approval.Conclusion, approval.Title = forge.Failure, "Waiting for valid changes"
		p.must("**Together these changes are not valid.** See " + ValidateName + "; take the pull request out of the queue and mend it.\n")
	case len(wrong) > 0:
		i := slices.IndexFunc(g.Changes, func(c Grouped) bool { return c.wrong() != "" })
		approval.Conclusion, approval.Title = forge.Failure, g.Changes[i].title()
		p.must("**" + count(len(wrong), "change") + " of this group cannot be merged.** Take the pull request out of the queue, and see its own checks.\n")
	case len(g.Changes) == 0:
		approval.Title = validate.Title
		p.must("**" + validate.Title + ".**\n")
	default:
		p.must("**Every change of this group stands as it was approved.**\n")
	}
	p.list("", wrong, maxProblems, "")
	approval.Summary = p.String()
	return validate, Identified(approval)
}

// groupValidate says of a group what Validate says of a pull request.
func groupValidate(v *reading) forge.Check {
	c := Validate(v.View)
	if v.blocking() {
		p := newPage(limit)
		p.must("**Together these changes are not valid.** Each alone may be: see the checks of its pull request.\n")
		p.list("", v.problemLines(v.errors), len(v.errors), "")
		c.Summary = p.String()
	} else if len(v.rows) == 0 {
		c.Summary = "**" + c.Title + ".**\n"
	}
	return Identified(c)
}

// wrong is why the change cannot be merged; empty where it can.
func (c Grouped) wrong() string {
	if c.Passed && c.PullRequest > 0 {
		return ""
	}
	return c.from() + ": " + subject(Row{Change: c.Change}) + " " + prose(sentence(c.reason()), maxMessage)
}

func (c Grouped) title() string {
	return plain(c.from()+": "+c.name()+" "+c.reason(), 150)
}

func (c Grouped) from() string {
	if c.PullRequest > 0 {
		return fmt.Sprintf("#%d", c.PullRequest)
	}
	return "no pull request"
}

func (c Grouped) name() string { return plain(c.Change.Subject, 60) }

func (c Grouped) reason() string {
	switch {
	case c.PullRequest == 0:
		return "is asked for by no open pull request"
	case c.Why == "":
		return "is not approved as it is"
	}
	return c.Why
}
