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
	"github.com/muster-sync/muster/domain/eve"
	"github.com/muster-sync/muster/domain/event"
	"github.com/muster-sync/muster/projections/runner"
)

// Look is an entry of the access log.
type Look struct {
	EventID uuid.UUID
	access.DataViewed

	// ViewerName and OwnerName are the names of the users' mains, CharacterName is the
	// character's; empty where none is known.
	ViewerName, OwnerName, CharacterName string
	// Origin is where the event lies.
	Origin event.Origin
}

// LookCursor is the place of an entry in the access log.
type LookCursor struct {
	LastAt  time.Time `json:"t"`
	EventID uuid.UUID `json:"e"`
}

// LookFilter says which entries of the access log are listed. Zero fields do not filter.
type LookFilter struct {
	// OwnerID is whose data was looked at, ViewerUserID and ViewerID who looked.
	OwnerID, ViewerUserID, ViewerID string
	CharacterID                     int64
	Section                         string
	// Since and Until bound when the last look of an entry was: from Since, before
	// Until.
	Since, Until time.Time
	Before       *LookCursor
	Limit        int
}

// Looks lists who looked at data of others, the newest first, at most filter.Limit. It
// fails with [event.CodeUnavailable] if the projection or the database is not there.
func (r *CharacterReader) Looks(ctx context.Context, filter LookFilter) ([]Look, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	var q conditions
	for _, c := range []struct {
		column, value string
	}{{"owner_id", filter.OwnerID}, {"viewer_user_id", filter.ViewerUserID}, {"viewer_id", filter.ViewerID}, {"section", filter.Section}} {
		if c.value != "" {
			q.add("l."+c.column+" = ?", c.value)
		}
	}
	if filter.CharacterID != 0 {
		q.add("l.character_id = ?", filter.CharacterID)
	}
	if !filter.Since.IsZero() {
		q.add("l.last_at >= ?", filter.Since)
	}
	if !filter.Until.IsZero() {
		q.add("l.last_at < ?", filter.Until)
	}
	if filter.Before != nil {
		q.add("(l.last_at, l.event_id) < (?, ?)", filter.Before.LastAt, filter.Before.EventID)
	}
	where := q.clause()
	_, limit := q.sql(filter.Limit)
	main := func(user string) string {
		return `coalesce((SELECT h.name FROM ` + schema + `.homes h WHERE h.user_id = l.` + user + ` LIMIT 1), '')`
	}
	// Names are looked up for what is listed alone.
	rows, err := r.pool.Query(ctx, `SELECT l.event_id, l.viewer_id, l.viewer_user_id, l.owner_id, l.character_id, l.section, l.way, l.link_id, l.first_at, l.last_at, l.count, l.rows,
			`+main("viewer_user_id")+`, `+main("owner_id")+`, coalesce((SELECT c.name FROM `+schema+`.characters c WHERE c.character_id = l.character_id), ''), l.log_partition, l.log_offset
		FROM (SELECT l.* FROM `+schema+`.looks l`+where+` ORDER BY l.last_at DESC, l.event_id DESC`+limit+`) l ORDER BY l.last_at DESC, l.event_id DESC`, q.args...)
	if err != nil {
		return nil, queryError("reading the access log", err)
	}
	looks, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Look, error) {
		var l Look
		var o origin
		err := row.Scan(append([]any{
			&l.EventID, &l.ViewerID, &l.ViewerUserID, &l.OwnerID, &l.CharacterID, &l.Section, &l.Way, &l.LinkID, &l.FirstAt, &l.LastAt, &l.Count, &l.Rows, &l.ViewerName, &l.OwnerName, &l.CharacterName,
		}, o.columns()...)...)
		l.Origin = o.of(l.DataViewed.Stream(), event.TopicAccess)
		l.FirstAt, l.LastAt = l.FirstAt.UTC(), l.LastAt.UTC()
		return l, err
	})
	if err != nil {
		return nil, queryError("reading the access log", err)
	}
	return looks, nil
}

