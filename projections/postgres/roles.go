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

// roles folds events of roles, and of who was granted them.
type roles struct {
	definitions table[uuid.UUID, roleRow]
	grants      table[roleGrant, roleGrantRow]
}

func newRoles() roles {
	return roles{
		definitions: newTable[uuid.UUID]("role_definitions", []string{"role_id"}, func(r *roleRow) place { return r.place },
			col("role_id", "uuid[]", func(r *roleRow) uuid.UUID { return r.id }),
			col("name", "text[]", func(r *roleRow) string { return r.Name }),
			col("description", "text[]", func(r *roleRow) string { return r.Description }),
			list("permissions", func(r *roleRow) []string { return r.Permissions }),
			list("states", func(r *roleRow) []string { return r.States }),
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
	}
}

func (r *roles) empty() roles {
	return roles{definitions: r.definitions.empty(), grants: r.grants.empty()}
}

// add takes an event and tells whether it is one of these.
func (r *roles) add(e runner.Event) bool {
	at := placeOf(e)
	grant := func(user string, role uuid.UUID, granted bool) {
		key := roleGrant{user, role}
		r.grants.put(key, roleGrantRow{key, granted, e.Time, e.Actor, at})
	}
	switch p := e.Payload.(type) {
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
}
