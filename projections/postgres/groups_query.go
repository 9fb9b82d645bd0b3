package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/runner"
)

// ComplianceGroup is a compliance group with how many of an audience are in it.
type ComplianceGroup struct {
	ID uuid.UUID
	access.ComplianceGroup
	DefinedAt time.Time
	DefinedBy string
	Members   int64
	// Origin is its definition.
	Origin event.Origin
}

// GroupMember is a user who is in a compliance group.
type GroupMember struct {
	UserID, Name, State string
	// Main is nil for none; of one of which nothing is known only the id is.
	Main *Main
	// Since is when he came into it, UTC.
	Since time.Time
	// Origin is what told that.
	Origin event.Origin
}

// GroupMemberFilter says which members of a group to list. Zero fields do not filter.
type GroupMemberFilter struct {
	GroupID uuid.UUID
	// Audience is whom the list may show; see [access.AudienceOf].
	Audience access.Audience
	// State is the user's, CorporationID and AllianceID say where his main is.
	State                     string
	CorporationID, AllianceID int64
	// AfterUser is the last of the page before.
	AfterUser string
	// Limit is the most rows to list; it must be positive.
	Limit int
}

// HeldGroup is a compliance group that a user is in, since when.
type HeldGroup struct {
	Name  string
	Since time.Time
}

// GroupsOf lists the compliance groups that a user is in, by name. It fails with
// [event.CodeUnavailable] if the projection or the database is not there.
func (r *CharacterReader) GroupsOf(ctx context.Context, user string) ([]HeldGroup, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := r.pool.Query(ctx, fmt.Sprintf(`SELECT g.name, m.since FROM %[1]s.compliance_members m JOIN %[1]s.compliance_groups g USING (group_id)
		WHERE m.user_id = $1 ORDER BY lower(g.name) COLLATE "C"`, schema), user)
	if err != nil {
		return nil, queryError("listing the compliance groups of a user", err)
	}
	groups, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (HeldGroup, error) {
		var g HeldGroup
		err := row.Scan(&g.Name, &g.Since)
		g.Since = g.Since.UTC()
		return g, err
	})
	if err != nil {
		return nil, queryError("listing the compliance groups of a user", err)
	}
	return groups, nil
}

// ComplianceGroups lists all compliance groups, by name, each with how many of its
// members the audience has. It fails with [event.CodeUnavailable] if the projection or
// the database is not there.
func (r *CharacterReader) ComplianceGroups(ctx context.Context, audience access.Audience) ([]ComplianceGroup, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	var q conditions
	users := ComplianceFilter{Audience: audience}
	q.within(schema, users)
	rows, err := r.pool.Query(ctx, fmt.Sprintf(`SELECT g.group_id, g.name, g.description, g.states, g.defined_at, g.defined_by, coalesce(n.members, 0), g.log_partition, g.log_offset
		FROM %[1]s.compliance_groups g LEFT JOIN (SELECT m.group_id, count(*) AS members FROM %[1]s.compliance_members m JOIN %[1]s.users u USING (user_id) %[2]s%[3]s GROUP BY m.group_id) n USING (group_id)
		WHERE NOT g.removed ORDER BY lower(g.name) COLLATE "C"`, schema, users.homeOf(schema), q.clause()), q.args...)
	if err != nil {
		return nil, queryError("listing compliance groups", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ComplianceGroup, error) {
		var g ComplianceGroup
		var o origin
		err := row.Scan(append([]any{&g.ID, &g.Name, &g.Description, &g.States, &g.DefinedAt, &g.DefinedBy, &g.Members}, o.columns()...)...)
		g.Origin = o.of(event.Roles, event.TopicAccess)
		g.DefinedAt = g.DefinedAt.UTC()
		return g, err
	})
	if err != nil {
		return nil, queryError("listing compliance groups", err)
	}
	return list, nil
}

