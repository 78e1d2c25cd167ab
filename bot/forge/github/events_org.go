package github

import (
	"strings"

	"kv-shepherd.io/shepherd/bot/forge"
)

// parseMergeGroup keeps what a merge queue asks checks for. A group that is given up or merged changes nothing: a
// merge is a push of its own.
func parseMergeGroup(p parts, out *forge.Event) error {
	if out.Action != "checks_requested" {
		return nil
	}
	var g struct {
		HeadSHA string `json:"head_sha"`
		BaseSHA string `json:"base_sha"`
		HeadRef string `json:"head_ref"`
		BaseRef string `json:"base_ref"`
	}
	if err := p.read(map[string]any{"merge_group": &g}); err != nil {
		return err
	}
	switch {
	case !validSHA(g.HeadSHA) || !validSHA(g.BaseSHA):
		return errNoCommit
	case len(g.HeadRef) > maxRef || len(g.BaseRef) > maxRef:
		return errTooLong
	case !strings.HasPrefix(g.HeadRef, "refs/heads/") || !strings.HasPrefix(g.BaseRef, "refs/heads/"):
		return errNoBranch
	}
	out.Kind, out.HeadSHA = forge.MergeGroupRequested, g.HeadSHA
	out.Group = &forge.MergeGroup{HeadSHA: g.HeadSHA, BaseSHA: g.BaseSHA, HeadRef: g.HeadRef, BaseRef: g.BaseRef}
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
func parseMembership(p parts, out *forge.Event) error {
	var member, org, team numbered
	if err := p.read(map[string]any{"member": &member, "organization": &org, "team": &team}); err != nil {
		return err
	}
	return membershipChanged(out, member.ID, org.ID, team.ID)
}

// parseTeam is about a team itself: deleted, or moved below another, whose members its own then are too.
func parseTeam(p parts, out *forge.Event) error {
	var org, team numbered
	if err := p.read(map[string]any{"organization": &org, "team": &team}); err != nil {
		return err
	}
	return membershipChanged(out, 0, org.ID, team.ID)
}

// parseOrganization is about a person in the organisation. Who is invited is no member yet.
func parseOrganization(p parts, out *forge.Event) error {
	if out.Action == "member_invited" {
		return nil
	}
	var (
		org        numbered
		membership struct {
			User numbered `json:"user"`
		}
	)
	if err := p.read(map[string]any{"membership": &membership, "organization": &org}); err != nil {
		return err
	}
	return membershipChanged(out, membership.User.ID, org.ID, 0)
}

// parseMember is about a collaborator of the repository.
func parseMember(p parts, out *forge.Event) error {
	var member, org numbered
	if err := p.read(map[string]any{"member": &member, "organization": &org}); err != nil {
		return err
	}
	return membershipChanged(out, member.ID, org.ID, 0)
}
