package forgetest

var permissionRank = map[string]int{"none": 0, "read": 1, "pull": 1, "triage": 2, "write": 3, "push": 3, "maintain": 4, "admin": 5}

func atLeast(have, want string) bool { return permissionRank[have] >= permissionRank[want] }

// permission tells what a user may do in a repository: the most that any of the ways to it gives.
func (r *repository) permission(u *account) string {
	best := "none"
	raise := func(p string) {
		if permissionRank[p] > permissionRank[best] {
			best = p
		}
	}
	if !r.private {
		raise("read")
	}
	if u == nil {
		return best
	}
	if u == r.owner {
		return "admin"
	}
	raise(r.perms[u.id])
	switch r.owner.members[u.id] {
	case "admin":
		return "admin"
	case "member":
		raise(r.owner.basePermission)
	}
	for _, t := range r.owner.teams {
		if m := t.members[u.id]; m != nil && m.state == "active" {
			raise(t.repos[r.id])
		}
	}
	return best
}

// association is what GitHub calls author_association.
func (r *repository) association(u *account) string {
	switch {
	case u == nil:
		return "NONE"
	case u == r.owner:
		return "OWNER"
	case r.owner.members[u.id] != "":
		return "MEMBER"
	case r.perms[u.id] != "":
		return "COLLABORATOR"
	}
	return "NONE"
}
