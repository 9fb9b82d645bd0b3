package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/runner"
)

// holdingsJSON is a format that takes the projection's schema: the roles that a user u
// holds, as JSON of [access.Holding], the granted ones first.
const holdingsJSON = `coalesce((SELECT json_agg(json_build_object('name', held.name, 'permissions', held.permissions, 'sections', held.sections, 'State', held.state, 'Group', held.compliance_group)
	ORDER BY held.state <> '' OR held.compliance_group <> '', held.name, held.compliance_group)
	FROM %[1]s.holdings held WHERE held.user_id = u.user_id), '[]')`

// Role is a role with how many users hold it.
type Role struct {
	ID uuid.UUID
	access.Role
	DefinedAt time.Time
	DefinedBy string
	// Granted counts the users whom it was granted, Holders those who hold it, also
	// through their states and compliance groups.
	Granted, Holders int64
	// Origin is its definition.
	Origin event.Origin
}

// Roles lists all roles, by name. It fails with [event.CodeUnavailable] if the
// projection or the database is not there.
func (r *CharacterReader) Roles(ctx context.Context) ([]Role, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := r.pool.Query(ctx, fmt.Sprintf(`SELECT r.role_id, r.name, r.description, r.permissions, r.states, r.groups, r.sections, r.defined_at, r.defined_by,
			(SELECT count(*) FROM %[1]s.holdings h JOIN %[1]s.users USING (user_id) WHERE h.role_id = r.role_id AND h.state = '' AND h.compliance_group = ''),
			(SELECT count(DISTINCT h.user_id) FROM %[1]s.holdings h JOIN %[1]s.users USING (user_id) WHERE h.role_id = r.role_id), r.log_partition, r.log_offset
		FROM %[1]s.access_roles r ORDER BY lower(r.name) COLLATE "C"`, schema))
	if err != nil {
		return nil, queryError("listing roles", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Role, error) {
		var role Role
		var o origin
		err := row.Scan(append([]any{
			&role.ID, &role.Name, &role.Description, &role.Permissions, &role.States, &role.Groups, &role.Sections, &role.DefinedAt, &role.DefinedBy, &role.Granted, &role.Holders,
		}, o.columns()...)...)
		role.Origin = o.of(event.Roles, event.TopicAccess)
		role.DefinedAt = role.DefinedAt.UTC()
		return role, err
	})
	if err != nil {
		return nil, queryError("listing roles", err)
	}
	return list, nil
}

// User is a user as a list shows him.
type User struct {
	UserID, Name, State string
	Active, Superuser   bool
	// Main is nil for none.
	Main *Main
	// Registered and Unregistered count the characters that he owns.
	Registered, Unregistered int64
	// Given are the permissions that came with him, without roles.
	Given []string
	// Holdings are his roles.
	Holdings []access.Holding
	// Origin is the last event about the user himself.
	Origin event.Origin
}

// Grants are what he was given in all.
func (u User) Grants() access.Grants { return access.GrantsOf(u.registered(), u.Holdings) }

// Sources tells where his permissions come from.
func (u User) Sources() []access.PermissionSource {
	return access.SourcesOf(u.registered(), u.Holdings)
}

func (u User) registered() access.UserRegistered {
	return access.UserRegistered{UserID: u.UserID, Name: u.Name, Superuser: u.Superuser, Active: u.Active, State: u.State, Permissions: u.Given}
}

// UserFilter says which users to list. Zero fields do not filter.
type UserFilter struct {
	ID string
	// Name is a part of his id, of his name or of that of his main, in any case.
	Name              string
	State             string
	Role              string
	Permission        access.Permission
	Active, Superuser *bool
	// After is the id behind which to begin.
	After string
	Limit int
}

