package postgres

import (
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/projections/runner"
)

type roleRow struct {
	id uuid.UUID
	access.Role
	// removed keeps the row of a role that there is no more, so that what told of it
	// before cannot bring it back.
	removed bool
	at      time.Time
	by      string
	place
}

// roleGrant is the key of a role that a user was granted.
type roleGrant struct {
	user string
	role uuid.UUID
}

type roleGrantRow struct {
	roleGrant
	granted bool
	at      time.Time
	by      string
	place
}

type groupRow struct {
	id uuid.UUID
	access.ComplianceGroup
	// removed keeps the row of a group that there is no more.
	removed bool
	at      time.Time
	by      string
	place
}

// groupMember is the key of a compliance group that a user is or was in.
type groupMember struct {
	user  string
	group uuid.UUID
}

type groupMemberRow struct {
	groupMember
	member bool
	since  time.Time
	place
}

// roles folds events of roles and compliance groups, and of who holds them or is in
// them.
type roles struct {
	definitions table[uuid.UUID, roleRow]
	grants      table[roleGrant, roleGrantRow]
	groups      table[uuid.UUID, groupRow]
	memberships table[groupMember, groupMemberRow]
}

func newRoles() roles {
	return roles{
		definitions: newTable[uuid.UUID]("role_definitions", []string{"role_id"}, func(r *roleRow) place { return r.place },
			col("role_id", "uuid[]", func(r *roleRow) uuid.UUID { return r.id }),
			col("name", "text[]", func(r *roleRow) string { return r.Name }),
			col("description", "text[]", func(r *roleRow) string { return r.Description }),
			list("permissions", func(r *roleRow) []string { return r.Permissions }),
			list("states", func(r *roleRow) []string { return r.States }),
			list("groups", func(r *roleRow) []string { return r.Groups }),
			list("sections", func(r *roleRow) []string { return r.Sections }),
			col("removed", "boolean[]", func(r *roleRow) bool { return r.removed }),
			col("defined_at", "timestamptz[]", func(r *roleRow) time.Time { return r.at }),
			col("defined_by", "text[]", func(r *roleRow) string { return r.by })),
		grants: newTable[roleGrant]("role_grants", []string{"user_id", "role_id"}, func(r *roleGrantRow) place { return r.place },
			col("user_id", "text[]", func(r *roleGrantRow) string { return r.user }),
			col("role_id", "uuid[]", func(r *roleGrantRow) uuid.UUID { return r.role }),
			col("granted", "boolean[]", func(r *roleGrantRow) bool { return r.granted }),
			col("granted_at", "timestamptz[]", func(r *roleGrantRow) time.Time { return r.at }),
			col("granted_by", "text[]", func(r *roleGrantRow) string { return r.by })),
		groups: newTable[uuid.UUID]("compliance_groups", []string{"group_id"}, func(r *groupRow) place { return r.place },
			col("group_id", "uuid[]", func(r *groupRow) uuid.UUID { return r.id }),
			col("name", "text[]", func(r *groupRow) string { return r.Name }),
			col("description", "text[]", func(r *groupRow) string { return r.Description }),
			list("states", func(r *groupRow) []string { return r.States }),
			col("removed", "boolean[]", func(r *groupRow) bool { return r.removed }),
			col("defined_at", "timestamptz[]", func(r *groupRow) time.Time { return r.at }),
			col("defined_by", "text[]", func(r *groupRow) string { return r.by })),
		memberships: newTable[groupMember]("compliance_memberships", []string{"user_id", "group_id"}, func(r *groupMemberRow) place { return r.place },
			col("user_id", "text[]", func(r *groupMemberRow) string { return r.user }),
			col("group_id", "uuid[]", func(r *groupMemberRow) uuid.UUID { return r.group }),
			col("member", "boolean[]", func(r *groupMemberRow) bool { return r.member }),
			col("since", "timestamptz[]", func(r *groupMemberRow) time.Time { return r.since })),
	}
}

func (r *roles) empty() roles {
	return roles{definitions: r.definitions.empty(), grants: r.grants.empty(), groups: r.groups.empty(), memberships: r.memberships.empty()}
}

// add takes an event and tells whether it is one of these.
func (r *roles) add(e runner.Event) bool {
	at := placeOf(e)
	grant := func(user string, role uuid.UUID, granted bool) {
		key := roleGrant{user, role}
		r.grants.put(key, roleGrantRow{key, granted, e.Time, e.Actor, at})
	}
	belong := func(user string, group uuid.UUID, member bool, since time.Time) {
		key := groupMember{user, group}
		r.memberships.put(key, groupMemberRow{key, member, since, at})
	}
	switch p := e.Payload.(type) {
	case access.GroupDefined:
		r.groups.put(p.GroupID, groupRow{p.GroupID, p.ComplianceGroup, false, e.Time, e.Actor, at})
	case access.GroupRemoved:
		r.groups.put(p.GroupID, groupRow{p.GroupID, access.ComplianceGroup{Name: p.Name}, true, e.Time, e.Actor, at})
	case access.GroupsGained:
		for _, g := range p.Groups {
			belong(p.UserID, g.GroupID, true, p.Since)
		}
	case access.GroupsLost:
		for _, g := range p.Groups {
			belong(p.UserID, g.GroupID, false, p.Since)
		}
	case access.RoleDefined:
		r.definitions.put(p.RoleID, roleRow{p.RoleID, p.Role, false, e.Time, e.Actor, at})
	case access.RoleRemoved:
		r.definitions.put(p.RoleID, roleRow{p.RoleID, access.Role{Name: p.Name}, true, e.Time, e.Actor, at})
	case access.RoleGranted:
		grant(p.UserID, p.RoleID, true)
	case access.RoleRevoked:
		grant(p.UserID, p.RoleID, false)
	default:
		return false
	}
	return true
}

// queue implements queuer.
func (r *roles) queue(b *pgx.Batch) {
	r.definitions.queue(b)
	r.grants.queue(b)
	r.groups.queue(b)
	r.memberships.queue(b)
}
