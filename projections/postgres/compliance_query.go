package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/muster-sync/muster/domain/access"
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
)

// ComplianceFilter says which users a report on compliance considers, and which of the
// rows it shows. Zero fields do not filter. Guests are never considered; see
// [access.Roster.Compliance].
type ComplianceFilter struct {
	// Audience is whom the report may show; see [access.AudienceOf].
	Audience access.Audience
	// UserID is a single user.
	UserID string
	// State is the user's.
	State string
	// CorporationID and AllianceID say where the user's main is.
	CorporationID, AllianceID int64
	// Registered shows only users with a registered character, or only those without.
	Registered *bool
	// Compliant shows only those who or which are, or are not.
	Compliant *bool
	// Partly shows only corporations that are partly compliant, or that are not.
	Partly *bool
	// AfterUser and AfterCorporation are the last of the page before.
	AfterUser        string
	AfterCorporation int64
	// Limit is the most rows to list; it must be positive.
	Limit int
}

// UserCompliance is a user in a report on compliance, with what there is to be put
// right.
type UserCompliance struct {
	access.UserCompliance

	Name, State string
	// Home is where the main is, and MainName its name; zero and empty if that is not
	// known.
	Home     access.Home
	MainName string
	// Origin is the last event about the user.
	Origin event.Origin
	// Why has what [access.UserCompliance.Reasons] has, in the same order, and more.
	Why []ComplianceReason
}

// ComplianceReason is one thing to be put right.
type ComplianceReason struct {
	access.Reason

	// Name is that of the character; empty if it is not known.
	Name string
	// Since is when it began, UTC; nil if that is not known.
	Since *time.Time
}

// considered takes the users u of a report, with where their mains are as h.
func (c *conditions) considered(schema string, f ComplianceFilter) {
	c.add(`u.state <> ?`, access.StateGuest)
	c.within(schema, f)
}

// within takes the users u of an audience whose mains, as h, are where the filter says,
// guests among them.
func (c *conditions) within(schema string, f ComplianceFilter) {
	a := f.Audience
	if a.User == "" {
		c.add(`(u.superuser OR ? = ANY((SELECT g.permissions FROM `+schema+`.grants g WHERE g.user_id = u.user_id)::text[]))`, string(access.BasicAccess))
	}
	switch {
	case a.User != "":
		c.add(`u.user_id = ?`, a.User)
	case a.Everybody:
	case a.Scope.AllianceID != 0:
		c.add(`h.alliance_id = ?`, a.Scope.AllianceID)
	case a.Scope.CorporationID != 0:
		c.add(`h.corporation_id = ?`, a.Scope.CorporationID)
	default:
		c.add(`false`)
	}
	if f.UserID != "" {
		c.add(`u.user_id = ?`, f.UserID)
	}
	if f.State != "" {
		c.add(`u.state = ?`, f.State)
	}
	if f.CorporationID != 0 {
		c.add(`h.corporation_id = ?`, f.CorporationID)
	}
	if f.AllianceID != 0 {
		c.add(`h.alliance_id = ?`, f.AllianceID)
	}
}

// homeOf joins the home h of users u. A main of which nothing is known has none.
func (f ComplianceFilter) homeOf(schema string) string {
	if a := f.Audience.Scope; f.CorporationID != 0 || f.AllianceID != 0 || a != (access.Scope{}) {
		// Begins with the index on where mains are.
		return `JOIN ` + schema + `.homes h ON h.user_id = u.user_id`
	}
	return `LEFT JOIN LATERAL (SELECT h.name, h.corporation_id, h.alliance_id FROM ` + schema + `.homes h WHERE h.user_id = u.user_id LIMIT 1) h ON true`
}

// ComplianceOfUsers lists how far users have registered their characters, in byte order
// of their ids, at most filter.Limit, with what there is to be put right. It fails with
// [event.CodeUnavailable] if the projection or the database is not there.
func (r *CharacterReader) ComplianceOfUsers(ctx context.Context, filter ComplianceFilter) ([]UserCompliance, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	sql, args := complianceOfUsersSQL(schema, filter)
	rows, err := r.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, queryError("reporting on the compliance of users", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (UserCompliance, error) {
		var u UserCompliance
		var user string
		var main *int64
		var total, unregistered int
		var o origin
		err := row.Scan(append([]any{&user, &u.Name, &u.State, &main, &u.MainName, &u.Home.CorporationID, &u.Home.AllianceID, &total, &unregistered}, o.columns()...)...)
		u.Origin = o.of(event.User(user), event.TopicAccess)
		u.UserCompliance = access.UserOf(user, main, total, unregistered)
		return u, err
	})
	if err != nil {
		return nil, queryError("reporting on the compliance of users", err)
	}
	if err := r.addReasons(ctx, schema, list); err != nil {
		return nil, err
	}
	return list, nil
}