// Users lists users by their ids, in byte order, at most filter.Limit. It fails with
// [event.CodeUnavailable] if the projection or the database is not there.
func (r *CharacterReader) Users(ctx context.Context, filter UserFilter) ([]User, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	var q conditions
	if filter.ID != "" {
		q.add(`u.user_id = ?`, filter.ID)
	}
	if filter.Name != "" {
		pattern := "%" + escapeLike(filter.Name) + "%"
		q.add(`(u.user_id ILIKE ? OR u.name ILIKE ? OR h.name ILIKE ?)`, pattern, pattern, pattern)
	}
	if filter.State != "" {
		q.add(`u.state = ?`, filter.State)
	}
	if filter.Role != "" {
		q.add(fmt.Sprintf(`EXISTS (SELECT FROM %s.holdings held WHERE held.user_id = u.user_id AND lower(held.name) = lower(?))`, schema), filter.Role)
	}
	if filter.Permission != "" {
		q.add(fmt.Sprintf(`EXISTS (SELECT FROM %s.grants g WHERE g.user_id = u.user_id AND (g.superuser OR ? = ANY (g.permissions)))`, schema), string(filter.Permission))
	}
	if filter.Active != nil {
		q.add(`u.active = ?`, *filter.Active)
	}
	if filter.Superuser != nil {
		q.add(`u.superuser = ?`, *filter.Superuser)
	}
	if filter.After != "" {
		q.add(`u.user_id COLLATE "C" > ?`, filter.After)
	}
	where := q.clause()
	_, limit := q.sql(filter.Limit)
	rows, err := r.pool.Query(ctx, fmt.Sprintf(`SELECT u.user_id, u.name, u.state, u.active, u.superuser, u.permissions, `+holdingsJSON+`,
			m.character_id, coalesce(h.name, ''), coalesce(h.corporation_id, 0), coalesce(h.alliance_id, 0),
			(SELECT count(*) FROM %[1]s.characters c WHERE c.user_id = u.user_id),
			(SELECT count(*) FROM %[1]s.listed l WHERE l.user_id = u.user_id AND NOT EXISTS (SELECT FROM %[1]s.registrations r WHERE r.character_id = l.character_id)), u.log_partition, u.log_offset
		FROM %[1]s.users u LEFT JOIN %[1]s.mains m USING (user_id) LEFT JOIN %[1]s.homes h USING (user_id)`, schema)+where+`
		ORDER BY u.user_id COLLATE "C"`+limit, q.args...)
	if err != nil {
		return nil, queryError("listing users", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (User, error) {
		var u User
		var main Main
		var id *int64
		var o origin
		err := row.Scan(append([]any{
			&u.UserID, &u.Name, &u.State, &u.Active, &u.Superuser, &u.Given, &u.Holdings, &id, &main.Name, &main.CorporationID, &main.AllianceID, &u.Registered, &u.Unregistered,
		}, o.columns()...)...)
		u.Origin = o.of(event.User(u.UserID), event.TopicAccess)
		if id != nil {
			main.CharacterID = *id
			u.Main = &main
		}
		return u, err
	})
	if err != nil {
		return nil, queryError("listing users", err)
	}
	return list, nil
}

// OwnedCharacter is a character that a user owns, registered or not.
type OwnedCharacter struct {
	CharacterID               int64
	Name                      string
	CorporationID, AllianceID int64
	Registered, Shared        bool
}

// OwnedBy lists the characters of a user by their ids: those that are registered, and
// those that he was last said to own beside them. It fails with [event.CodeUnavailable]
// if the projection or the database is not there.
func (r *CharacterReader) OwnedBy(ctx context.Context, user string) ([]OwnedCharacter, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := r.pool.Query(ctx, fmt.Sprintf(`SELECT c.character_id, c.name, c.corporation_id, c.alliance_id, true, c.shared FROM %[1]s.characters c
			WHERE c.user_id = $1 AND c.character_id IN (SELECT character_id FROM %[1]s.owners WHERE user_id = $1)
		UNION ALL SELECT l.character_id, l.name, l.corporation_id, l.alliance_id, false, false FROM %[1]s.listed l
			WHERE l.user_id = $1 AND NOT EXISTS (SELECT FROM %[1]s.registrations r WHERE r.character_id = l.character_id)
		ORDER BY 1`, schema), user)
	if err != nil {
		return nil, queryError("listing the characters of a user", err)
	}
	list, err := pgx.CollectRows(rows, pgx.RowToStructByPos[OwnedCharacter])
	if err != nil {
		return nil, queryError("listing the characters of a user", err)
	}
	return list, nil
}

// RemovalRecipients lists the ids of the users who are told that a character was
// removed, in byte order, see [access.RemovalViewOf]. Whose it was is what the read model
// last knew. It fails with [event.CodeUnavailable] if the projection or the database is
// not there.
func (r *CharacterReader) RemovalRecipients(ctx context.Context, character int64) ([]string, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	var owner string
	var home access.Home
	err = r.pool.QueryRow(ctx, fmt.Sprintf(`SELECT w.user_id, coalesce(h.corporation_id, 0), coalesce(h.alliance_id, 0)
		FROM %[1]s.owners w LEFT JOIN %[1]s.homes h USING (user_id) WHERE w.character_id = $1`, schema), character).Scan(&owner, &home.CorporationID, &home.AllianceID)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return nil, queryError("looking up whose a character was", err)
	}
	rows, err := r.pool.Query(ctx, fmt.Sprintf(`SELECT g.user_id, g.superuser, g.active, g.permissions, coalesce(h.corporation_id, 0), coalesce(h.alliance_id, 0)
		FROM %[1]s.grants g LEFT JOIN %[1]s.homes h USING (user_id) WHERE g.active AND (g.superuser OR $1 = ANY (g.permissions)) ORDER BY g.user_id COLLATE "C"`, schema),
		string(access.NotifiedOnRemoval))
	if err != nil {
		return nil, queryError("listing who is told of removals", err)
	}
	told := []string{}
	var v Viewer
	_, err = pgx.ForEachRow(rows, []any{&v.UserID, &v.Superuser, &v.Active, &v.Permissions, &v.Home.CorporationID, &v.Home.AllianceID}, func() error {
		if access.RemovalViewOf(v.UserID, v.Grants, v.Home).Tells(owner, home) {
			told = append(told, v.UserID)
		}
		return nil
	})
	if err != nil {
		return nil, queryError("listing who is told of removals", err)
	}
	return told, nil
}

