package github

import (
	"strings"

	gh "github.com/google/go-github/v60/github"

	"kv-shepherd.io/shepherd/bot/forge"
)

// parseMergeGroup keeps what a merge queue asks checks for. A group that is given up or merged changes nothing: a
// merge is a push of its own.
func parseMergeGroup(payload any, out *forge.Event) error {
	if out.Action != "checks_requested" {
		return nil
	}
	g := payload.(*gh.MergeGroupEvent).GetMergeGroup()
	switch {
	case !validSHA(g.GetHeadSHA()) || !validSHA(g.GetBaseSHA()):
		return errNoCommit
	case len(g.GetHeadRef()) > maxRef || len(g.GetBaseRef()) > maxRef:
		return errTooLong
	case !strings.HasPrefix(g.GetHeadRef(), "refs/heads/") || !strings.HasPrefix(g.GetBaseRef(), "refs/heads/"):
		return errNoBranch
	}
	out.Kind, out.HeadSHA = forge.MergeGroupRequested, g.GetHeadSHA()
	out.Group = &forge.MergeGroup{HeadSHA: g.GetHeadSHA(), BaseSHA: g.GetBaseSHA(), HeadRef: g.GetHeadRef(), BaseRef: g.GetBaseRef()}
	return nil
}

// membershipChanged notes whom and what an event about people or teams names. Every action counts, those of tomorrow
// too: asking the forge again is cheap, and believing an old answer is not.
func membershipChanged(out *forge.Event, personID, orgID, teamID int64) error {
	if personID < 0 || orgID < 0 || teamID < 0 {
		return errNoID
	}
	out.Kind, out.Membership = forge.MembershipChanged, &forge.Membership{PersonID: personID, OrgID: orgID, TeamID: teamID}
	return nil
}

// parseMembership is about a person in a team.
func parseMembership(payload any, out *forge.Event) error {
	e := payload.(*gh.MembershipEvent)
	return membershipChanged(out, e.GetMember().GetID(), e.GetOrg().GetID(), e.GetTeam().GetID())
}

// parseTeam is about a team itself: deleted, or moved below another, whose members its own then are too.
func parseTeam(payload any, out *forge.Event) error {
	e := payload.(*gh.TeamEvent)
	return membershipChanged(out, 0, e.GetOrg().GetID(), e.GetTeam().GetID())
}

// parseOrganization is about a person in the organisation. Who is invited is no member yet.
func parseOrganization(payload any, out *forge.Event) error {
	e := payload.(*gh.OrganizationEvent)
	if out.Action == "member_invited" {
		return nil
	}
	return membershipChanged(out, e.GetMembership().GetUser().GetID(), e.GetOrganization().GetID(), 0)
}

// parseMember is about a collaborator of the repository.
func parseMember(payload any, out *forge.Event) error {
	e := payload.(*gh.MemberEvent)
	return membershipChanged(out, e.GetMember().GetID(), e.GetOrg().GetID(), 0)
}