// complianceOfUsersSQL counts the characters of the users one after the other, in the
// order of an index, so that a page costs what it shows.
func complianceOfUsersSQL(schema string, filter ComplianceFilter) (string, []any) {
	var q conditions
	q.considered(schema, filter)
	if filter.AfterUser != "" {
		q.add(`u.user_id COLLATE "C" > ?`, filter.AfterUser)
	}
	if filter.Registered != nil {
		q.add(`(n.registered > 0) = ?`, *filter.Registered)
	}
	if filter.Compliant != nil {
		q.add(`(m.character_id IS NOT NULL AND n.unregistered = 0) = ?`, *filter.Compliant)
	}
	where, limit := q.sql(filter.Limit)
	return fmt.Sprintf(`SELECT u.user_id, u.name, u.state, m.character_id, coalesce(h.name, ''), coalesce(h.corporation_id, 0), coalesce(h.alliance_id, 0),
		n.registered + n.unregistered, n.unregistered, u.log_partition, u.log_offset
	FROM %[1]s.users u
	LEFT JOIN %[1]s.mains m ON m.user_id = u.user_id
	%[2]s
	CROSS JOIN LATERAL (SELECT
		(SELECT count(*) FROM %[1]s.owners w JOIN %[1]s.registrations r USING (character_id) LEFT JOIN %[1]s.orphans o USING (character_id)
			WHERE w.user_id = u.user_id AND NOT coalesce(o.orphaned, false)) AS registered,
		(SELECT count(*) FROM %[1]s.unregistered l WHERE l.user_id = u.user_id) AS unregistered) n
	WHERE %[3]s ORDER BY u.user_id COLLATE "C"%[4]s`, schema, filter.homeOf(schema), where, limit), q.args
}

// addReasons reads what there is to be put right with users. A login is lost when it is
// the cause why a section cannot be read that the owner has consented to.
func (r *CharacterReader) addReasons(ctx context.Context, schema string, users []UserCompliance) error {
	if len(users) == 0 {
		return nil
	}
	ids, at := make([]string, len(users)), make(map[string]int, len(users))
	for i, u := range users {
		ids[i], at[u.User] = u.User, i
		if u.Main == nil {
			users[i].Why = append(users[i].Why, ComplianceReason{Reason: access.Reason{Fault: access.FaultNoMain}})
		}
	}
	var names, scopes []string
	for _, s := range sections() {
		names, scopes = append(names, string(s.name)), append(scopes, s.scope)
	}
	rows, err := r.pool.Query(ctx, fmt.Sprintf(`SELECT l.user_id, l.character_id, coalesce(nullif(d.name, ''), nullif(r.name, ''), l.name),
			CASE WHEN o.orphaned THEN '%[2]s' ELSE '%[3]s' END AS fault, CASE WHEN o.orphaned THEN greatest(o.since, l.since) ELSE l.since END AS since
		FROM %[1]s.unregistered l LEFT JOIN %[1]s.orphans o USING (character_id) LEFT JOIN %[1]s.identities d USING (character_id) LEFT JOIN %[1]s.registrations r USING (character_id)
		WHERE l.user_id = ANY($1)
		UNION ALL
		SELECT c.user_id, c.character_id, c.name, '%[2]s', x.since
		FROM %[1]s.owners w JOIN %[1]s.characters c USING (character_id)
		CROSS JOIN LATERAL (SELECT min(f.since) AS since FROM %[1]s.failures f LEFT JOIN unnest($2::text[], $3::text[]) AS n(section, scope) USING (section)
			WHERE f.character_id = c.character_id AND f.failing AND f.class = '%[4]s' AND (coalesce(n.scope, '') = '' OR n.scope = ANY(coalesce(c.scopes, '{}')))) x
		WHERE w.user_id = ANY($1) AND NOT c.orphaned AND x.since IS NOT NULL
		ORDER BY 2`, schema, access.FaultLoginLost, access.FaultNeverRegistered, eve.FailureToken), ids, names, scopes)
	if err != nil {
		return queryError("reading why users are not compliant", err)
	}
	var user string
	var reason ComplianceReason
	_, err = pgx.ForEachRow(rows, []any{&user, &reason.CharacterID, &reason.Name, &reason.Fault, &reason.Since}, func() error {
		found := reason
		found.Since = utc(found.Since)
		u := &users[at[user]]
		u.Why = append(u.Why, found)
		return nil
	})
	if err != nil {
		return queryError("reading why users are not compliant", err)
	}
	for i := range users {
		slices.SortStableFunc(users[i].Why, func(a, b ComplianceReason) int { return int(min(1, max(-1, a.CharacterID-b.CharacterID))) })
		for _, why := range users[i].Why {
			users[i].Reasons = append(users[i].Reasons, why.Reason)
		}
	}
	return nil
}