// Subject is a registered character as views ask for it; whether it is shared is told
// as of the moment. It fails with [event.CodeNotFound] for one that is not registered,
// and with [event.CodeUnavailable] if the projection or the database is not there.
func (r *CharacterReader) Subject(ctx context.Context, character int64, at time.Time) (access.Subject, error) {
	return r.subject(ctx, character, &at)
}

// subject is [CharacterReader.Subject] as of a moment, nil for that of the database.
func (r *CharacterReader) subject(ctx context.Context, character int64, at *time.Time) (access.Subject, error) {
	var s access.Subject
	schema, err := r.schema(ctx)
	if err != nil {
		return s, err
	}
	err = r.pool.QueryRow(ctx, subjectSQL(schema), character, at, string(access.ShareCharacters)).
		Scan(&s.Owner, &s.Home.CorporationID, &s.Home.AllianceID, &s.Shared)
	if errors.Is(err, pgx.ErrNoRows) {
		return s, NoCharacter(character)
	}
	if err != nil {
		return s, queryError("reading whose a character is", err)
	}
	return s, nil
}

// subjectSQL looks up one row of each table. A main that was set for somebody unknown is
// nobody's home.
func subjectSQL(schema string) string {
	return fmt.Sprintf(`SELECT coalesce(c.user_id, ''), coalesce(h.corporation_id, 0), coalesce(h.alliance_id, 0),
			coalesce(c.shared AND coalesce(c.shared_until > coalesce($2::timestamptz, now()), true) AND (u.superuser OR $3 = ANY(u.permissions)), false)
		FROM %[1]s.characters c LEFT JOIN %[1]s.grants u ON u.user_id = c.user_id
		LEFT JOIN LATERAL (SELECT h.corporation_id, h.alliance_id FROM %[1]s.homes h WHERE h.user_id = u.user_id LIMIT 1) h ON true
		WHERE c.character_id = $1`, schema)
}

// Link is a link that an owner has given away.
type Link struct {
	ID          uuid.UUID
	CharacterID int64
	// UserID is the owner who made it.
	UserID string
	// Sections are those that it shows; none means all.
	Sections            []eve.Section
	Note                string
	IssuedAt, ExpiresAt time.Time
	// Holds tells that the character is still that owner's, who may still share it, and
	// that it was neither revoked nor has expired.
	Holds bool
	// Revoked tells that it was taken back.
	Revoked bool
	// Origin is the event that it was issued or revoked by.
	Origin event.Origin
}

// linksSQL takes the moment as its first parameter and the permission to share as its
// second.
func linksSQL(schema string) string {
	return fmt.Sprintf(`SELECT l.link_id, l.character_id, l.user_id, l.sections, l.note, l.issued_at, l.expires_at,
			NOT l.revoked AND l.expires_at > $1 AND l.log_offset > coalesce(d.log_offset, -1)
				AND coalesce(c.user_id = l.user_id AND NOT c.orphaned AND u.active
					AND (u.superuser OR ($2 = ANY(u.permissions) AND '`+string(access.BasicAccess)+`' = ANY(u.permissions))), false),
			l.revoked, l.log_partition, l.log_offset
		FROM %[1]s.links l LEFT JOIN %[1]s.departures d USING (character_id)
		LEFT JOIN %[1]s.characters c USING (character_id) LEFT JOIN %[1]s.grants u ON u.user_id = l.user_id `, schema)
}

func scanLink(row pgx.CollectableRow) (Link, error) {
	var l Link
	var o origin
	err := row.Scan(append([]any{&l.ID, &l.CharacterID, &l.UserID, &l.Sections, &l.Note, &l.IssuedAt, &l.ExpiresAt, &l.Holds, &l.Revoked}, o.columns()...)...)
	l.Origin = o.ofCharacter(l.CharacterID)
	l.IssuedAt, l.ExpiresAt = l.IssuedAt.UTC(), l.ExpiresAt.UTC()
	return l, err
}