// GroupMembers lists who is in a compliance group, in byte order of their ids, at most
// filter.Limit. It fails with [event.CodeUnavailable] if the projection or the database
// is not there.
func (r *CharacterReader) GroupMembers(ctx context.Context, filter GroupMemberFilter) ([]GroupMember, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	users := ComplianceFilter{Audience: filter.Audience, State: filter.State, CorporationID: filter.CorporationID, AllianceID: filter.AllianceID}
	var q conditions
	q.within(schema, users)
	q.add(`g.group_id = ?`, filter.GroupID)
	if filter.AfterUser != "" {
		q.add(`u.user_id COLLATE "C" > ?`, filter.AfterUser)
	}
	where, limit := q.sql(filter.Limit)
	rows, err := r.pool.Query(ctx, fmt.Sprintf(`SELECT u.user_id, u.name, u.state, m.character_id, coalesce(h.name, ''), coalesce(h.corporation_id, 0), coalesce(h.alliance_id, 0), g.since, g.log_partition, g.log_offset
		FROM %[1]s.compliance_members g JOIN %[1]s.users u USING (user_id) LEFT JOIN %[1]s.mains m ON m.user_id = u.user_id %[2]s
		WHERE %[3]s ORDER BY u.user_id COLLATE "C"%[4]s`, schema, users.homeOf(schema), where, limit), q.args...)
	if err != nil {
		return nil, queryError("listing the members of a compliance group", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (GroupMember, error) {
		var m GroupMember
		var main Main
		var id *int64
		var o origin
		err := row.Scan(append([]any{&m.UserID, &m.Name, &m.State, &id, &main.Name, &main.CorporationID, &main.AllianceID, &m.Since}, o.columns()...)...)
		m.Origin = o.of(event.User(m.UserID), event.TopicAccess)
		if id != nil {
			main.CharacterID = *id
			m.Main = &main
		}
		m.Since = m.Since.UTC()
		return m, err
	})
	if err != nil {
		return nil, queryError("listing the members of a compliance group", err)
	}
	return list, nil
}

// GroupStandings are what compliance groups ask of users, in byte order of their ids: of
// the users of the ids, or of at most limit users behind the id after if ids is nil. It
// fails with [event.CodeUnavailable] if the projection or the database is not there.
func (r *CharacterReader) GroupStandings(ctx context.Context, ids []string, after string, limit int) ([]access.GroupStanding, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	var q conditions
	if ids != nil {
		q.add(`u.user_id = ANY(?)`, ids)
		limit = len(ids)
	} else {
		q.add(`u.user_id COLLATE "C" > ?`, after)
	}
	where, bound := q.sql(limit)
	rows, err := r.pool.Query(ctx, fmt.Sprintf(`SELECT u.user_id, u.state,
			u.superuser OR '%[2]s' = ANY(u.permissions) OR EXISTS (SELECT FROM %[1]s.holdings h WHERE h.user_id = u.user_id AND h.compliance_group = '' AND '%[2]s' = ANY(h.permissions)),
			(SELECT count(*) FROM %[1]s.owners w JOIN %[1]s.registrations r USING (character_id) LEFT JOIN %[1]s.orphans o USING (character_id)
				WHERE w.user_id = u.user_id AND NOT coalesce(o.orphaned, false))
		FROM %[1]s.users u WHERE %[3]s ORDER BY u.user_id COLLATE "C"%[4]s`, schema, access.BasicAccess, where, bound), q.args...)
	if err != nil {
		return nil, queryError("reading how users stand to compliance groups", err)
	}
	at := map[string]int{}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (access.GroupStanding, error) {
		var s access.GroupStanding
		err := row.Scan(&s.UserID, &s.State, &s.BasicAccess, &s.Registered)
		at[s.UserID] = len(at)
		return s, err
	})
	if err != nil {
		return nil, queryError("reading how users stand to compliance groups", err)
	}
	if len(list) == 0 {
		return nil, nil
	}
	found := make([]string, len(list))
	for i, s := range list {
		found[i] = s.UserID
	}
	rows, err = r.pool.Query(ctx, fmt.Sprintf(`SELECT l.user_id, l.character_id, CASE WHEN o.orphaned THEN '%[2]s' ELSE '%[3]s' END, CASE WHEN o.orphaned THEN greatest(o.since, l.since) ELSE l.since END
		FROM %[1]s.unregistered l LEFT JOIN %[1]s.orphans o USING (character_id) WHERE l.user_id = ANY($1) ORDER BY 1, 2`,
		schema, access.FaultLoginLost, access.FaultNeverRegistered), found)
	if err != nil {
		return nil, queryError("reading which characters users have not registered", err)
	}
	var user string
	var reason access.GroupReason
	_, err = pgx.ForEachRow(rows, []any{&user, &reason.CharacterID, &reason.Fault, &reason.Since}, func() error {
		one := reason
		one.Since = utc(one.Since)
		s := &list[at[user]]
		s.Unregistered = append(s.Unregistered, one)
		return nil
	})
	if err != nil {
		return nil, queryError("reading which characters users have not registered", err)
	}
	return list, nil
}

// GroupCandidates are the users whose memberships in compliance groups may change with
// what is told of a character, in byte order of their ids: who owns it or did last, who
// is said to own it, and members who own nothing any more, because one of them may have
// owned it before. It fails with [event.CodeUnavailable] if the projection or the
// database is not there.
func (r *CharacterReader) GroupCandidates(ctx context.Context, character int64) ([]string, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := r.pool.Query(ctx, fmt.Sprintf(`SELECT user_id FROM (
			SELECT w.user_id FROM %[1]s.owners w WHERE w.character_id = $1
			UNION SELECT l.user_id FROM %[1]s.listed l WHERE l.character_id = $1
			UNION SELECT m.user_id FROM %[1]s.compliance_members m WHERE NOT EXISTS (SELECT FROM %[1]s.owners w WHERE w.user_id = m.user_id)) c
		WHERE user_id <> '' ORDER BY user_id COLLATE "C"`, schema), character)
	if err != nil {
		return nil, queryError("looking up whom a character concerns", err)
	}
	users, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, queryError("looking up whom a character concerns", err)
	}
	return users, nil
}

// GroupsNow are all compliance groups as the live projection has them. It fails with
// [event.CodeUnavailable] if the projection or the database is not there.
func (r *CharacterReader) GroupsNow(ctx context.Context) (*access.ComplianceGroups, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	return loadGroups(ctx, r.pool, schema)
}

// LoadComplianceGroups are all compliance groups that a generation of the characters
// projection knows, as decisions need them.
func LoadComplianceGroups(ctx context.Context, pool *pgxpool.Pool, g runner.Generation) (*access.ComplianceGroups, error) {
	return loadGroups(ctx, pool, pgx.Identifier{g.Namespace}.Sanitize())
}

func loadGroups(ctx context.Context, pool *pgxpool.Pool, schema string) (*access.ComplianceGroups, error) {
	rows, err := pool.Query(ctx, `SELECT group_id, name, description, states FROM `+schema+`.compliance_groups WHERE NOT removed`)
	if err != nil {
		return nil, queryError("looking compliance groups up", err)
	}
	known := access.NewComplianceGroups()
	var d access.GroupDefined
	_, err = pgx.ForEachRow(rows, []any{&d.GroupID, &d.Name, &d.Description, &d.States}, func() error {
		group := d
		group.Normalise()
		known.Apply(group)
		return nil
	})
	if err != nil {
		return nil, queryError("looking compliance groups up", err)
	}
	return known, nil
}