// ComplianceOfCorporations lists how far the users whose mains are in a corporation
// have registered their characters, by ascending id, at most filter.Limit. It fails with
// [event.CodeUnavailable] if the projection or the database is not there.
func (r *CharacterReader) ComplianceOfCorporations(ctx context.Context, filter ComplianceFilter) ([]access.CorporationCompliance, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	sql, args := complianceOfCorporationsSQL(schema, filter)
	rows, err := r.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, queryError("reporting on the compliance of corporations", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (access.CorporationCompliance, error) {
		var id int64
		var mains, characters, unregistered int
		err := row.Scan(&id, &mains, &characters, &unregistered)
		return access.CorporationOf(id, mains, characters, unregistered), err
	})
	if err != nil {
		return nil, queryError("reporting on the compliance of corporations", err)
	}
	return list, nil
}

func complianceOfCorporationsSQL(schema string, filter ComplianceFilter) (string, []any) {
	var q conditions
	q.considered(schema, filter)
	q.add(`h.corporation_id <> 0`)
	if filter.AfterCorporation != 0 {
		q.add(`h.corporation_id > ?`, filter.AfterCorporation)
	}
	users := q.clause()
	q.where = nil
	if filter.Compliant != nil {
		q.add(`(t.unregistered = 0) = ?`, *filter.Compliant)
	}
	if filter.Partly != nil {
		q.add(fmt.Sprintf(`(t.unregistered > 0 AND 100 * (t.characters - t.unregistered) >= %d * t.characters) = ?`, access.PartlyPercent), *filter.Partly)
	}
	rows := q.clause()
	_, limit := q.sql(filter.Limit)
	return fmt.Sprintf(`WITH considered AS (SELECT u.user_id, h.corporation_id FROM %[1]s.users u JOIN %[1]s.homes h ON h.user_id = u.user_id%[2]s),
	registered AS (SELECT w.user_id, count(*) AS n FROM considered u JOIN %[1]s.owners w USING (user_id) JOIN %[1]s.registrations r USING (character_id)
		LEFT JOIN %[1]s.orphans o USING (character_id) WHERE NOT coalesce(o.orphaned, false) GROUP BY w.user_id),
	unregistered AS (SELECT l.user_id, count(*) AS n FROM considered u JOIN %[1]s.unregistered l USING (user_id) GROUP BY l.user_id)
	SELECT t.* FROM (SELECT u.corporation_id, count(*) AS mains, sum(coalesce(r.n, 0) + coalesce(l.n, 0)) AS characters, sum(coalesce(l.n, 0)) AS unregistered
		FROM considered u LEFT JOIN registered r USING (user_id) LEFT JOIN unregistered l USING (user_id) GROUP BY u.corporation_id) t%[3]s
	ORDER BY t.corporation_id%[4]s`, schema, users, rows, limit), q.args
}

// ListingUsers are the users whose last list of characters that are not registered has a
// character, in byte order of their ids. It fails with [event.CodeUnavailable] if the
// projection or the database is not there.
func (r *CharacterReader) ListingUsers(ctx context.Context, character int64) ([]string, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := r.pool.Query(ctx, `SELECT user_id FROM `+schema+`.listed WHERE character_id = $1 ORDER BY user_id COLLATE "C"`, character)
	if err != nil {
		return nil, queryError("looking up who is said to own a character", err)
	}
	users, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, queryError("looking up who is said to own a character", err)
	}
	return users, nil
}