// LinkOf is the link with the hash of a secret, as of a moment. It fails with
// [event.CodeNotFound] if there is none, and with [event.CodeUnavailable] if the
// projection or the database is not there.
func (r *CharacterReader) LinkOf(ctx context.Context, secretHash string, at time.Time) (Link, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return Link{}, err
	}
	rows, err := r.pool.Query(ctx, linksSQL(schema)+`WHERE l.secret_hash = $3 AND NOT l.revoked`, at, string(access.ShareCharacters), secretHash)
	if err != nil {
		return Link{}, queryError("looking up a link", err)
	}
	l, err := pgx.CollectExactlyOneRow(rows, scanLink)
	if errors.Is(err, pgx.ErrNoRows) {
		return Link{}, event.Errorf(event.CodeNotFound, "there is no such link")
	}
	if err != nil {
		return Link{}, queryError("looking up a link", err)
	}
	return l, nil
}

// Links are the links to a character that a user has made, the newest first, as of a
// moment; those of former owners are not among them. It fails with
// [event.CodeUnavailable] if the projection or the database is not there.
func (r *CharacterReader) Links(ctx context.Context, character int64, user string, at time.Time) ([]Link, error) {
	schema, err := r.schema(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := r.pool.Query(ctx, linksSQL(schema)+`WHERE l.character_id = $3 AND l.user_id = $4 ORDER BY l.issued_at DESC, l.link_id`,
		at, string(access.ShareCharacters), character, user)
	if err != nil {
		return nil, queryError("listing links", err)
	}
	links, err := pgx.CollectRows(rows, scanLink)
	if err != nil {
		return nil, queryError("listing links", err)
	}
	return links, nil
}

// KnownLinks are the ids of the links to a character that a user has made and that
// can be taken back: neither revoked nor expired as of a moment.
func KnownLinks(ctx context.Context, pool *pgxpool.Pool, g runner.Generation, character int64, user string, at time.Time) ([]uuid.UUID, error) {
	rows, err := pool.Query(ctx, linksSQL(pgx.Identifier{g.Namespace}.Sanitize())+`WHERE l.character_id = $3 AND l.user_id = $4`,
		at, string(access.ShareCharacters), character, user)
	if err != nil {
		return nil, fmt.Errorf("looking up the links to character %d: %w", character, err)
	}
	links, err := pgx.CollectRows(rows, scanLink)
	if err != nil {
		return nil, fmt.Errorf("looking up the links to character %d: %w", character, err)
	}
	var ids []uuid.UUID
	for _, l := range links {
		// One that is silent because its maker may not share can be taken back, too.
		if !l.Revoked && at.Before(l.ExpiresAt) {
			ids = append(ids, l.ID)
		}
	}
	return ids, nil
}

// LapsedSharings are the characters whose sharing is over by the moment, or whose owners
// may not share any more, ascending, at most limit. It is for those who end them.
func LapsedSharings(ctx context.Context, pool *pgxpool.Pool, g runner.Generation, at time.Time, limit int) ([]int64, error) {
	schema := pgx.Identifier{g.Namespace}.Sanitize()
	rows, err := pool.Query(ctx, fmt.Sprintf(`SELECT c.character_id FROM %[1]s.characters c LEFT JOIN %[1]s.grants u ON u.user_id = c.user_id
		WHERE c.shared AND (c.shared_until <= $1 OR NOT coalesce(u.superuser OR $2 = ANY(u.permissions), false))
		ORDER BY c.character_id LIMIT $3`, schema), at, string(access.ShareCharacters), limit)
	if err != nil {
		return nil, fmt.Errorf("listing sharings that are over: %w", err)
	}
	return pgx.CollectRows(rows, pgx.RowTo[int64])
}