// LoadRoles are all roles that a generation of the characters projection knows, as
// decisions need them.
func LoadRoles(ctx context.Context, pool *pgxpool.Pool, g runner.Generation) (*access.Roles, error) {
	rows, err := pool.Query(ctx, `SELECT role_id, name, description, permissions, states, groups, sections FROM `+pgx.Identifier{g.Namespace}.Sanitize()+`.access_roles`)
	if err != nil {
		return nil, fmt.Errorf("looking roles up: %w", err)
	}
	known := access.NewRoles()
	var d access.RoleDefined
	_, err = pgx.ForEachRow(rows, []any{&d.RoleID, &d.Name, &d.Description, &d.Permissions, &d.States, &d.Groups, &d.Sections}, func() error {
		role := d
		role.Normalise()
		known.Apply(role)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("looking roles up: %w", err)
	}
	return known, nil
}

// GrantedRoles are the roles that a user was granted in a generation of the characters
// projection; what he holds through his state or a compliance group is not among them,
// and roles that were removed may be.
func GrantedRoles(ctx context.Context, pool *pgxpool.Pool, g runner.Generation, user string) (map[uuid.UUID]bool, error) {
	rows, err := pool.Query(ctx, `SELECT role_id FROM `+pgx.Identifier{g.Namespace}.Sanitize()+`.role_grants WHERE user_id = $1 AND granted`, user)
	if err != nil {
		return nil, fmt.Errorf("looking up which roles a user was granted: %w", err)
	}
	granted := map[uuid.UUID]bool{}
	var id uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&id}, func() error { granted[id] = true; return nil })
	if err != nil {
		return nil, fmt.Errorf("looking up which roles a user was granted: %w", err)
	}
	return granted, nil
}

// NoUser is the error for a user that there is none of.
func NoUser(id string) error {
	return event.Errorf(event.CodeNotFound, "there is no user %.100q: see the list of users", id)
}
